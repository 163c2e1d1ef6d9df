"""Format durations and counts for messages and tables."""

from __future__ import annotations

from collections.abc import Sequence

#: Maximum number of fields that are named in one line.
_MAX_FIELDS = 5
#: Units in seconds, each with the next smaller one.
_UNITS = [(86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")]


def duration(milliseconds: float | None) -> str:
    """Format a duration with its two largest units: `1h 5m`, `29m 58s`, `350ms`; `-` for None."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{int(milliseconds)}ms"
    seconds = int(milliseconds // 1000)
    for size, unit, smaller, smaller_unit in _UNITS:
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size}{unit} {rest}{smaller_unit}" if rest else f"{seconds // size}{unit}"
    return f"{seconds}s"


def lifetime(ttl_ms: int | None) -> str:
    """Format a TTL in milliseconds; None is a key without a TTL: `never`."""
    return duration(ttl_ms) if ttl_ms is not None else "never"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: `1 session`, `2,000 sessions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def fields(pointers: Sequence[str]) -> str:
    """Format JSON pointers to fields of a document: the first few, and how many more. An empty one is all others."""
    named = [one or "any other field" for one in pointers[:_MAX_FIELDS]]
    more = len(pointers) - _MAX_FIELDS
    return ", ".join([*named, *([plural(more, "more field")] if more > 0 else [])])
