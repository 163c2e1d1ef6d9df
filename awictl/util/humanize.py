"""Format durations and counts for messages and tables."""

from __future__ import annotations


def duration(milliseconds: float | None) -> str:
    """Format a duration with its two largest units: `1h 5m`, `29m 58s`, `350ms`; `-` for None."""
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
    """Format a TTL in milliseconds; None is a key without a TTL: `never`."""
    return duration(ttl_ms) if ttl_ms is not None else "never"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: `1 session`, `2,000 sessions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
