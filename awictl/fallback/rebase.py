"""Replace the version of a session that the journal has by another one of it, by compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..document.splice import Base, base_from_string
from ..errors import InvalidData
from ..store.mongo.documents import FOREVER, divide, string_fields
from .progress import begun_from, progress_of
from .versions import joined, rebased, trajectory

if TYPE_CHECKING:
    from ..store.mongo.sessions import MongoStore
    from .journal import Entry


async def rebase(store: MongoStore, entry: Entry, record: Base, head: dict[str, Any], others: Sequence[Any]) -> bool:
    """Put a journaled session on what another process knows of it, if that is more than what it began with.

    `record`: the session with its trajectory. `head`: the version that is known, without its trajectory. `others`:
    actions of it that are known. Returns False if the session has changed since it was read.
    """
    newer = progress_of(head).compared_to(entry.progress) > 0
    try:
        found = rebased(record, entry.home or 0, head if newer else None, others)
    except InvalidData:  # a recorded action that is none: homecoming deals with it
        return True
    if found is None:
        return True
    raw, home = found
    progress = progress_of(head) if newer else entry.progress
    return await _replace(store, entry.session_id, record, raw, {"home": home, "progress": list(progress)})


async def renew(store: MongoStore, entry: Entry, record: Base, raw: bytes) -> bool:
    """Let a session that is home begin again from a newer version; it keeps the actions that this one lacks.

    Returns False if the session has changed since it was read.
    """
    begun = joined(base_from_string(raw), trajectory(record))
    return await _replace(store, entry.session_id, record, begun, begun_from(begun))


async def settle(store: MongoStore, entry: Entry, record: Base, raw: bytes) -> bool:
    """Mark a session as home, where it has become `raw`. Returns False if it has changed since it was read."""
    home = {"pending": False, "home_at": datetime.now(UTC)}
    return await _replace(store, entry.session_id, record, raw, {**begun_from(raw), **home})


async def _replace(store: MongoStore, session_id: str, record: Base, raw: bytes, fields: Mapping[str, Any]) -> bool:
    database = store.database
    divided = divide(session_id, record.revision, raw)
    parts = [new.part for new in divided.parts]
    if parts:
        await store.contents.insert_parts(session_id, divided.parts, FOREVER)
    change = {
        **string_fields(raw, divided),
        "parts_until": FOREVER,
        **fields,
    }
    with database.request():
        before = await database.sessions.find_one_and_update(
            {"_id": session_id, "revision": record.revision, "taken": {"$ne": True}},
            {"$set": change, "$inc": {"revision": 1}},
            projection={"parts.id": 1},
        )
        unused = [one["id"] for one in before["parts"]] if before is not None else [part.id for part in parts]
        if unused:
            await database.parts.delete_many({"_id": {"$in": unused}})
    return before is not None
