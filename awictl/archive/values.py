"""Fields of session documents, as precise and as long as an archive keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ..document.json_codec import encodable
from ..document.timestamps import parse_timestamp
from ..errors import AwiError, InvalidData

#: Maximum number of characters of an id, a name or a route that an archive keeps beside the document itself.
MAX_TEXT = 1_024


def as_count(value: Any) -> int:
    """Return a stored count; 0 if it is not a non-negative integer below 2**53."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def as_short_text(value: Any) -> str | None:
    """Return the first `MAX_TEXT` characters of a stored string, encodable as UTF-8; None if it is not a string."""
    return encodable(value[:MAX_TEXT]) if isinstance(value, str) else None


def parse_datetime(stored: Any) -> datetime | None:
    """Parse a stored ISO 8601 timestamp to milliseconds, in UTC; None if it is not one."""
    parsed = parse_timestamp(stored)
    try:
        return truncate_to_milliseconds(parsed) if parsed is not None else None
    except OverflowError:  # valid in its own time zone, but before year 1 or after year 9999 in UTC
        return None


def truncate_to_milliseconds(moment: datetime) -> datetime:
    """Convert an aware datetime to UTC and drop what is finer than a millisecond."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    finer = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - finer) if finer else moment


@contextmanager
def damaged_unless_readable(where: str) -> Iterator[None]:
    """Raise InvalidData for whatever the block raises while it converts stored data. `where`: its location.

    Any program may have written to an archive, and one session must not keep others from being read.
    """
    try:
        yield
    except InvalidData as error:
        raise error if where in str(error) else InvalidData(f"{where}: damaged: {error}") from error
    except AwiError:
        raise
    except Exception as error:
        raise InvalidData(f"{where}: damaged: {type(error).__name__}: {error}") from error
