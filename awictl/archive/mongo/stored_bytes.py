"""Read the bytes of an archived session: those in its document, or those of its parts."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from ...errors import AwiError
from ..compression import decompress
from ..values import as_count
from .connection import Document
from .documents import part_names

#: Maximum number of parts of a session that are read.
MAX_PARTS = 10_000


async def stored_bytes(
    found: Document, parts: AsyncCollection[Document], where: str, max_bytes: int
) -> bytes | AwiError:
    """Return the bytes in a document of awictl and its parts, at most `max_bytes`, or the error if they are damaged."""
    session_id, awi = found["sessionId"], found["awi"]
    packed: Any = awi.get("packed")
    if count := as_count(awi.get("parts")):
        names = part_names(session_id, str(awi.get("digest")), min(count, MAX_PARTS))
        packed = await _joined(names, parts, max_bytes)
    try:
        return decompress(packed, awi.get("digest"), f"{where}: {session_id}", size=awi.get("bytes"), limit=max_bytes)
    except AwiError as error:
        return error


async def _joined(names: list[str], parts: AsyncCollection[Document], max_bytes: int) -> bytes:
    """Return the bytes of parts, as far as they can belong to a document of the maximum size."""
    found: dict[str, bytes] = {}
    size = 0
    async for part in parts.find({"_id": {"$in": names}}):
        piece = part.get("packed")
        if isinstance(piece, bytes) and size <= max_bytes:
            size += len(piece)
            found[part["_id"]] = piece
    return b"".join(found.get(name, b"") for name in names)
