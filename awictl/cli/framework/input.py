"""Values that commands read from arguments, files and stdin: JSON and lists of ids."""

import sys
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from .parsers import plain_ids


def read_stdin(limit: int = -1) -> bytes:
    """Read stdin to its end, or at most `limit` bytes. Raises InvalidInput if it is closed."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed; - reads from stdin")
    return sys.stdin.buffer.read(limit)


def read_json(given: str, what: str, limit: int, setting: str = "AWI_MAX_DELTA_BYTES") -> Any:
    """Parse JSON that is given as text, as @FILE, or as - for stdin.

    `limit`: maximum size in bytes, the value of `setting`. `what`: its name in messages. Raises InvalidInput.
    """
    from ...document.json_codec import parse_input

    text = _text(given, limit)
    if len(text) > limit:
        raise InvalidInput(f"{what} is larger than {limit:,} bytes, the limit set by {setting}")
    try:
        return parse_input(text)
    except InvalidInput as error:
        raise InvalidInput(f"{what} is {error}") from None


def _text(given: str, limit: int) -> bytes:
    """Read the text; at most one byte more than `limit`."""
    if given == "-":
        return read_stdin(limit + 1)
    if given.startswith("@"):
        try:
            with Path(given[1:]).open("rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise InvalidInput(f"{given}: {error.strerror}") from None
    return given.encode("utf-8", "surrogatepass")


def read_ids(ids: list[str], *, lines: bool = False) -> list[str]:
    """Return the ids, with those from stdin in place of a `-`, in order and without duplicates.

    `lines`: ids on stdin are separated by newlines alone, since they may contain spaces. Raises InvalidInput if there
    are none.
    """
    found: dict[str, None] = {}
    for one in ids:
        if one != "-":
            found[one] = None
            continue
        text = read_stdin().decode("utf-8", "surrogateescape")
        words = text.replace("\r\n", "\n").split("\n") if lines else text.split()
        found.update(dict.fromkeys(filter(None, words)))
    if not found:
        raise InvalidInput("no ids were given")
    return plain_ids(list(found)) or []
