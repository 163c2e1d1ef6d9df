"""Parsers of option values: durations, intervals, points in time, finite numbers."""

import math
import re
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from datetime import datetime

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
#: Seconds between two looks, at the least.
SHORTEST_INTERVAL = 0.05
_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)


def parse_duration(text: str) -> int:
    """A span of time such as 20m, 90s or 1h30m, in milliseconds. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not text.strip() or match is None:
        raise typer.BadParameter(f"{text!r} is not a span of time such as 20m, 90s or 1h30m")
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS_MS, strict=True) if count)


def parse_interval(text: str) -> float:
    """The time between two looks: seconds such as 0.5, or a span such as 500ms. Raises typer.BadParameter."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(text) / 1000
    if not SHORTEST_INTERVAL <= seconds < math.inf:
        raise typer.BadParameter(f"{text!r} is no time of {SHORTEST_INTERVAL:g} seconds or more")
    return seconds


def check_finite(value: float | None) -> float | None:
    """The number itself. Raises typer.BadParameter for one that is none, or has no end."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is out of range")
    return value


def parse_moment(text: str) -> "datetime":
    """A moment: ISO 8601 such as 2026-11-23 or 2026-11-23T08:00Z (UTC unless it says so), or a span of time ago.

    Raises typer.BadParameter.
    """
    from datetime import UTC, datetime, timedelta

    try:
        return datetime.now(UTC) - timedelta(milliseconds=parse_duration(text))
    except (typer.BadParameter, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no moment such as 2026-11-23, 2026-11-23T08:00 or 7d (ago)") from None
