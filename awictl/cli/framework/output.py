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
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import InvalidInput
from .escape import printable, without_secrets
from .formats import COMMON, LISTING, TABLES, CsvRows, Format, JqFilter, yaml_document
from .layout import Column
from .stdout import (
    BOLD,
    dumps,
    flush,
    is_dumb,
    is_terminal,
    json_dumps,
    new_console,
    print_lines,
    width_of,
    write,
    write_lines,
)
from .table_stream import TableStream

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

#: What commands import from here.
__all__ = ["COMMON", "LISTING", "Batches", "Format", "Output", "Row"]

#: What the error of a jq expression says about rows.
_EACH_ROW = " (the expression gets each row by itself; with -o json it gets the array of rows)"
#: Seconds before a progress bar is shown.
PROGRESS_DELAY_SECONDS = 0.5


Row = Mapping[str, Any]


class Batches(NamedTuple):
    """Rows in batches of some hundred, for lists that may be very long."""

    rows: AsyncGenerator[Sequence[Any], None]
    #: Maximum number of rows; None: no maximum.
    limit: int | None = None
    #: Encodes rows as lines of JSON, each with its newline, for JSONL; by default each row by itself.
    json_lines: Callable[[Sequence[Any]], bytes] | None = None


class Output(NamedTuple):
    """Where and how a command prints."""

    #: The format that the user chose; None: a table on a terminal, JSON elsewhere.
    format: Format | None = None
    color: bool = True
    quiet: bool = False
    #: Filter for JSON, which then is the default on a terminal too.
    jq: JqFilter | None = None

    def chosen(self, default: Format) -> Format:
        """The format that the user chose, else a table on a terminal and `default` elsewhere."""
        as_table = self.jq is None and is_terminal(sys.stdout)
        return self.format or (Format.TABLE if as_table else default)

    @property
    def is_table(self) -> bool:
        """Whether the output is a table."""
        return self.chosen(Format.JSON) in TABLES

    def one(
        self,
        value: Any,
        *,
        table: Callable[[], RenderableType | None],
        ids: Sequence[str] | None = None,
        raw: bytes | None = None,
        title: str | None = None,
    ) -> None:
        """Print one object in the chosen format. `ids` and `raw` are None if it has none.

        `table`: makes its view; None is not printed. `title`: precedes it in a table, if it is one of several objects.
        """
        match self.chosen(Format.JSON):
            case Format.TABLE | Format.WIDE:
                if title is not None:
                    print_lines([f"── {printable(title)}"], BOLD)
                if (view := table()) is not None:
                    self.console().print(view)
            case Format.IDS if ids is not None:
                write(b"".join(f"{printable(one)}\n".encode() for one in ids))
            case Format.RAW if raw is not None:
                write(raw)
            case Format.JSON | Format.JSONL:
                self.json_line(value)
            case Format.YAML:
                write((b"---\n" if title is not None else b"") + yaml_document(value))
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
        empty: str | Callable[[], str] = "nothing found",
        keep: str | None = None,
        fields: Sequence[str] | None = None,
        may_have: Sequence[str] = (),
    ) -> int:
        """Print rows as they arrive. Returns their number.

        `envelope`: makes what `-o json` prints of the rows; by default an array. `empty`: the notice in place of an
        empty table. `keep`: title of a column that is shown in any case. `fields`: those of `-o csv`; by default all,
        with those that only some rows may have.
        """
        count = 0

        async def counted(batches: AsyncGenerator[Sequence[Any], None]) -> AsyncGenerator[Sequence[Any], None]:
            nonlocal count
            async for batch in batches:
                count += len(batch)
                yield batch

        async with aclosing(_batches(rows)) as unlimited, aclosing(counted(unlimited)) as batches:
            match format := self.chosen(Format.JSONL):
                case Format.TABLE | Format.WIDE:
                    table = TableStream(columns, width_of(sys.stdout), keep=keep, whole=format is Format.WIDE)
                    try:
                        async for batch in batches:
                            table.add(batch)
                    finally:  # what was done before an error or Ctrl-C is shown
                        table.end()
                    if not count:
                        self.notice(empty if isinstance(empty, str) else empty())
                case Format.JSON:
                    found = [row async for batch in batches for row in batch]
                    self.json_line(envelope(found) if envelope else found)
                case Format.JSONL if self.jq is not None:
                    encode = _json_lines(rows)
                    async for batch in batches:
                        for line in encode(batch).splitlines():
                            self.json_line(line, _EACH_ROW)
                case Format.JSONL:
                    await write_lines(batches, _json_lines(rows))
                case Format.YAML:
                    async for batch in batches:
                        write(b"".join(yaml_document([row]) for row in batch))
                    if not count:
                        write(yaml_document([]))
                case Format.CSV:
                    csv_rows = CsvRows(fields, may_have)
                    async for batch in batches:
                        write(csv_rows.encode(batch))
                        flush()
                    if not count:
                        write(csv_rows.encode([]))
                case Format.IDS if id_field is not None:
                    await write_lines(batches, lambda batch: _id_lines(row[id_field] for row in batch))
                case other:
                    raise InvalidInput(f"-o {other} is not supported by this command")
        flush()
        return count

    def json_line(self, value: Any, hint: str = "") -> None:
        """Print a value, or encoded JSON, as a line; with --jq the lines that the filter makes of it.

        `hint`: follows the message of an error of the filter.
        """
        encoded = value if isinstance(value, bytes) else dumps(value)
        for line in [encoded] if self.jq is None else self.jq.lines(encoded, hint):
            write(line + b"\n")

    def console(self) -> Console:
        """The console for tables on stdout."""
        return new_console(sys.stdout, self.color)

    @property
    def live(self) -> bool:
        """Whether to redraw in place: stdout is a capable terminal, and no format was chosen."""
        return is_terminal(sys.stdout) and not is_dumb() and self.format is None and self.jq is None

    def line(self, value: Any, texts: Callable[[], Iterable[str]]) -> None:
        """Print one event at once: as a line of JSON or a YAML document, or as lines of text on a terminal."""
        match self.chosen(Format.JSONL):
            case Format.TABLE | Format.WIDE:
                print_lines(map(printable, texts()))
            case Format.YAML:
                write(b"---\n" + yaml_document(value))
            case _:
                self.json_line(value)
        flush()

    def notice(self, text: str) -> None:
        """Print a notice on stderr, unless --quiet was given."""
        if not self.quiet and sys.stderr is not None:
            print(without_secrets(printable(text)), file=sys.stderr, flush=True)  # noqa: T201

    def prints_rows_to_terminal(self, *, collected: bool) -> bool:
        """Whether rows are printed to a terminal one by one. `collected`: JSON is printed at the end."""
        at_the_end = collected and self.chosen(Format.JSONL) is Format.JSON
        return is_terminal(sys.stdout) and not at_the_end

    @contextmanager
    def progress(self, total: int | None, what: str, *, visible: bool = True) -> Iterator[Callable[[int], None]]:
        """Show a progress bar on stderr if that is a terminal and the work takes long. Yields `on_step(steps)`.

        `total`: number of all steps; None if unknown.
        """
        if self.quiet or not visible or total == 0 or not is_terminal(sys.stderr) or is_dumb():
            yield lambda _: None
            return
        bar: Progress | None = None  # made only if the work takes long
        visible_at = time.monotonic() + PROGRESS_DELAY_SECONDS
        done = 0
        ended = False

        def on_step(steps: int) -> None:
            nonlocal bar, done
            done = min(done + steps, total) if total is not None else done + steps  # a scan reports approximate steps
            if bar is None and not ended and time.monotonic() > visible_at:
                bar = self._new_bar(total, what)
                bar.start()
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)

        try:
            yield on_step
        finally:
            ended = True
            if bar is not None:
                bar.stop()

    def _new_bar(self, total: int | None, what: str) -> Progress:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = new_console(sys.stderr, self.color)
        bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
        bar.add_task(what, total=total)
        return bar


def _json_lines(rows: Any) -> Callable[[Sequence[Any]], bytes]:
    if isinstance(rows, Batches) and rows.json_lines is not None:
        return rows.json_lines
    encode = json_dumps()
    return lambda batch: b"".join([encode(row) + b"\n" for row in batch])


def _id_lines(ids: Iterable[Any]) -> bytes:
    texts = [*map(str, ids)]
    if not "".join(texts).isprintable():
        texts = [*map(printable, texts)]
    return "".join([f"{one}\n" for one in texts]).encode()


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
