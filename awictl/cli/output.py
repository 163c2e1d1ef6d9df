"""What commands print: data on stdout, everything else on stderr.

On a terminal the default is a table; in a pipe it is JSON, one object, or one a line where there are many. JSON is
never wrapped or cut.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
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

from ..errors import InvalidInput
from .tables import Column, Rows, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Seconds that rows may wait to be written together.
FLUSH_SECONDS = 0.1
#: Seconds before a progress bar is shown.
PATIENCE_SECONDS = 0.5
#: Columns of a table that is written to a pipe: so many that nothing is wrapped.
PIPE_WIDTH = 10_000


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    IDS = "ids"
    RAW = "raw"


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Batches:
    """Rows that come some hundred at a time, since there may be very many."""

    rows: AsyncGenerator[Sequence[Any], None]
    #: How many to print at the most.
    limit: int | None = None
    #: Whether they are lines already, for JSONL.
    encoded: bool = False


@dataclass(frozen=True)
class Output:
    """Where and how a command prints."""

    #: What the user asked for; None: what suits the place.
    format: Format | None = None
    color: bool = True
    quiet: bool = False

    def chosen(self, default: Format) -> Format:
        """The format: what was asked for, else a table on a terminal and `default` elsewhere."""
        return self.format or (Format.TABLE if _is_terminal(sys.stdout) else default)

    def one(
        self,
        value: Any,
        *,
        table: Callable[[], RenderableType],
        ids: Sequence[str] | None = None,
        raw: bytes | None = None,
    ) -> None:
        """Print one thing: JSON, or what the format says. `ids` and `raw` are None where it has none."""
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
                raise InvalidInput(f"-o {other}: this command has no such output")
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
        """Print rows as they come. `envelope`: what `-o json` prints around them, an array unless told otherwise."""
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
                    await _write_lines(batches, bytes if encoded else json_dumps())
                case Format.IDS if id_field is not None:
                    await _write_lines(batches, lambda row: printable(str(row[id_field])).encode())
                case other:
                    raise InvalidInput(f"-o {other}: this command has no such output")
        flush()

    def console(self) -> Console:
        """The console for tables on stdout."""
        return _console(sys.stdout, self.color)

    @property
    def live(self) -> bool:
        """Whether to draw what changes in place: on a terminal that can, where nothing else was asked for."""
        return _is_terminal(sys.stdout) and not _is_dumb() and self.format is None

    def line(self, value: Any, texts: Callable[[], Iterable[str]]) -> None:
        """Print one of many things that come over time, at once: as JSON, or on a terminal as lines of text."""
        if self.chosen(Format.JSONL) is Format.TABLE:
            for text in texts():
                print(printable(text))  # noqa: T201  # as stdout encodes it
        else:
            write(dumps(value) + b"\n")
        flush()

    def notice(self, text: str) -> None:
        """Tell the user something on stderr, unless asked to be quiet."""
        if not self.quiet and sys.stderr is not None:
            print(printable(text), file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[int], None]]:
        """A progress bar on stderr, where that is a terminal, for what takes long.

        Yields what is told of each step how far it went.
        """
        if self.quiet or not total or not _is_terminal(sys.stderr) or _is_dumb():
            yield lambda _: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        bar = Progress(*columns, console=_console(sys.stderr, self.color), transient=True)
        task = bar.add_task(what, total=total)
        begins = time.monotonic() + PATIENCE_SECONDS
        done = 0

        def on_step(steps: int) -> None:
            nonlocal done
            done = min(done + steps, total)  # steps of a scan are more or less what they say
            bar.update(task, completed=done)
            if not bar.live.is_started and time.monotonic() > begins:
                bar.start()

        try:
            yield on_step
        finally:
            if bar.live.is_started:
                bar.stop()


def dumps(value: Any) -> bytes:
    """Compact JSON; the encoder is imported when there is something to encode."""
    return json_dumps()(value)


def json_dumps() -> Callable[[Any], bytes]:
    """The encoder itself, for those that encode many values."""
    from ..document import json_codec

    return json_codec.dumps


def write(data: bytes) -> None:
    """Write bytes to stdout, behind what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def settle_output() -> None:
    """After a failure, see whether stdout can still be written; if not, leave the interpreter nothing to fail with."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush() -> None:
    """Hand everything to the operating system, so that a failure to write shows up here."""
    sys.stdout.flush()


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


async def _write_lines(batches: AsyncIterator[Sequence[Any]], encode: Callable[[Any], bytes]) -> None:
    waiting: list[bytes] = []
    written = 0.0  # the first lines are written at once
    async for batch in batches:
        waiting += map(encode, batch)
        if (now := time.monotonic()) - written > FLUSH_SECONDS:
            _write_all(waiting)
            written = now
    _write_all(waiting)


def _write_all(lines: list[bytes]) -> None:
    """Hand these lines to the operating system, and forget them."""
    if lines:
        write(b"\n".join(lines) + b"\n")
        flush()
        lines.clear()


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def _is_dumb() -> bool:
    """Whether the terminal can do no more than print lines."""
    return os.environ.get("TERM", "dumb") in ("dumb", "unknown")


def _console(stream: Any, color: bool) -> Console:
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for the handler of all errors; Rich itself would exit here

    width = None if _is_terminal(stream) or "COLUMNS" in os.environ else PIPE_WIDTH
    return PlainConsole(
        file=stream, width=width, no_color=not color or None, highlight=False, markup=False, emoji=False
    )
