"""What commands print: data on stdout, everything else on stderr.

On a terminal the default is a table; in a pipe it is JSON, one object, or one a line where there are many. JSON is
never wrapped or cut. Tables show control characters as escapes, so that stored text cannot drive the terminal.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Seconds that rows may wait to be written together.
FLUSH_SECONDS = 0.1
#: Columns of a table that is written to a pipe: so many that nothing is wrapped.
PIPE_WIDTH = 10_000


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    IDS = "ids"
    RAW = "raw"


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and the text of its cell in a row."""

    title: str
    cell: Callable[[Mapping[str, Any]], str]
    right: bool = False


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
        rows: AsyncIterable[Mapping[str, Any]] | Iterable[Mapping[str, Any]],
        columns: Sequence[Column],
        *,
        id_field: str | None = None,
        envelope: Callable[[list[Any]], Any] | None = None,
        empty: str = "nothing found",
    ) -> None:
        """Print rows as they come. `envelope`: what `-o json` prints around them, an array unless told otherwise."""
        stream = rows if isinstance(rows, AsyncIterable) else _stream(rows)
        match self.chosen(Format.JSONL):
            case Format.TABLE:
                found = [row async for row in stream]
                if found:
                    self.console().print(table_of(found, columns))
                else:
                    self.notice(empty)
            case Format.JSON:
                found = [row async for row in stream]
                write(dumps(envelope(found) if envelope else found) + b"\n")
            case Format.JSONL:
                await _write_lines(dumps(row) async for row in stream)
            case Format.IDS if id_field is not None:
                await _write_lines(str(row[id_field]).encode() async for row in stream)
            case other:
                raise InvalidInput(f"-o {other}: this command has no such output")
        flush()

    def console(self) -> Console:
        """The console for tables on stdout."""
        return _console(sys.stdout, self.color)

    def notice(self, text: str) -> None:
        """Tell the user something on stderr, unless asked to be quiet."""
        if not self.quiet:
            print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


def dumps(value: Any) -> bytes:
    """Compact JSON; the encoder is imported when there is something to encode."""
    from ..state import codec

    return codec.dumps(value)


def write(data: bytes) -> None:
    """Write bytes to stdout, behind what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def flush() -> None:
    """Hand everything to the operating system, so that a failure to write shows up here."""
    sys.stdout.flush()


def table_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> RenderableType:
    """A table with a row for each of `rows`."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(printable(column.cell(row)) for column in columns))
    return table


def fields_of(pairs: Iterable[tuple[str, str]]) -> RenderableType:
    """A list of names and values."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, printable(value))
    return grid


def printable(text: str) -> str:
    """Text that is safe to print on a terminal: control characters, lone surrogates and the like are escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def duration(milliseconds: float | None) -> str:
    """A span of time in two units: `1h 5m`, `29m 58s`, `350ms`; a dash where there is none."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{int(milliseconds)}ms"
    seconds = int(milliseconds // 1000)
    units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
    parts: list[str] = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if part[0] != "0")


def compact(value: Any) -> str:
    """A value in one short line, for a cell."""
    return value if isinstance(value, str) else dumps(value).decode()


def pretty(value: Any) -> str:
    """A value as indented JSON, for a terminal."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


async def _write_lines(lines: AsyncIterator[bytes]) -> None:
    flushed = time.monotonic()
    async for line in lines:
        write(line + b"\n")
        if (now := time.monotonic()) - flushed > FLUSH_SECONDS:
            flush()
            flushed = now


async def _stream(rows: Iterable[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
    for row in rows:
        yield row


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def _console(stream: Any, color: bool) -> Console:
    from rich.console import Console

    width = None if _is_terminal(stream) or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=width, no_color=not color or None, highlight=False, markup=False, emoji=False)
