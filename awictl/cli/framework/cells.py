"""Columns of tables, and texts of their cells, that several commands have in common."""

from contextvars import ContextVar
from datetime import UTC
from typing import Any

from ...document.timestamps import parse_timestamp
from .tables import Column, compact

#: Whether this command prints times in the local time zone (--local) instead of UTC.
LOCAL_TIMES: ContextVar[bool] = ContextVar("LOCAL_TIMES", default=False)
#: Length of the shortest timestamp: a date and a time in minutes.
_MIN_TIMESTAMP = len("2026-11-23T07:09")

#: The id of a session, as wide as those that are made here; and of an agent.
SESSION_ID = Column("SESSION", lambda row: row["session_id"], narrow="id", width=37)
AGENT_ID = Column("AGENT", lambda row: known(row["agent_id"]), narrow="id", least=24)


def known(value: Any) -> str:
    """A value in one line; `-` for None."""
    if value is None:
        return "-"
    return str(value) if type(value) is int else compact(value)


def number(value: int | None) -> str:
    """An integer with thousands separators; `-` for None."""
    return "-" if value is None else f"{value:,}"


def about(value: int | None) -> str:
    """An estimate: a number after `≈`; `-` for None."""
    return "-" if value is None else f"≈{value:,}"


def moment(value: Any, unit: str = "milliseconds") -> str:
    """An ISO 8601 timestamp as `YYYY-MM-DD HH:MM:SS.mmmZ`, or with --local as local time with its offset from UTC.

    `unit`: the last one, as for `datetime.isoformat`. `-` for None; text that is no timestamp stays as it is.
    """
    parsed = parse_timestamp(value) if isinstance(value, str) and len(value) >= _MIN_TIMESTAMP else None
    if parsed is None:
        return known(value)
    try:
        if LOCAL_TIMES.get():
            return parsed.astimezone().isoformat(" ", unit)
        return parsed.astimezone(UTC).isoformat(" ", unit).removesuffix("+00:00") + "Z"
    except OverflowError:  # a time zone would move it out of the years 1 to 9999
        return known(value)


def clock(value: str, unit: str = "seconds") -> str:
    """The time of day of a timestamp; see `moment`."""
    return moment(value, unit)[11:]


def shortened(text: str, length: int) -> str:
    """A text of at most `length` characters; if it is longer, its start and its length."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text):,} characters)"
