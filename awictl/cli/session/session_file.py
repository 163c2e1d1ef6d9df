"""A session in a file: a document as `session show` prints it, or what `session export` writes."""

from pathlib import Path
from typing import Any

from ...document.keys import is_session_id
from ...errors import InvalidData, InvalidInput
from ..framework.input import read_stdin


def is_file(word: str) -> bool:
    """Whether an argument that may be an id or a file is a file: everything that cannot be an id, and `-` for stdin."""
    return not is_session_id(word)


def read_session(name: str, limit: int) -> dict[str, Any]:
    """Read the document of the session in a file, or from stdin for `-`. Raises InvalidInput, InvalidData.

    It blocks, so call it before the event loop starts. `limit`: maximum size in bytes.
    """
    from ...document.json_codec import loads_at

    text = _text(name, limit + 1)
    if len(text) > limit:
        raise InvalidInput(f"{name} is larger than {limit:,} bytes, the limit set by AWI_MAX_DOCUMENT_BYTES")
    document = loads_at(text, name)
    if not isinstance(document, dict):
        raise InvalidData(f"{name} is not a session document")
    return document


def _text(name: str, limit: int) -> bytes:
    if name == "-":
        return read_stdin(limit, "a session document")
    try:
        with Path(name).open("rb") as file:
            return file.read(limit)
    except OSError as error:
        hint = "" if Path(name).parent.name or "." in name else ", and no session id either (sess_…)"
        raise InvalidInput(f"{name}: {error.strerror}{hint}") from None
