"""Tables for terminals. Their columns are data; `layout.py` fits them to the width of the terminal.

Control characters in stored text are escaped, so that it cannot control the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .escape import json_escape, printable
from .layout import Column, cells_of, fitted

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

__all__ = ["Column", "Rows", "compact", "fields_of", "printable_json"]

#: Width in columns up to which the label of a value is kept in one line.
LABEL_WIDTH = 30


class Rows(NamedTuple):
    """A table as a Rich renderable."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[Column]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        shown = [column for column in self.columns if not column.wide]
        rows = [cells_of(shown, row) for row in self.rows]
        layout = fitted(shown, rows, options.max_width)
        lines = [line for cells in rows for line in layout.lines(layout.shown(cells))]
        for number, line in enumerate([*layout.heading(), *lines]):
            yield Text(line, style="bold" if number == 0 else "", no_wrap=True, overflow="ignore")


class Fields(NamedTuple):
    """Labels and values as a Rich renderable. A value without spaces, such as an id or a URL, is kept in one piece."""

    pairs: Sequence[tuple[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        rows = [(printable(name), printable(value)) for name, value in self.pairs]
        label = Column("", lambda row: row["name"], narrow="fold", least=LABEL_WIDTH)
        folding = fitted([label, Column("", lambda row: row["value"], narrow="fold")], rows, options.max_width)
        whole = folding._replace(columns=[label, Column("", lambda row: row["value"], narrow="id")])
        for row in rows:
            layout = folding if " " in row[1] else whole
            for number, line in enumerate(layout.lines(row)):
                text = Text(line, no_wrap=True, overflow="ignore")
                if number == 0:
                    text.stylize("bold", 0, layout.widths[0])
                yield text


def fields_of(pairs: Iterable[tuple[str, str]]) -> RenderableType:
    """A list of labels and values."""
    return Fields(list(pairs))


def compact(value: Any) -> str:
    """A value in one line: a string as it is, others as compact JSON."""
    if isinstance(value, str):
        return value
    from ...document.json_codec import dumps

    return dumps(value).decode()


def printable_json(value: Any) -> Text:
    """A value as indented JSON that is safe to print on a terminal, and still JSON."""
    import json

    from rich.text import Text

    text = json.dumps(value, indent=2, ensure_ascii=False)
    return Text("".join(one if one.isprintable() or one == "\n" else json_escape(one) for one in text))
