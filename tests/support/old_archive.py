"""Write to MongoDB what earlier versions of awictl archived: documents of format 1 in the app's collection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from awictl.archive.chunks import Chunk, encode_chunk
from awictl.archive.compression import compress
from awictl.archive.mongo.app_view import app_view
from awictl.archive.mongo.stored_bytes import part_names
from awictl.archive.snapshot import Snapshot

from .archives import NOW
from .mongo import MongoServer


def put_old(
    mongo: MongoServer,
    snapshot: Snapshot,
    *,
    expired_at: datetime | None = None,
    parts: int = 0,
    trimmed: Sequence[Chunk] = (),
) -> None:
    """Archive a snapshot as an earlier version did.

    expired_at: mark it as ended then. parts: number of parts that its bytes are split into. trimmed: its chunks.
    """
    packed = compress(snapshot.raw)
    awi: dict[str, Any] = {
        "format": 1,
        "digest": snapshot.digest,
        "revision": snapshot.revision._asdict(),
        "lastAction": snapshot.last_action_digest,
        "agentId": snapshot.agent_id,
        "bytes": len(snapshot.raw),
        "archivedAt": NOW,
        "expiresAt": snapshot.expires_at if not snapshot.ended else None,
        "server": snapshot.server or None,
        "uses": [[name, one.count, one.failed] for name, one in snapshot.action_counts.items()],
    }
    old_parts = mongo.raw["agentsessions.parts"]
    if parts:
        awi["parts"] = parts
        size = len(packed) // parts + 1
        for number, name in enumerate(part_names(snapshot.session_id, snapshot.digest, parts)):
            piece = packed[number * size : (number + 1) * size]
            part = {"_id": name, "sessionId": snapshot.session_id, "kind": "document", "digest": snapshot.digest}
            old_parts.insert_one({**part, "packed": piece})
    else:
        awi["packed"] = packed
    view = app_view(snapshot)
    if expired_at is not None:
        view |= {"sessionActive": False, "sessionEndedAt": expired_at}
    mongo.sessions.create_index([("sessionId", 1)], unique=True)
    mongo.sessions.insert_one({**view, "awi": awi})
    for chunk in trimmed:
        for one in encode_chunk(chunk):
            made = {
                "_id": f"{snapshot.session_id}:actions:{snapshot.agent_id}:{one.chunk.first}:{one.digest}",
                "sessionId": snapshot.session_id,
                "kind": "actions",
                "agent": snapshot.agent_id,
                "first": one.chunk.first,
                "digest": one.digest,
                "packed": compress(one.raw),
            }
            old_parts.insert_one(made)
