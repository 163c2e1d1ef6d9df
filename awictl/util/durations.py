"""Parse durations such as 20m, 90s or 1h30m."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)


def duration_ms(text: str) -> int | None:
    """Return the milliseconds of a duration; None if it is not one."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not text.strip() or match is None:
        return None
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS_MS, strict=True) if count)
