"""List the sessions of an archive in batches that can be loaded at once: bounded in number and size."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from .base import BATCH_BYTES, BATCH_SESSIONS, Archive, ArchiveQuery

#: Size that is assumed of a document of the app, whose size the archive does not know, in bytes.
_APP_BYTES = 262_144


async def id_batches(archive: Archive, query: ArchiveQuery) -> AsyncGenerator[list[str], None]:
    """Yield the ids of the sessions that match, in the order of `Archive.find`, as they are found."""
    batch: list[str] = []
    size = 0
    async with aclosing(archive.find(query)) as summaries:
        async for one in summaries:
            bytes_of_one = one.bytes if one.bytes is not None else _APP_BYTES
            if batch and (len(batch) == BATCH_SESSIONS or size + bytes_of_one > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(one.session_id)
            size += bytes_of_one
    if batch:
        yield batch
