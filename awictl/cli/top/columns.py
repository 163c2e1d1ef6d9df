"""The columns of the full screen, and which of them fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rich.text import Text

from ...diagnostics.activity import Activity
from ...util.humanize import duration, lifetime
from ..framework.cells import about, number
from ..framework.escape import printable


class Field(NamedTuple):
    """A column: its title, the text of its cell, and its width in characters."""

    title: str
    text: Callable[[Activity], str]
    width: int
    #: If there is no room for all, columns with a lower rank are kept. Wide columns share the space left over.
    rank: int
    right: bool = True
    wide: bool = False


FIELDS = [
    Field("SESSION", lambda one: one.session_id, 37, 0, right=False),
    Field("AGENT", lambda one: f"unreadable: {one.error}" if one.error else one.agent, 10, 3, right=False, wide=True),
    Field("ROUTE", lambda one: one.route, 12, 6, right=False, wide=True),
    Field("IDLE", lambda one: duration(one.idle_ms), 7, 1),
    Field("TTL", lambda one: lifetime(one.ttl_ms), 7, 1),
    Field("ACT/S", lambda one: f"{one.rate:,.1f}" if one.rate else "-", 5, 2),
    Field("ACTIONS", lambda one: number(one.total), 7, 5),
    Field("FAILED", lambda one: number(one.failed), 6, 4),
    Field("BYTES", lambda one: f"{one.bytes:,}", 9, 7),
    Field("TOK/STEP", lambda one: about(one.estimated_tokens_per_step), 8, 8),
]
#: Width of the gap between two columns, and maximum width of a wide cell.
GAP = 1
WIDEST_CELL = 40


def fields_for(width: int) -> list[tuple[Field, int]]:
    """The columns that fit into `width` characters, each with its width."""
    left = width - 2  # the scroll bar
    shown: list[Field] = []
    for field in sorted(FIELDS, key=lambda one: one.rank):
        if field.width + GAP <= left:
            shown.append(field)
            left -= field.width + GAP
        else:
            break
    if not shown:
        return [(FIELDS[0], max(left - GAP, 1))]
    wide = [field for field in shown if field.wide]
    more = {field.title: left // len(wide) for field in wide}
    return [
        (field, min(field.width + more.get(field.title, 0), WIDEST_CELL) if field.wide else field.width)
        for field in FIELDS
        if field in shown
    ]


def cell_of(text: str, width: int, right: bool) -> Text:
    """A cell of exactly one line, cut to `width` characters."""
    cell = Text(printable(text), no_wrap=True, justify="right" if right else "left")
    cell.truncate(width, overflow="ellipsis")
    return cell
