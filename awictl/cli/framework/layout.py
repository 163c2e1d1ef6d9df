"""The layout of a table: which columns fit into a width, how wide each is, and the lines of text of its rows.

A layout is computed from some rows and then holds for all, so that a table can be printed while its rows are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from .escape import printable
from .stdout import can_print

#: Minimum width of a cell that can be cut or folded, and of an id: that of a session id which awictl made.
NARROW_WIDTH = 10
ID_WIDTH = 37
#: The gap between two cells.
GAP = "  "


class Column(NamedTuple):
    """A column of a table: its title, and a function that returns the text of its cell in a row."""

    title: str
    cell: Callable[[Mapping[str, Any]], str]
    right: bool = False
    #: On a narrow terminal: cut the cell with an ellipsis, fold it into several lines, or keep it whole. An "id" is
    #: never cut: one that is wider than its column has a line of its own.
    narrow: Literal["keep", "cut", "fold", "id"] = "keep"
    #: Columns with a number above 0 are dropped if the table is too wide, the highest number first.
    drop: int = 0
    #: Minimum width in characters of the column, for ids and for cells that are folded.
    least: int = 0
    #: Minimum width in characters while rows are printed as they are found, when later cells are not known.
    width: int = 0
    #: The column is shown only with `-o wide`, or if it is selected.
    wide: bool = False


def cells_of(columns: Sequence[Column], row: Mapping[str, Any]) -> list[str]:
    """The texts of the cells of a row, safe to print."""
    return [printable(column.cell(row)) for column in columns]


class Layout(NamedTuple):
    """The columns of a table with their widths."""

    columns: Sequence[Column]
    #: For each column, its index among all columns, of which some may have been dropped.
    places: Sequence[int]
    widths: Sequence[int]
    #: The width of the whole table at most, in columns of the terminal; only an id on its own line needs it.
    width: int

    def heading(self) -> tuple[str, str]:
        """The line of titles, and the line below it."""
        titles = [
            _padded(cut(column.title, width), width, column.right)
            for column, width in zip(self.columns, self.widths, strict=True)
        ]
        rule = "─" if can_print("─") else "-"
        return GAP.join(titles).rstrip(), rule * (sum(self.widths) + len(GAP) * (len(self.widths) - 1))

    def shown(self, cells: Sequence[str]) -> list[str]:
        """Those of the cells of all columns that are in columns of the layout."""
        return [cells[place] for place in self.places]

    def lines(self, cells: Sequence[str]) -> list[str]:
        """The cells of a row as lines of text: one, unless a cell is folded or an id is wider than its column."""
        shown = []
        fits = True
        for text, width, column in zip(cells, self.widths, self.columns, strict=True):
            if text.isascii() and len(text) <= width:
                shown.append(text.rjust(width) if column.right else text.ljust(width))
            elif text_width(text) <= width:
                shown.append(_padded(text, width, column.right))
            elif column.narrow == "cut":
                shown.append(_padded(cut(text, width), width, column.right))
            elif column.narrow == "keep":
                shown.append(text)  # wider than expected: it shifts the rest of the row
            else:
                fits = False
        return [GAP.join(shown).rstrip()] if fits else self._several_lines(cells)

    def _several_lines(self, cells: Sequence[str]) -> list[str]:
        """The lines of a row with folded cells or wide ids: a wide id of the first column precedes the others."""
        before: list[str] = []
        after: list[str] = []
        parts: list[list[str]] = []
        for text, width, column in zip(cells, self.widths, self.columns, strict=True):
            if column.narrow == "fold":
                parts.append(folded(text, width))
            elif column.narrow == "id" and (size := text_width(text)) > width:
                first = not parts
                offset = sum(self.widths[: len(parts)]) + len(GAP) * len(parts)
                whole = folded(text, self.width)
                indent = " " * max(0, min(offset, self.width - size))
                (before if first else after).extend(indent + line for line in whole)
                parts.append([])
            else:
                parts.append([cut(text, width) if column.narrow == "cut" else text])
        rows = []
        for number in range(max(map(len, parts), default=0)):
            texts = [
                _padded(part[number] if number < len(part) else "", width, column.right)
                for part, width, column in zip(parts, self.widths, self.columns, strict=True)
            ]
            rows.append(GAP.join(texts).rstrip())
        return before + [row for row in rows if row] + after


def fitted(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    growing: bool = False,
    keep: str | None = None,
    whole: bool = False,
) -> Layout:
    """The layout for the cells of these rows. `growing`: more rows will follow, whose cells are not known.

    `keep`: title of a column that is not dropped. `whole`: nothing is cut or dropped, however wide the table is.
    """
    natural = [
        max([text_width(column.title), column.width if growing else 0, *(text_width(row[place]) for row in rows)])
        for place, column in enumerate(columns)
    ]
    if whole:
        return Layout(columns, range(len(columns)), natural, max(width, sum(natural) + len(GAP) * len(columns)))
    least = [_least(column, size) for column, size in zip(columns, natural, strict=True)]
    shown = list(range(len(columns)))

    def free() -> int:
        return width - sum(least[place] for place in shown) - len(GAP) * (len(shown) - 1)

    while free() < 0:
        droppable = [place for place in shown if columns[place].drop and columns[place].title != keep]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda place: columns[place].drop))
    if free() < 0:  # a very narrow terminal: ids have lines of their own, above and below the other cells
        least = [min(size, NARROW_WIDTH) if columns[place].narrow == "id" else size for place, size in enumerate(least)]
    widths = {place: least[place] for place in shown}
    left = max(free(), 0)
    for place in shown:  # part of the missing width would not help an id
        if columns[place].narrow == "id" and natural[place] - widths[place] <= left:
            left -= natural[place] - widths[place]
            widths[place] = natural[place]
    growable = sorted(
        (place for place in shown if columns[place].narrow in ("cut", "fold")),
        key=lambda place: natural[place] - widths[place],
    )
    while growable:  # share the rest evenly; what the narrowest do not need is for the others
        place = growable[0]
        share = min(natural[place] - widths[place], left // len(growable))
        widths[place] += share
        left -= share
        growable.pop(0)
    if shown and columns[shown[-1]].narrow == "id":  # shorter ids may fit into what is left
        widths[shown[-1]] = min(widths[shown[-1]] + left, natural[shown[-1]])
    return Layout([columns[place] for place in shown], shown, [widths[place] for place in shown], width)


def _least(column: Column, natural: int) -> int:
    if column.narrow == "keep":
        return natural
    if column.narrow == "cut":
        return min(natural, NARROW_WIDTH)
    return min(natural, column.least or (ID_WIDTH if column.narrow == "id" else NARROW_WIDTH))


def text_width(text: str) -> int:
    """The number of columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def cut(text: str, width: int) -> str:
    """The text, or its first characters and an ellipsis."""
    if text_width(text) <= width:
        return text
    ellipsis = "…" if can_print("…") else "~"
    if text.isascii():
        return text[: width - 1] + ellipsis
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + ellipsis


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most this width, broken at spaces where possible."""
    from rich.cells import chop_cells

    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(joined) <= width:
            lines[-1] = joined
        else:
            pieces = chop_cells(word, max(width, 2))
            lines[len(lines) - (not lines[-1]) :] = pieces
    return lines
