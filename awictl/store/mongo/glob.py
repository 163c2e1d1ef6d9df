"""The glob patterns of Redis: `*`, `?`, `[abc]`, `[^a-c]`, and a backslash before a literal character."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPECIAL = re.compile(r"[*?\[\\]")
_SETS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])*)\]?", re.DOTALL)


def literal_start(pattern: str) -> str:
    """The characters that everything that matches starts with."""
    return _SPECIAL.split(pattern, maxsplit=1)[0]


def matcher(pattern: str) -> Callable[[bytes], bool]:
    """A function that returns whether a name matches."""
    found, at = [], 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            found.append(".*")
        elif character == "?":
            found.append(".")
        elif character == "[" and (match := _SETS.match(pattern, at - 1)):
            found.append(_set_of(match[1], match[2]))
            at = match.end()
        else:
            if character == "\\" and at < len(pattern):
                character = pattern[at]
                at += 1
            found.append(re.escape(character))
    expression = re.compile("".join(found), re.DOTALL)
    return lambda name: expression.fullmatch(name.decode("utf-8", "surrogateescape")) is not None


def _set_of(negated: str, members: str) -> str:
    """The set of characters of a pattern as a regular expression. An empty one matches nothing; negated, anything."""
    parts = re.findall(r"(\\.|.)-(\\.|.)|(\\.|.)", members, re.DOTALL)
    found = []
    for first, last, single in parts:
        if single:
            found.append(re.escape(single[-1:]))
        else:
            low, high = sorted((first[-1:], last[-1:]))
            found.append(f"{re.escape(low)}-{re.escape(high)}")
    if not found:
        return "." if negated else "(?!)"
    return f"[{negated}{''.join(found)}]"
