"""The chunks in the collection `awi_actions`: actions that the newest snapshot of a session lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from ...errors import Unreachable
from ...store.mongo.connection import Document
from ...store.mongo.errors import only_duplicates
from ..chunks import Chunk, ChunkDecoder, agent_key, encode_chunk
from ..compression import compress, decompress
from .collections import Collections


class ArchivedActions:
    """The chunks of all sessions. `where` names the archive in messages; max_bytes: of one chunk."""

    def __init__(self, collections: Collections, where: str, max_bytes: int) -> None:
        self._collections = collections
        self._where = where
        self._max_bytes = max_bytes

    async def save(self, chunks: Iterable[tuple[str, str | None, Chunk]]) -> None:
        """Write chunks, given with the ids of their session and agent, and read them back. Idempotent."""
        wanted: dict[str, bytes] = {}
        writes: list[ReplaceOne[Document]] = []
        for session_id, agent_id, chunk in chunks:
            agent = agent_key(agent_id)
            for one in encode_chunk(chunk):
                name = chunk_name(session_id, agent, one.chunk.first, one.digest, overwritten=chunk.overwritten)
                if name in wanted:
                    continue
                wanted[name] = one.raw
                document = {
                    "_id": name,
                    "session": session_id,
                    "agent": agent,
                    "first": one.chunk.first,
                    "count": len(one.chunk.actions),
                    "overwritten": chunk.overwritten,
                    "digest": one.digest,
                    "packed": compress(one.raw),
                }
                writes.append(ReplaceOne({"_id": name}, document, upsert=True))
        if not writes:
            return
        actions = self._collections.actions
        try:
            await actions.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
        fields = {"digest": 1, "packed": 1}
        back = {}
        async for found in actions.find({"_id": {"$in": list(wanted)}}, fields):
            where = f"{self._where}: {found['_id']}"
            back[found["_id"]] = decompress(found["packed"], found["digest"], where, limit=self._max_bytes)
        if back != wanted:
            raise Unreachable(f"{self._where}: archived actions were not read back as written")

    async def load(self, session_id: str, agent_id: str | None) -> list[Chunk]:
        """Return the chunks of a session of this agent, without damaged ones."""
        return (await self.load_many({session_id: agent_id}))[session_id]

    async def load_many(self, agents: Mapping[str, str | None]) -> dict[str, list[Chunk]]:
        """Return the chunks of sessions, given with their agents, without damaged ones."""
        if not agents:
            return {}
        wanted = {session_id: agent_key(agent_id) for session_id, agent_id in agents.items()}
        decoders = {session_id: ChunkDecoder(self._max_bytes) for session_id in wanted}
        own = {"session": {"$in": list(wanted)}}
        legacy = {"sessionId": {"$in": list(wanted)}, "kind": "actions"}
        for collection, query, field in (
            (self._collections.actions, own, "session"),
            (self._collections.legacy_parts, legacy, "sessionId"),
        ):
            async with collection.find(query) as cursor:
                async for one in cursor:
                    session_id = one[field]
                    if agent_key(one.get("agent")) == wanted[session_id]:
                        decoders[session_id].add(
                            one.get("first"),
                            one.get("packed"),
                            one.get("digest"),
                            f"{self._where}: {one['_id']}",
                            overwritten=one.get("overwritten") is True,
                        )
        return {session_id: decoder.chunks for session_id, decoder in decoders.items()}


def chunk_name(session_id: str, agent: str, first: int, digest: str, *, overwritten: bool = False) -> str:
    """Return the `_id` of a chunk: the same actions at the same place are stored once."""
    return f"{session_id}:{agent}:{first}:{digest}" + (":overwritten" if overwritten else "")
