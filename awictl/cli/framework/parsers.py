"""Parsers of option values: durations, intervals, points in time, finite numbers."""

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from ...util.durations import duration_ms
from .params import bad_parameter

if TYPE_CHECKING:
    from datetime import datetime

#: Minimum polling interval, in seconds.
MIN_INTERVAL = 0.05


def parse_duration(text: str) -> int:
    """Parse a duration such as 20m, 90s or 1h30m. Returns milliseconds. Raises typer.BadParameter."""
    milliseconds = duration_ms(text)
    if milliseconds is None:
        raise bad_parameter(f"{text!r} is not a duration such as 20m, 90s or 1h30m")
    return milliseconds


def parse_ttl(text: str) -> int:
    """Parse the TTL of a session, such as 2h. Returns milliseconds. Raises typer.BadParameter."""
    from ...document.keys import check_ttl
    from ...errors import InvalidInput

    ttl_ms = parse_duration(text)
    try:
        check_ttl(ttl_ms)
    except InvalidInput:
        raise bad_parameter(f"{text!r} is not between 1s and 365d") from None
    return ttl_ms


def plain_id(text: str | None) -> str | None:
    """Return an id that is given as the name of its key, such as AWI:SESSION:sess_1, without the prefix."""
    if text is None or ":" not in text:
        return text
    from ...document.keys import AGENT_PREFIX, CACHE_PREFIX, IMAGE_PREFIX, SESSION_PREFIX

    prefix = next(
        (one for one in (SESSION_PREFIX, AGENT_PREFIX, CACHE_PREFIX, IMAGE_PREFIX) if text.startswith(one)), ""
    )
    return text.removeprefix(prefix)


def plain_ids(texts: list[str] | None) -> list[str] | None:
    """Return ids, each as `plain_id` does."""
    return None if texts is None else [plain_id(one) or "" for one in texts]


def parse_interval(text: str) -> float:
    """Parse a polling interval: seconds such as 0.5 or 0.5s, or a duration such as 500ms. Returns seconds.

    Raises typer.BadParameter.
    """
    try:
        seconds = float(text.strip().lower().removesuffix("s"))
    except ValueError:
        seconds = parse_duration(text) / 1000
    if not MIN_INTERVAL <= seconds < math.inf:
        raise bad_parameter(f"{text!r} is not an interval of at least {MIN_INTERVAL:g} seconds")
    return seconds


def check_finite(value: float | None) -> float | None:
    """Return the number itself. Raises typer.BadParameter for NaN and infinity."""
    if value is not None and not math.isfinite(value):
        raise bad_parameter(f"{value} is not a finite number")
    return value


def parse_moment(text: str) -> "datetime":
    """Parse a point in time: ISO 8601 such as 2026-11-23T08:00, or a duration ago such as 7d. Returns it in UTC.

    A time without an offset is UTC. Raises typer.BadParameter.
    """
    from datetime import UTC, datetime, timedelta

    if (milliseconds := duration_ms(text)) is not None:
        with suppress(OverflowError):
            return datetime.now(UTC) - timedelta(milliseconds=milliseconds)
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_parameter(f"{text!r} is not a time such as 2026-11-23, 2026-11-23T08:00 or 7d (7 days ago)") from None
