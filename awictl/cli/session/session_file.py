"""A session in a file: a document as `session show` prints it, or what `session export` writes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...document.keys import is_session_id
from ...errors import InvalidData, InvalidInput
from ..framework.input import open_input

if TYPE_CHECKING:
    from ...sessions.whole_session import WholeSession

#: How a file of `session export` begins.
_EXPORT = b'{"awictl_export":'
#: Maximum number of bytes that are read at once.
_CHUNK = 1_048_576

Read = Callable[[int], bytes]


def is_file(word: str) -> bool:
    """Whether an argument that may be an id or a file is a file: everything that cannot be an id, and `-` for stdin."""
    return not is_session_id(word)


def read_session(name: str, limit: int, wanted: str | None) -> "WholeSession":
    """Read the session in a file, or from stdin for `-`. Raises InvalidInput, InvalidData.

    It blocks, so call it before the event loop starts. `limit`: maximum size of a document in bytes. `wanted`: the id
    of the session to take from an exported file with several ones.
    """
    if "." not in name and "/" not in name and name != "-":
        with suppress(OSError):  # it is reported when the file is opened
            if not Path(name).exists():
                raise InvalidInput(f"{name!a:.80} is neither a session id (it would begin with sess_) nor a file")
    with open_input(name, "a session") as read:
        start = _at_least(read, len(_EXPORT))
        if start.startswith(_EXPORT):
            return _exported(_again(start, read), name, limit, wanted)
        return _document(start + _at_least(read, limit + 1 - len(start)), name, limit)


def _document(text: bytes, name: str, limit: int) -> "WholeSession":
    from ...document.json_codec import loads_at
    from ...sessions.whole_session import whole_from_document

    if len(text) > limit:
        raise InvalidInput(f"{name} is larger than {limit:,} bytes, the limit set by AWI_MAX_DOCUMENT_BYTES")
    document = loads_at(text, name)
    if not isinstance(document, dict):
        raise InvalidData(f"{name} is not a session document")
    try:
        return whole_from_document(document)
    except InvalidData as error:
        raise InvalidData(f"{name}: {error}") from None


def _exported(read: Read, name: str, limit: int, wanted: str | None) -> "WholeSession":
    """The wanted session, or the only one."""
    from ...sessions.export.reader import ExportReader
    from ...sessions.whole_session import whole_from_export

    reader = ExportReader(read, name, limit)
    reader.header()
    notices: tuple[str, ...] = ()
    if reader.redaction is not None:
        notices = (f"{name} is redacted: what was replaced in it is not equal to the original",)
    found = None
    for session in reader.sessions_in_file():
        if session.line.session == wanted:
            return replace(whole_from_export(session), notices=notices)
        found = found or session
    if found is None:
        raise InvalidInput(f"{name} has no session")
    if reader.sessions > 1:
        such = f"none of them is {wanted}" if wanted is not None else "pass the id of one of them as the other argument"
        raise InvalidInput(f"{name} has {reader.sessions:,} sessions: {such}, or export one alone")
    return replace(whole_from_export(found), notices=notices)


def _at_least(read: Read, size: int) -> bytes:
    """The next `size` bytes or some more; less only at the end."""
    chunks = []
    while size > 0 and (chunk := read(min(size, _CHUNK))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _again(start: bytes, read: Read) -> Read:
    """A function that reads `start`, which was read already, and then the rest."""
    pending = [start]
    return lambda size: pending.pop() if pending else read(size)
