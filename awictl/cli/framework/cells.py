"""Texts of table cells that several commands have in common."""

from typing import Any

from .tables import compact


def known(value: Any) -> str:
    """A value in one line; `-` for None."""
    return "-" if value is None else compact(value)


def number(value: int | None) -> str:
    """An integer with thousands separators; `-` for None."""
    return "-" if value is None else f"{value:,}"


def moment(value: Any) -> str:
    """An ISO 8601 timestamp in UTC as `YYYY-MM-DD HH:MM:SS.mmm`; `-` for None."""
    return value[:23].replace("T", " ") if isinstance(value, str) else known(value)
