"""Bytes and consoles for stdout, and what kind of terminal it is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds for which lines are collected before they are written together.
FLUSH_SECONDS = 0.1
#: Width in columns of a table that is written to a pipe: wide enough that nothing is wrapped.
PIPE_WIDTH = 10_000


def dumps(value: Any) -> bytes:
    """Encode a value as compact JSON. The encoder is imported on first use."""
    return json_dumps()(value)


def json_dumps() -> Callable[[Any], bytes]:
    """The JSON encoder itself, for callers that encode many values."""
    from ...document import json_codec

    return json_codec.dumps


def write(data: bytes) -> None:
    """Write bytes to stdout, after the text that was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def settle_output() -> None:
    """Flush stdout after a failure. If that fails too, redirect it to /dev/null for the interpreter's exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush() -> None:
    """Flush stdout, so that a failed write is raised here."""
    sys.stdout.flush()


async def write_lines(batches: AsyncIterator[Sequence[Any]], encode: Callable[[Any], bytes]) -> None:
    waiting: list[bytes] = []
    written = 0.0
    try:
        async for batch in batches:
            waiting += map(encode, batch)
            if (now := time.monotonic()) - written > FLUSH_SECONDS:
                _write_all(waiting)
                written = now
    finally:  # after an error, too: what was done is reported
        _write_all(waiting)


def _write_all(lines: list[bytes]) -> None:
    """Write the lines, and clear the list."""
    if lines:
        write(b"\n".join(lines) + b"\n")
        flush()
        lines.clear()


def is_terminal(stream: Any) -> bool:
    """Whether a stream (None if it is closed) is a terminal."""
    return stream is not None and stream.isatty()


def is_dumb() -> bool:
    """Whether the terminal cannot move its cursor."""
    return os.environ.get("TERM", "dumb") in ("dumb", "unknown")


def new_console(stream: Any, color: bool) -> Console:
    """A Rich console for a stream that raises BrokenPipeError, and takes no markup from text."""
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for the one error handler; Rich would exit here

    width = None if is_terminal(stream) or "COLUMNS" in os.environ else PIPE_WIDTH
    return PlainConsole(
        file=stream, width=width, no_color=not color or None, highlight=False, markup=False, emoji=False
    )
