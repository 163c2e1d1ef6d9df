"""Tables for terminals. Their layout is a list of columns, which are fitted to the width of the terminal.

Control characters in stored text are escaped, so that it cannot control the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

#: Minimum width of a cell that can be cut or folded, and width of the gap between two cells.
NARROW_WIDTH = 10
SEPARATOR_WIDTH = 2


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and a function that returns the text of its cell in a row."""

    title: str
    cell: Callable[[Mapping[str, Any]], str]
    right: bool = False
    #: On a narrow terminal: cut the cell with an ellipsis, fold it into several lines, or keep it whole.
    narrow: Literal["keep", "cut", "fold"] = "keep"
    #: Columns with a number above 0 are dropped if the table is too wide, the highest number first.
    drop: int = 0


@dataclass(frozen=True)
class Rows:
    """A table that fits the terminal: on a narrow one, columns are cut, folded or dropped."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[Column]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        cells = {column.title: [_cell(column, row) for row in self.rows] for column in self.columns}
        shown = self._fitting(cells, options.max_width)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
        for column in shown:
            justify: Literal["left", "right"] = "right" if column.right else "left"
            title = Text(column.title, no_wrap=column.narrow != "fold", overflow="ellipsis")
            table.add_column(title, justify=justify, no_wrap=column.narrow == "keep", overflow="fold")
        for row in zip(*(cells[column.title] for column in shown), strict=True):
            table.add_row(*row)
        yield table

    def _fitting(self, cells: Mapping[str, Sequence[Text]], width: int) -> list[Column]:
        """The columns that fit into a width."""

        def needed(column: Column) -> int:
            natural = max(cell.cell_len for cell in (*cells[column.title], Text(column.title)))
            return SEPARATOR_WIDTH + (natural if column.narrow == "keep" else min(natural, NARROW_WIDTH))

        from rich.text import Text

        shown = list(self.columns)
        while sum(map(needed, shown)) > width + SEPARATOR_WIDTH:
            droppable = [column for column in shown if column.drop]
            if not droppable:
                break
            shown.remove(max(droppable, key=lambda column: column.drop))
        return shown


def _cell(column: Column, row: Mapping[str, Any]) -> Text:
    from rich.text import Text

    text = printable(column.cell(row))
    return Text(text, no_wrap=True, overflow="ellipsis") if column.narrow == "cut" else Text(text)


def fields_of(pairs: Iterable[tuple[str, str]]) -> RenderableType:
    """A list of labels and values."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, Text(printable(value)))  # not a str, which Rich may parse as markup
    return grid


def printable(text: str) -> str:
    """Text that is safe to print on a terminal: non-printable characters and lone surrogates are escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def compact(value: Any) -> str:
    """A value in one line: a string as it is, others as compact JSON."""
    from ...document.json_codec import dumps

    return value if isinstance(value, str) else dumps(value).decode()


def printable_json(value: Any) -> Text:
    """A value as indented JSON that is safe to print on a terminal."""
    import json

    from rich.text import Text

    return Text("\n".join(map(printable, json.dumps(value, indent=2, ensure_ascii=False).splitlines())))
