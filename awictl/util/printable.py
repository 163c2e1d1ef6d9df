"""Text that is safe to print on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with non-printable characters and lone surrogates escaped, so that it cannot control a terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable_lines(text: str, indent: str = "") -> str:
    """The same for text of several lines, which stay lines. `indent` precedes each."""
    return "\n".join(indent + printable(line) for line in text.split("\n"))
