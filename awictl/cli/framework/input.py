"""Values that commands read from arguments, files and stdin: JSON and lists of ids."""

import os
import select
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from .parsers import plain_ids
from .stdout import is_terminal

#: Maximum number of ids in a batch.
BATCH_IDS = 1_000
#: Bytes of ids that are read from stdin at once. From a pipe, one read returns what has arrived.
_CHUNK = 65_536
#: Maximum length of one id on stdin, in bytes; none is that long.
_MAX_ID_BYTES = 65_536


def _stdin(what: str) -> int:
    """The file descriptor of stdin. On a terminal, say that input is awaited. Raises InvalidInput if it is closed."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed; - reads from stdin")
    if is_terminal(sys.stdin):
        import logging  # not needed for a page of help

        logging.getLogger("awictl").warning("reading %s from the terminal; end with Ctrl-D", what)
    return sys.stdin.fileno()


def _read(number: int, size: int) -> bytes:
    """Wait for data and return at most `size` bytes; empty at the end."""
    while True:
        try:
            return os.read(number, size)
        except BlockingIOError:  # another process made this pipe or terminal non-blocking
            select.select([number], [], [])


def read_stdin(limit: int = -1, what: str = "stdin") -> bytes:
    """Read stdin to its end, or at most `limit` bytes. Raises InvalidInput if it is closed.

    It blocks, so call it before the event loop starts, or in a daemon thread. `what`: what is read, for the notice.
    """
    number, chunks, left = _stdin(what), [], limit
    # not sys.stdin.buffer, whose lock an abandoned daemon thread would hold when the interpreter exits
    while left and (chunk := _read(number, _CHUNK if left < 0 else min(_CHUNK, left))):
        chunks.append(chunk)
        left -= len(chunk) if left > 0 else 0
    return b"".join(chunks)


@contextmanager
def open_input(given: str, what: str) -> Iterator[Callable[[int], bytes]]:
    """Open a file, or stdin if `given` is -. Yields a function that blocks and reads at most so many bytes.

    `what`: what is read, for the notice on a terminal. Raises InvalidInput.
    """
    if given == "-":
        number = _stdin(what)
        yield lambda size: _read(number, size)
        return
    try:
        file = Path(given).open("rb", buffering=0)  # noqa: SIM115  # closed below
    except OSError as error:
        raise InvalidInput(f"{given}: {error.strerror}") from None
    with file:
        yield lambda size: file.read(size) or b""


def read_json(given: str, what: str, limit: int, setting: str = "AWI_MAX_DELTA_BYTES") -> Any:
    """Parse JSON that is given as text, as @FILE, or as - for stdin.

    `limit`: maximum size in bytes, the value of `setting`. `what`: its name in messages. Raises InvalidInput.
    """
    from ...document.json_codec import parse_input

    text = _text(given, what, limit)
    if len(text) > limit:
        raise InvalidInput(f"{what} is larger than {limit:,} bytes, the limit set by {setting}")
    try:
        return parse_input(text)
    except InvalidInput as error:
        raise InvalidInput(f"{what} is {error}") from None


def _text(given: str, what: str, limit: int) -> bytes:
    """Read the text; at most one byte more than `limit`."""
    if given == "-":
        return read_stdin(limit + 1, what)
    if given.startswith("@"):
        try:
            with Path(given[1:]).open("rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise InvalidInput(f"{given}: {error.strerror}") from None
    return given.encode("utf-8", "surrogatepass")


def read_ids(ids: Sequence[str], *, lines: bool = False) -> list[str]:
    """Return all ids at once, with those from stdin in place of a `-`, in order and without duplicates.

    For commands that need their number before they start; others use `stream_ids`. It blocks, as `read_stdin` does.
    `lines`: ids on stdin are separated by newlines alone, since they may contain spaces. Raises InvalidInput if there
    are none.
    """
    found: dict[str, None] = {}
    for one in dict.fromkeys(ids):
        found.update(dict.fromkeys(_split(read_stdin(what="ids"), lines) if one == "-" else [one]))
    if not found:
        raise InvalidInput("no ids were given")
    return plain_ids(list(found)) or []


async def stream_ids(
    ids: Sequence[str], *, lines: bool = False, most: int = BATCH_IDS
) -> AsyncGenerator[list[str], None]:
    """Yield the ids in batches of at most `most`, with those from stdin in place of a `-`, without duplicates.

    Ids on stdin are yielded as they arrive and not kept; a fingerprint of each is remembered. `lines`: they are
    separated by newlines alone, since they may contain spaces. Raises InvalidInput if there are none.
    """
    from ...util.batched import batched
    from ...util.fingerprint_set import FingerprintSet

    seen = FingerprintSet()
    empty = True
    async for found in _in_order(dict.fromkeys(ids), lines):
        fresh = seen.add_new(plain_ids(found) or [])
        for batch in batched(fresh, most):
            empty = False
            yield batch
    if empty:
        raise InvalidInput("no ids were given")


async def _in_order(ids: Iterable[str], lines: bool) -> AsyncGenerator[list[str], None]:
    """The ids that were given, and those from stdin in place of a `-`."""
    given: list[str] = []
    for one in ids:
        if one != "-":
            given.append(one)
            continue
        yield given
        given = []
        async for found in _ids_from_stdin(lines):
            yield found
    yield given


async def _ids_from_stdin(lines: bool) -> AsyncGenerator[list[str], None]:
    """The ids on stdin as they arrive, with duplicates. Raises InvalidInput."""
    from ...util.daemon_thread import in_daemon_thread

    number = _stdin("ids")
    separators = b"\n" if lines else b" \t\r\n"
    rest = b""
    while chunk := await in_daemon_thread(lambda: _read(number, _CHUNK)):
        rest += chunk
        end = max(rest.rfind(separator) for separator in separators) + 1
        if end:
            yield _split(rest[:end], lines)
            rest = rest[end:]
        if len(rest) > _MAX_ID_BYTES:
            raise InvalidInput(f"stdin does not contain ids: one would be longer than {_MAX_ID_BYTES:,} bytes")
    yield _split(rest, lines)


def _split(data: bytes, lines: bool) -> list[str]:
    """The ids in what was read from stdin."""
    text = data.decode("utf-8", "surrogateescape")
    return list(filter(None, text.replace("\r\n", "\n").split("\n") if lines else text.split()))
