"""Spans of time and numbers of things, in the words of messages and tables."""

from __future__ import annotations


def duration(milliseconds: float | None) -> str:
    """A span of time in two units: `1h 5m`, `29m 58s`, `350ms`; a dash where there is none."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{int(milliseconds)}ms"
    seconds = int(milliseconds // 1000)
    units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
    parts: list[str] = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if part[0] != "0")


def lifetime(ttl_ms: int | None) -> str:
    """How long a key stays, given the milliseconds until it expires; None where it never does."""
    return duration(ttl_ms) if ttl_ms is not None else "never"


def plural(count: int, noun: str) -> str:
    """A number of things: `1 session`, `2,000 sessions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
