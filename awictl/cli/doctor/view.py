"""How checks and repairs look on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...util.humanize import plural
from ..framework.tables import Column, Rows, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Maximum number of repairs in a table.
MOST_REPAIRS = 50

#: How each status is shown: as a word and a colour, since not every terminal has colours.
_SIGNS = {"pass": ("ok", "green"), "warn": ("WARN", "yellow"), "fail": ("FAIL", "bold red")}

REPAIRS = [
    Column("KEY", lambda row: row["key"], narrow="id"),
    Column("REPAIR", lambda row: row["repair"], narrow="fold"),
    Column("DONE", lambda row: {True: "yes", False: "not needed", None: "no"}[row["done"]]),
]


def report(answer: Mapping[str, Any]) -> RenderableType:
    """A summary, the checks, and the repairs if there are any."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(summary(answer["checks"]), style="bold"), checks(answer["checks"])]
    if rows := answer.get("repairs"):
        parts += ["", repairs(rows)]
    return Group(*parts)


def repairs(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The first repairs."""
    from rich.console import Group

    table = Rows(rows[:MOST_REPAIRS], REPAIRS)
    return Group(table, f"(and {len(rows) - MOST_REPAIRS:,} more)") if len(rows) > MOST_REPAIRS else table


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many checks had which result, in a line."""
    counts = Counter(row["status"] for row in rows)
    return f"{counts['fail']} failed, {plural(counts['warn'], 'warning')}, {counts['pass']} passed"


def checks(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The checks, those with problems first, each with its evidence, some examples, and the remedy."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in sorted(rows, key=lambda row: -list(_SIGNS).index(row["status"])):
        sign, style = _SIGNS[row["status"]]
        lines = [row["evidence"], *(f"  {example}" for example in row["examples"])]
        if row["remedy"]:
            lines.append(f"→ {row['remedy']}")
        grid.add_row(Text(sign, style), Text(printable(row["check"])), Text("\n".join(map(printable, lines))))
    return grid
