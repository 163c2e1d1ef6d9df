"""What is to be redacted: the names of patterns, and JSON pointers into the state of a session."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...errors import InvalidInput
from ..merge import keys_of
from ..schema import SESSION_END, SESSION_START, new_document
from .patterns import PATTERN_NAMES

#: The name of all patterns together.
DEFAULT = "default"
#: Matches any key and any index in a pointer.
ANY = "*"
#: Maximum length of a pointer, in characters.
_MAX_POINTER = 1_000

Pointer = tuple[str, ...]

#: Names of actions that have a meaning: they stay, even if a secret is equal to one.
FIXED_TEXTS = frozenset({SESSION_START, SESSION_END})


def _names_in(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_names_in, value))
    return set(value).union(*map(_names_in, value.values())) if isinstance(value, dict) else set()


#: Names of fields that have a meaning: they stay, too.
FIXED_NAMES = _names_in(new_document("", "", "", "", "")) | {
    *(
        "success",
        "observation",
        "op_id",
        "trimmed_actions",
        "session_end",
        "app_document_id",
        "archived_by_app",
        "forked_from",
        "cached_at",
    ),
}


class Redaction(NamedTuple):
    """What is to be redacted."""

    #: Names of patterns, in the order of `PATTERN_NAMES`.
    patterns: tuple[str, ...]
    #: JSON pointers into the state of a session.
    pointers: tuple[str, ...]

    def row(self) -> dict[str, list[str]]:
        """Return it as JSON values."""
        return {"patterns": list(self.patterns), "pointers": list(self.pointers)}


def parse_redaction(wanted: Iterable[str]) -> Redaction:
    """Parse what is to be redacted: names of patterns, `default` for all, and JSON pointers. Raises InvalidInput."""
    patterns: set[str] = set()
    pointers: dict[str, None] = {}
    for one in wanted:
        if one.startswith("/"):
            parse_pointer(one)
            pointers[one] = None
        elif one == DEFAULT:
            patterns.update(PATTERN_NAMES)
        elif one in PATTERN_NAMES:
            patterns.add(one)
        else:
            names = ", ".join(PATTERN_NAMES)
            raise InvalidInput(f"{one!r:.80} is neither {DEFAULT}, nor a pattern ({names}), nor a JSON pointer (/a/b)")
    return Redaction(tuple(one for one in PATTERN_NAMES if one in patterns), tuple(pointers))


def parse_pointer(text: str) -> Pointer:
    """The keys of a JSON pointer (RFC 6901). Raises InvalidInput."""
    if re.search(r"~(?![01])", text) or len(text) > _MAX_POINTER:
        raise InvalidInput(f"{text!r:.80} is not a JSON pointer: ~ is written as ~0 in it, and / in a key as ~1")
    return tuple(keys_of(text))


class Rules(NamedTuple):
    """What applies below a place in a document: pointers, relative to it."""

    #: Values to be replaced.
    hidden: tuple[Pointer, ...] = ()
    #: Counts that stay.
    kept: tuple[Pointer, ...] = ()

    def below(self, name: str) -> Rules:
        """Return the rules for an object with the value, to which these apply, in its field `name`."""
        return Rules(tuple((name, *one) for one in self.hidden), tuple((name, *one) for one in self.kept))

    def plus(self, other: Rules) -> Rules:
        """Return both."""
        return Rules(self.hidden + other.hidden, self.kept + other.kept)

    def at(self, name: str) -> Rules:
        """Return the rules for a key or an index."""
        if not self.hidden and not self.kept:
            return self
        return Rules(
            tuple(one[1:] for one in self.hidden if one and one[0] in (ANY, name)),
            tuple(one[1:] for one in self.kept if one and one[0] == name),
        )
