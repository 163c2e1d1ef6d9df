"""How checks and repairs look on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...util.humanize import plural
from ..framework.escape import printable
from ..framework.layout import GAP, NARROW_WIDTH, Column, cells_of, fitted, folded, text_width
from ..framework.tables import Rows

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

#: Maximum number of repairs in a table.
MOST_REPAIRS = 50

#: How each status is shown: as a word and a colour, since not every terminal has colours.
_SIGNS = {"pass": ("ok", "green"), "warn": ("WARN", "yellow"), "fail": ("FAIL", "bold red")}

_CHECK = [
    Column("", lambda row: _SIGNS[row["status"]][0]),
    Column("", lambda row: row["check"]),
    Column("", lambda row: row["text"], narrow="fold"),
]

REPAIRS = [
    Column("KEY", lambda row: row["key"], narrow="id"),
    Column("REPAIR", lambda row: row["repair"], narrow="fold"),
    Column("DONE", lambda row: {True: "yes", False: "not needed", None: "no"}[row["done"]]),
]


def report(answer: Mapping[str, Any]) -> RenderableType:
    """A summary, the checks, and the repairs if there are any."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(summary(answer["checks"]), style="bold"), Checks(answer["checks"])]
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


@dataclass(frozen=True)
class Checks:
    """The checks, those with problems first, each with its evidence, some examples, and the remedy.

    The key in an example is not broken into several lines.
    """

    rows: Sequence[Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        rows = sorted(self.rows, key=lambda row: -list(_SIGNS).index(row["status"]))
        texts = [cells_of(_CHECK, {**row, "text": row["evidence"]}) for row in rows]
        folding = fitted(_CHECK, texts, options.max_width)
        indent = " " * (sum(folding.widths[:-1]) + len(GAP) * len(folding.widths))
        available = max(options.max_width - len(indent), NARROW_WIDTH)
        for row, first in zip(rows, texts, strict=True):
            remedy = [f"→ {row['remedy']}"] if row["remedy"] else []
            lines = folding.lines(first)
            for one in map(printable, row["examples"]):
                key, _, details = one.partition(": ")
                if details and text_width(one) > available:  # the details below the key
                    lines += [
                        _indented(key + ":", indent, options.max_width),
                        *(indent + "  " + line for line in folded(details, available - 2)),
                    ]
                else:
                    lines.append(_indented(one, indent, options.max_width))
            lines += [line for one in remedy for line in folding.lines(["", "", printable(one)])]
            sign, style = _SIGNS[row["status"]]
            for number, line in enumerate(lines):
                text = Text(line, no_wrap=True, overflow="ignore")
                if number == 0:
                    text.stylize(style, 0, len(sign))
                yield text


def _indented(text: str, indent: str, width: int) -> str:
    """A text with as much of the indent as leaves it in one line."""
    return indent[: max(0, width - text_width(text))] + text
