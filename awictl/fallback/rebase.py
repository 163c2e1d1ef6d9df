"""Put a journaled session on a newer version of what it began with, which another process did not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..document.splice import FOLLOWING_BYTES, Base
from ..errors import InvalidData
from ..store.mongo.documents import FOREVER, divide, op_ids_of, size_of, stored_parts
from .progress import progress_of
from .versions import rebased

if TYPE_CHECKING:
    from ..store.mongo.sessions import MongoStore
    from .journal import Entry


async def rebase(store: MongoStore, entry: Entry, record: Base, head: dict[str, Any], others: Sequence[Any]) -> bool:
    """Rebase a session, unless it has changed since `record` was read, with its trajectory. Returns whether it had not.

    `head`: the version that is known, without its trajectory. `others`: actions of it that are known.
    """
    newer = progress_of(head).compared_to(entry.progress) > 0
    try:
        found = rebased(record, entry.home or 0, head if newer else None, others)
    except InvalidData:  # a recorded action that is none: homecoming deals with it
        return True
    if found is None:
        return True
    raw, home = found
    database, session_id = store.database, entry.session_id
    divided = divide(session_id, record.revision, raw)
    parts = [new.part for new in divided.parts]
    if parts:
        await store.contents.insert_parts(session_id, divided.parts, FOREVER)
    fields = {
        "head": divided.head,
        "following": raw[len(divided.head) :][:FOLLOWING_BYTES],
        "parts": stored_parts(parts),
        "lines": divided.lines,
        "op_ids": op_ids_of(divided.lines),
        "inline": len(divided.lines),
        "inline_bytes": size_of(divided.lines),
        "count": divided.actions,
        "length": divided.length,
        "parts_until": FOREVER,
        "home": home,
        "progress": list(progress_of(head) if newer else entry.progress),
    }
    with database.request():
        before = await database.sessions.find_one_and_update(
            {"_id": session_id, "revision": record.revision, "taken": {"$ne": True}},
            {"$set": fields, "$inc": {"revision": 1}},
            projection={"parts.id": 1},
        )
        unused = [one["id"] for one in before["parts"]] if before is not None else [part.id for part in parts]
        if unused:
            await database.parts.delete_many({"_id": {"$in": unused}})
    return before is not None
