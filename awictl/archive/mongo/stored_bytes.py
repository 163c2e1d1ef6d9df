"""Read the bytes of an archived session: those in its document, or those of its parts."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from ...errors import AwiError
from ...store.mongo.connection import Document
from ..compression import decompress
from ..values import as_count

#: Maximum number of parts of a session that are read.
MAX_PARTS = 10_000


def part_names(session_id: str, digest: str, count: int) -> list[str]:
    """Return the `_id` of each part of a session that is split."""
    return [f"{session_id}:document:{digest}:{number}" for number in range(count)]


async def stored_bytes(
    session_id: str, fields: Document, parts: AsyncCollection[Document], where: str, max_bytes: int
) -> bytes | AwiError:
    """Return the bytes of a session, at most `max_bytes`, or the error if they are damaged.

    fields: `digest`, `bytes`, and `packed` or `parts`; parts: the collection that has the parts.
    """
    packed: Any = fields.get("packed")
    if count := as_count(fields.get("parts")):
        names = part_names(session_id, str(fields.get("digest")), min(count, MAX_PARTS))
        packed = await _joined(names, parts, max_bytes)
    size = fields.get("bytes")
    try:
        return decompress(packed, fields.get("digest"), f"{where}: {session_id}", size=size, limit=max_bytes)
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
