"""Output of commands: data on stdout, notices and progress on stderr.

The default is a table on a terminal, and JSON in a pipe: one object, or one line for each of many rows. JSON is never
wrapped or truncated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from .stdout import dumps, flush, is_dumb, is_terminal, json_dumps, new_console, write, write_lines
from .tables import Column, Rows, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Seconds before a progress bar is shown.
PROGRESS_DELAY_SECONDS = 0.5


class Format(StrEnum):
    """Output format of a command."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    IDS = "ids"
    RAW = "raw"


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Batches:
    """Rows in batches of some hundred, for lists that may be very long."""

    rows: AsyncGenerator[Sequence[Any], None]
    #: Maximum number of rows; None: no maximum.
    limit: int | None = None
    #: Whether the rows are encoded JSON already, for JSONL.
    encoded: bool = False


@dataclass(frozen=True)
class Output:
    """Where and how a command prints."""

    #: The format that the user chose; None: a table on a terminal, JSON elsewhere.
    format: Format | None = None
    color: bool = True
    quiet: bool = False

    def chosen(self, default: Format) -> Format:
        """The format that the user chose, else a table on a terminal and `default` elsewhere."""
        return self.format or (Format.TABLE if is_terminal(sys.stdout) else default)

    def one(
        self,
        value: Any,
        *,
        table: Callable[[], RenderableType],
        ids: Sequence[str] | None = None,
        raw: bytes | None = None,
    ) -> None:
        """Print one object in the chosen format. `ids` and `raw` are None if it has none."""
        match self.chosen(Format.JSON):
            case Format.TABLE:
                self.console().print(table())
            case Format.IDS if ids is not None:
                write(b"".join(f"{one}\n".encode() for one in ids))
            case Format.RAW if raw is not None:
                write(raw)
            case Format.JSON | Format.JSONL:
                write(dumps(value) + b"\n")
            case other:
                raise InvalidInput(f"-o {other} is not supported by this command")
        flush()

    async def many(
        self,
        rows: AsyncIterable[Row] | Iterable[Row] | Batches,
        columns: Sequence[Column],
        *,
        id_field: str | None = None,
        envelope: Callable[[list[Any]], Any] | None = None,
        empty: str = "nothing found",
    ) -> None:
        """Print rows as they arrive. `envelope`: makes what `-o json` prints of the rows; by default an array."""
        async with aclosing(_batches(rows)) as batches:
            match self.chosen(Format.JSONL):
                case Format.TABLE:
                    found = [row async for batch in batches for row in batch]
                    if found:
                        self.console().print(Rows(found, columns))
                    else:
                        self.notice(empty)
                case Format.JSON:
                    found = [row async for batch in batches for row in batch]
                    write(dumps(envelope(found) if envelope else found) + b"\n")
                case Format.JSONL:
                    encoded = isinstance(rows, Batches) and rows.encoded
                    await write_lines(batches, bytes if encoded else json_dumps())
                case Format.IDS if id_field is not None:
                    await write_lines(batches, lambda row: printable(str(row[id_field])).encode())
                case other:
                    raise InvalidInput(f"-o {other} is not supported by this command")
        flush()

    def console(self) -> Console:
        """The console for tables on stdout."""
        return new_console(sys.stdout, self.color)

    @property
    def live(self) -> bool:
        """Whether to redraw in place: stdout is a capable terminal, and no format was chosen."""
        return is_terminal(sys.stdout) and not is_dumb() and self.format is None

    def line(self, value: Any, texts: Callable[[], Iterable[str]]) -> None:
        """Print one event at once: as a line of JSON, or as lines of text on a terminal."""
        if self.chosen(Format.JSONL) is Format.TABLE:
            for text in texts():
                print(printable(text))  # noqa: T201  # as stdout encodes it
        else:
            write(dumps(value) + b"\n")
        flush()

    def notice(self, text: str) -> None:
        """Print a notice on stderr, unless --quiet was given."""
        if not self.quiet and sys.stderr is not None:
            print(printable(text), file=sys.stderr, flush=True)  # noqa: T201

    def prints_rows_to_terminal(self, *, collected: bool) -> bool:
        """Whether rows are printed to a terminal one by one. `collected`: a table or JSON is printed at the end."""
        at_the_end = collected and self.chosen(Format.JSONL) in (Format.TABLE, Format.JSON)
        return is_terminal(sys.stdout) and not at_the_end

    @contextmanager
    def progress(self, total: int | None, what: str, *, visible: bool = True) -> Iterator[Callable[[int], None]]:
        """Show a progress bar on stderr if that is a terminal and the work takes long. Yields `on_step(steps)`.

        `total`: number of all steps; None if unknown.
        """
        if self.quiet or not visible or total == 0 or not is_terminal(sys.stderr) or is_dumb():
            yield lambda _: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = new_console(sys.stderr, self.color)
        bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
        task = bar.add_task(what, total=total)
        visible_at = time.monotonic() + PROGRESS_DELAY_SECONDS
        done = 0

        def on_step(steps: int) -> None:
            nonlocal done
            done = min(done + steps, total) if total is not None else done + steps  # a scan reports approximate steps
            bar.update(task, completed=done)
            if not bar.live.is_started and time.monotonic() > visible_at:
                bar.start()

        try:
            yield on_step
        finally:
            if bar.live.is_started:
                bar.stop()


async def _batches(
    rows: AsyncIterable[Row] | Iterable[Row] | Batches,
) -> AsyncGenerator[Sequence[Any], None]:
    if isinstance(rows, Batches):
        left = rows.limit
        async with aclosing(rows.rows) as batches:
            async for batch in batches:
                yield batch if left is None else batch[:left]
                if left is not None and (left := left - len(batch)) <= 0:
                    return
    elif isinstance(rows, AsyncIterable):
        async for row in rows:
            yield [row]
    else:
        yield list(rows)
