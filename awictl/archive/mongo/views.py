"""The app's view of sessions that are gone from Redis, which awictl adds to the app's collection `agentsessions`.

A view is marked with `awi: {view: 1, digest: …}`. awictl never changes other documents of that collection here, and
reads no session from a view: it is derived from `awi_sessions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from ...store.mongo.connection import Document
from ...store.mongo.errors import only_duplicates
from ..snapshot import Snapshot
from .app_view import app_view
from .collections import Collections
from .documents import Write
from .values import as_datetime

#: Version of the views.
VIEW = 1
#: Filter for the views.
ANY_VIEW: Document = {"awi.view": {"$exists": True}}


def view_of(snapshot: Snapshot, found: Document) -> Document:
    """Return the view of a session that is archived in the document `found` of `awi_sessions`."""
    ended_at = as_datetime(found.get("endedAt"))
    view = app_view(snapshot) | {"sessionActive": False, "sessionEndedAt": ended_at}
    return {**view, "awi": {"view": VIEW, "digest": snapshot.digest}}


async def publish(collections: Collections, sessions: Sequence[tuple[Snapshot, Document]]) -> None:
    """Add the views of sessions, given with their documents in `awi_sessions`, unless the app has its own of them."""
    if not sessions:
        return
    ids = [snapshot.session_id for snapshot, _ in sessions]
    fields = {"sessionId": 1, "awi.view": 1, "awi.digest": 1}
    existing = {
        one["sessionId"]: one
        for one in await collections.app_sessions.find({"sessionId": {"$in": ids}}, fields).to_list()
    }
    writes: list[Write] = []
    for snapshot, found in sessions:
        before = existing.get(snapshot.session_id)
        awi = (before or {}).get("awi")
        if before is None:
            writes.append(InsertOne(view_of(snapshot, found)))
        elif isinstance(awi, dict) and "view" in awi and awi.get("digest") != snapshot.digest:
            writes.append(ReplaceOne({"_id": before["_id"], "awi.digest": awi.get("digest")}, view_of(snapshot, found)))
    if writes:
        try:
            await collections.app_sessions.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            # another process added it, or the app its own document
            if not only_duplicates(error):
                raise
    done: list[Write] = [
        UpdateOne({"_id": snapshot.session_id, "digest": snapshot.digest}, {"$unset": {"unpublished": 1}})
        for snapshot, _ in sessions
    ]
    await collections.sessions.bulk_write(done, ordered=False)


async def withdraw(collections: Collections, session_ids: Sequence[str]) -> None:
    """Delete the views of sessions."""
    wanted = {"sessionId": {"$in": list(session_ids)}, **ANY_VIEW}
    if (await collections.app_sessions.delete_many(wanted)).deleted_count:
        gone = {"_id": {"$in": list(session_ids)}, "state": {"$in": ["ended", "expired"]}}
        await collections.sessions.update_many(gone, {"$set": {"unpublished": True}})
