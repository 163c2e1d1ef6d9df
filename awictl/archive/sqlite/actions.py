"""The rows of the table `actions`: chunks of actions that the newest snapshot of a session lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from ...errors import InvalidData
from ..chunks import Chunk, ChunkDecoder, EncodedChunk, agent_key, encode_chunk
from ..compression import compress, decompress


def insert_chunks(
    db: sqlite3.Connection, session_id: str, agent_id: str | None, chunks: Iterable[Chunk]
) -> list[EncodedChunk]:
    """Write chunks of a session of this agent, and return them as they were written. Idempotent."""
    agent = agent_key(agent_id)
    encoded = [one for chunk in chunks for one in encode_chunk(chunk)]
    rows = [
        (session_id, agent, chunk.first, digest, len(chunk.actions), chunk.overwritten, compress(raw))
        for chunk, raw, digest in encoded
    ]
    # actions that were overwritten, and are in the session again, are not overwritten any more
    db.executemany(
        """INSERT INTO actions (session_id, agent, first, digest, count, overwritten, packed)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
        SET count = excluded.count, overwritten = min(overwritten, excluded.overwritten), packed = excluded.packed""",
        rows,
    )
    return encoded


def have_chunks(
    db: sqlite3.Connection, session_id: str, agent_id: str | None, encoded: Iterable[EncodedChunk], limit: int
) -> bool:
    """Whether all of these chunks are in the table. limit: maximum number of bytes of each."""
    agent = agent_key(agent_id)
    for one in encoded:
        row = db.execute(
            "SELECT packed, digest FROM actions WHERE session_id = ? AND agent = ? AND first = ? AND digest = ?",
            (session_id, agent, one.chunk.first, one.digest),
        ).fetchone()
        try:
            if row is None or decompress(row["packed"], row["digest"], session_id, limit=limit) != one.raw:
                return False
        except InvalidData:
            return False
    return True


def load_chunks(db: sqlite3.Connection, session_id: str, agent_id: str | None, where: str, limit: int) -> list[Chunk]:
    """Return the chunks of a session of this agent, without damaged ones.

    where: the archive, for messages; limit: see `ChunkDecoder`.
    """
    agent = agent_key(agent_id)
    decoder = ChunkDecoder(limit)
    for row in db.execute("SELECT * FROM actions WHERE session_id = ?", (session_id,)):
        if agent_key(row["agent"]) == agent:
            overwritten = "overwritten" in row.keys() and row["overwritten"] == 1  # noqa: SIM118  # a column of version 2
            place = f"{where}: trimmed actions of {session_id}"
            decoder.add(row["first"], row["packed"], row["digest"], place, overwritten=overwritten)
    return decoder.chunks
