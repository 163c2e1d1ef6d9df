"""The glob patterns of Redis: `*`, `?`, `[abc]`, `[^a-c]`, and a backslash before a literal character."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPECIAL = re.compile(r"[*?\[\\]")


def literal_start(pattern: str) -> str:
    """The characters that everything that matches starts with."""
    return _SPECIAL.split(pattern, maxsplit=1)[0]


def matcher(pattern: str) -> Callable[[bytes], bool]:
    """A function that returns whether a name matches, byte by byte, as `stringmatchlen` of Redis does."""
    rest = pattern.encode("utf-8", "surrogateescape").decode("latin-1")
    found = []
    while rest:
        character, rest = rest[0], rest[1:]
        if character == "*":
            found.append(".*")
        elif character == "?":
            found.append(".")
        elif character == "[":
            members, rest = _set_at(rest)
            found.append(members)
        else:
            if character == "\\" and rest:
                character, rest = rest[0], rest[1:]
            found.append(re.escape(character))
    expression = re.compile("".join(found), re.DOTALL)
    return lambda name: expression.fullmatch(name.decode("latin-1")) is not None


def _set_at(rest: str) -> tuple[str, str]:
    """The set that `rest` starts with, after its bracket, as a regular expression; and what follows it."""
    negated = rest.startswith("^")
    rest = rest[1:] if negated else rest
    members = []
    while rest and rest[0] != "]":
        if rest[0] == "\\" and len(rest) >= 2:
            members.append(re.escape(rest[1]))
            rest = rest[2:]
        elif len(rest) >= 3 and rest[1] == "-":
            low, high = sorted((rest[0], rest[2]))
            members.append(f"{re.escape(low)}-{re.escape(high)}")
            rest = rest[3:]
        else:
            members.append(re.escape(rest[0]))
            rest = rest[1:]
    if not members:  # nothing is in an empty set
        return ("." if negated else "(?!)"), rest[1:]
    return f"[{'^' if negated else ''}{''.join(members)}]", rest[1:]
