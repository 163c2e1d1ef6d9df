"""Timestamps in documents: ISO 8601 in UTC with milliseconds and Z, as JavaScript's toISOString prints them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(moment: datetime | None = None) -> str:
    """`moment` as a timestamp; the current time if None. A naive datetime is in UTC, as in a BSON document."""
    moment = _aware(moment).astimezone(UTC) if moment is not None else datetime.now(UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def optional_timestamp(moment: datetime | None) -> str | None:
    """`moment` as a timestamp; None if it is None."""
    return timestamp(moment) if moment is not None else None


def with_offset(moment: datetime) -> str:
    """An aware time for a message, with its own offset."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: Any) -> datetime | None:
    """Parse a stored timestamp; None if it is not one. A timestamp without a time zone is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _aware(moment)


def _aware(moment: datetime) -> datetime:
    """Return an aware datetime as it is, and a naive one as UTC, which is not what `astimezone` takes it for."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
