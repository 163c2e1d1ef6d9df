"""Bytes and consoles for stdout, and what kind of terminal it is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .escape import printable_lines, terminal_bytes

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds for which lines are collected before they are written together.
FLUSH_SECONDS = 0.1
#: Width in columns of a table that is written to a pipe: wide enough that nothing is wrapped.
PIPE_WIDTH = 10_000
#: Width of a terminal that does not report one.
DEFAULT_WIDTH = 80
#: Escape sequences: bold, and the end of all styles.
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def dumps(value: Any) -> bytes:
    """Encode a value as compact JSON. The encoder is imported on first use."""
    return json_dumps()(value)


def json_dumps() -> Callable[[Any], bytes]:
    """The JSON encoder itself, for callers that encode many values."""
    from ...document import json_codec

    return json_codec.dumps


def write(data: bytes) -> None:
    """Write bytes to stdout, after the text that was printed before. On a terminal, control characters are escaped."""
    sys.stdout.flush()
    sys.stdout.buffer.write(terminal_bytes(data) if is_terminal(sys.stdout) else data)


def print_lines(lines: Iterable[str], style: str = "") -> None:
    """Print lines of text on stdout, as it encodes them. `style`: an escape sequence for a capable terminal."""
    text = printable_lines("\n".join(lines))
    if style and is_terminal(sys.stdout) and not is_dumb():
        text = f"{style}{text}{PLAIN}"
    sys.stdout.write(f"{text}\n")


def settle_output() -> None:
    """Flush stdout after a failure. If that fails too, redirect it to /dev/null for the interpreter's exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        discard(sys.stdout)


def discard(stream: Any) -> None:
    """Redirect a stream that cannot be written to /dev/null, so that flushing it at the exit cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_reader() -> None:
    """Raise BrokenPipeError if stdout is a pipe whose reader has closed it, which otherwise only a write finds out."""
    import select

    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)  # errors are always reported
    if any(events & select.POLLERR for _, events in pipe.poll(0)):
        raise BrokenPipeError


def flush() -> None:
    """Flush stdout, so that a failed write is raised here."""
    sys.stdout.flush()


async def write_lines(batches: AsyncIterator[Sequence[Any]], encode: Callable[[Sequence[Any]], bytes]) -> None:
    """Write rows as they arrive. `encode`: returns the lines of some rows, each with its newline."""
    waiting: list[bytes] = []
    written = 0.0
    try:
        async for batch in batches:
            waiting.append(encode(batch))
            if (now := time.monotonic()) - written > FLUSH_SECONDS:
                _write_all(waiting)
                written = now
    finally:  # after an error, too: what was done is reported
        _write_all(waiting)


def _write_all(lines: list[bytes]) -> None:
    """Write the lines, and clear the list."""
    if any(lines):
        write(b"".join(lines))
        flush()
    lines.clear()


def is_terminal(stream: Any) -> bool:
    """Whether a stream (None if it is closed) is a terminal."""
    return stream is not None and stream.isatty()


def width_of(stream: Any) -> int:
    """The width in columns of the terminal that a stream is, or COLUMNS; PIPE_WIDTH if it is none."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns) > 0:
        return int(columns)
    if not is_terminal(stream):
        return PIPE_WIDTH
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
    except OSError:
        return DEFAULT_WIDTH


def can_print(text: str) -> bool:
    """Whether the encoding of stdout has these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def is_dumb() -> bool:
    """Whether the terminal cannot move its cursor."""
    return os.environ.get("TERM", "dumb") in ("dumb", "unknown")


def new_console(stream: Any, color: bool) -> Console:
    """A Rich console for a stream that raises BrokenPipeError, takes no markup from text, and escapes all text."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for the one error handler; Rich would exit here

        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            """Every text that Rich prints passes here; views need not remember to escape it."""
            for segment in super().render(renderable, options):
                if segment.control or segment.text.isprintable() or segment.text == "\n":
                    yield segment
                else:
                    yield Segment(printable_lines(segment.text), segment.style)

    return PlainConsole(
        file=stream,
        width=None if is_terminal(stream) else width_of(stream),  # None: follow the terminal's size
        no_color=not color or None,
        highlight=False,
        markup=False,
        emoji=False,
    )
