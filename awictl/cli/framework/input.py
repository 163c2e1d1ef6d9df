"""Values that commands read from arguments, files and stdin: JSON and lists of ids."""

import sys
from pathlib import Path
from typing import Any

from ...errors import InvalidInput


def read_stdin(limit: int = -1) -> bytes:
    """What stdin holds, at most `limit` bytes of it."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed: there is nothing to read for -")
    return sys.stdin.buffer.read(limit)


def read_json(given: str, what: str, limit: int, setting: str = "AWI_MAX_DELTA_BYTES") -> Any:
    """The JSON that was given as an argument, as @FILE, or as - for stdin.

    `limit`: bytes that it may have, which `setting` sets. Raises InvalidInput, saying `what` is wrong.
    """
    from ...document.json_codec import parse_input

    text = _text(given, limit)
    if len(text) > limit:
        raise InvalidInput(f"{what} has more than {limit:,} bytes, the limit that {setting} sets")
    try:
        return parse_input(text)
    except InvalidInput as error:
        raise InvalidInput(f"{what} is {error}") from None


def _text(given: str, limit: int) -> bytes:
    """The text itself; of a larger one just enough to tell."""
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
    """The ids that were given, those from stdin in the place of a `-`. Each once, in their order.

    `lines`: those of stdin stand one a line, since they may have spaces in them.
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
        raise InvalidInput("no id was given")
    return list(found)
