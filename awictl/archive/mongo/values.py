"""Convert values that were read from MongoDB."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import DatetimeMS, ObjectId

from ...document.timestamps import EPOCH, timestamp

#: The calendar repeats after 400 years, which have this number of milliseconds.
_CYCLE_YEARS, _CYCLE_MS = 400, 146_097 * 86_400_000


def to_json(value: Any) -> Any:
    """Convert a BSON value to JSON: dates to the app's timestamps, ObjectIds to hex digits, binary data to Base64."""
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, DatetimeMS):
        return _far_timestamp(int(value))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)  # bson.Int64 is a subclass of int
    return value if isinstance(value, (float, str)) else str(value)


def possible_ids(text: str) -> list[Any]:
    """Return what `_id` may be, given as text: an ObjectId, unless another program chose something else."""
    return [ObjectId(text), text] if ObjectId.is_valid(text) else [text]


def as_datetime(value: Any) -> datetime | None:
    """Return a date with a time zone; None if the value is not a date."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def as_int(value: Any) -> int:
    """Return an integer; 0 if the value is not one."""
    return int(value) if isinstance(value, int) else 0


def _far_timestamp(milliseconds: int) -> str:
    """A date as JavaScript prints it, which goes beyond the years 1 to 9999 of `datetime`."""
    cycles, rest = divmod(milliseconds, _CYCLE_MS)
    text = timestamp(EPOCH + timedelta(milliseconds=rest))
    year = int(text[:4]) + cycles * _CYCLE_YEARS
    return (f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}") + text[4:]
