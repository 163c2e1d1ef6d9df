"""Print a table while its rows are found."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .layout import Column, Layout, cells_of, fitted
from .stdout import BOLD, FLUSH_SECONDS, flush, print_lines

#: Number of rows whose cells determine the widths of the columns.
SAMPLE_ROWS = 200


class TableStream:
    """Prints rows of a table on stdout.

    The first rows determine the columns and their widths: SAMPLE_ROWS, or those that were found within FLUSH_SECONDS.
    If there are no more, that is all rows, and the columns are as wide as their cells.
    """

    def __init__(self, columns: Sequence[Column], width: int, *, keep: str | None, whole: bool) -> None:
        self._columns = [column for column in columns if whole or not column.wide]
        self._width = width
        self._keep = keep
        self._whole = whole
        self._layout: Layout | None = None
        self._waiting: list[list[str]] = []
        self._printed = time.monotonic()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print some rows, or collect them for a moment."""
        self._waiting += [cells_of(self._columns, row) for row in rows]
        late = time.monotonic() - self._printed > FLUSH_SECONDS
        if self._waiting and (late or (self._layout is None and len(self._waiting) >= SAMPLE_ROWS)):
            self._print(growing=True)

    def end(self) -> None:
        """Print the remaining rows."""
        if self._waiting:
            self._print(growing=False)

    def _print(self, *, growing: bool) -> None:
        if self._layout is None:
            self._layout = fitted(
                self._columns, self._waiting, self._width, growing=growing, keep=self._keep, whole=self._whole
            )
            title, rule = self._layout.heading()
            print_lines([title], BOLD)
            print_lines([rule])
        print_lines(line for cells in self._waiting for line in self._layout.lines(cells))
        flush()
        self._waiting.clear()
        self._printed = time.monotonic()
