"""Print a table while its rows are found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .layout import Column, Layout, cells_of, fitted
from .stdout import BOLD, FLUSH_SECONDS, flush, print_lines

if TYPE_CHECKING:
    import asyncio

#: Number of rows whose cells determine the widths of the columns.
SAMPLE_ROWS = 200


class TableStream:
    """Prints rows of a table on stdout.

    The first rows determine the columns and their widths: SAMPLE_ROWS, or those that are found within FLUSH_SECONDS of
    the first. If there are no more, that is all rows, and the columns are as wide as their cells.
    """

    def __init__(self, columns: Sequence[Column], width: int, *, keep: str | None, whole: bool) -> None:
        self._columns = [column for column in columns if whole or not column.wide or column.title == keep]
        self._width = width
        self._keep = keep
        self._whole = whole
        self._layout: Layout | None = None
        self._waiting: list[list[str]] = []
        self._printed = 0.0
        #: Prints the waiting rows if no others come; what it raised is raised by the next call.
        self._timer: asyncio.TimerHandle | None = None
        self._error: OSError | None = None

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print some rows, or collect them for a moment. Called in an event loop."""
        self._check()
        shown = self._columns if self._layout is None else self._layout.columns
        self._waiting += [cells_of(shown, row) for row in rows]
        if self._layout is None:  # wait a moment: if there are no more rows, the widths can be exact
            enough = len(self._waiting) >= SAMPLE_ROWS
        else:
            enough = time.monotonic() - self._printed > FLUSH_SECONDS
        if self._waiting and enough:
            self._print(growing=True)
        elif self._waiting and self._timer is None:
            import asyncio  # not needed for a page of help

            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._print_late)

    def end(self) -> None:
        """Print the remaining rows."""
        self._check()
        if self._waiting:
            self._print(growing=False)

    def _print_late(self) -> None:
        try:
            self._print(growing=True)
        except OSError as error:
            self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _print(self, *, growing: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._layout is None:
            self._layout = fitted(
                self._columns, self._waiting, self._width, growing=growing, keep=self._keep, whole=self._whole
            )
            title, rule = self._layout.heading()
            print_lines([title], BOLD)
            print_lines([rule])
            self._waiting = [self._layout.shown(cells) for cells in self._waiting]
        print_lines(line for cells in self._waiting for line in self._layout.lines(cells))
        flush()
        self._waiting.clear()
        self._printed = time.monotonic()
