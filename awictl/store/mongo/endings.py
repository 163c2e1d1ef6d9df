"""Sessions that are being ended, in MongoDB: `taken` is a field of the session's own document.

So taking a session is one write, and no version of it can be written back: an update that was read before that fails.
"""

from __future__ import annotations

from datetime import timedelta

from bson import Int64
from pymongo import ReturnDocument

from ..endings import Taken
from .contents import EXISTS, Contents, Whole, parts_until
from .database import LiveDatabase
from .documents import FOREVER, Document, divide, live_at, string_fields
from .mapping import Mappings

#: How long the parts of a session that is about to be deleted last, if the process ends in between.
_LEFT_PARTS = timedelta(days=7)


class MongoEndings:
    """The `EndingStore` of one MongoDB database."""

    def __init__(self, database: LiveDatabase, contents: Contents, mappings: Mappings) -> None:
        self._database = database
        self._sessions = database.sessions
        self._contents = contents
        self._mappings = mappings

    async def take(self, session_id: str, only: bytes | None = None) -> Taken:
        """Take a session, so that its agent does not find it any more. Raises TooLarge.

        `only`: take it only if this is its string.
        """
        added = False
        version: Document = {}
        if only is not None and (whole := await self._contents.whole(session_id)) is not None:
            if whole.raw != only:
                return Taken(b"")
            version = {"revision": whole.revision}
        found = await self._contents.find(session_id, {**EXISTS, "revision": 1, "length": 1})
        if found is not None:
            self._contents.check_size(session_id, found.get("length", 0))
            await self._contents.extend_parts([session_id], FOREVER)
            now = await self._database.now()
            with self._database.request():
                before = await self._sessions.find_one_and_update(
                    {"_id": session_id, "taken": {"$ne": True}, **version, **live_at(now)},
                    {"$set": {"taken": True, "expires_at": None, "parts_until": FOREVER}},
                    {"revision": 1},
                    return_document=ReturnDocument.BEFORE,
                )
            added = before is not None
            if before is None and version and await self._contents.find(session_id, EXISTS) is not None:
                return Taken(b"")
            if before is not None and before.get("revision") != found.get("revision"):
                await self._contents.extend_parts([session_id], FOREVER)  # also those that were just written
        value = await self.taken(session_id)
        if found is not None and not value and await self._found(session_id) is None:  # it has just expired
            await self._contents.shorten_parts(session_id, await self._database.now())
        return Taken(value, added)

    async def taken(self, session_id: str) -> bytes:
        """What was taken of a session; empty if nothing was."""
        whole = await self._contents.whole(session_id, taken=True)
        return whole.raw if whole is not None else b""

    async def ids(self) -> list[str]:
        """The sessions of which something was taken. One round trip."""
        with self._database.request():
            found = await self._sessions.find({"taken": True}, {"_id": 1}).to_list()
        return [one["_id"] for one in found if isinstance(one["_id"], str)]

    async def replace(self, session_id: str, value: bytes, new: bytes) -> bool:
        """Replace what was taken. False if that is not `value` any more."""
        whole = await self._contents.whole(session_id, taken=True)
        if whole is None or whole.raw not in (value, new):
            return False
        if whole.raw == new:
            return True
        divided = divide(session_id, whole.revision + 1, new)
        await self._contents.insert_parts(session_id, divided.parts, FOREVER)
        change = {"$set": {**string_fields(new, divided), "revision": Int64(whole.revision + 1)}}
        with self._database.request():
            done = await self._sessions.update_one(_version(session_id, whole), change)
        if not done.matched_count:
            await self._contents.delete_parts(one.part for one in divided.parts)
            return await self.taken(session_id) == new  # another process records the same end, or the reply was lost
        await self._contents.delete_parts(whole.parts)
        return True

    async def put_back(self, session_id: str, value: bytes, ttl_ms: int | None) -> bool:
        """Make it a session again. False if what was taken is not `value` any more."""
        whole = await self._contents.whole(session_id, taken=True)
        if whole is None or whole.raw != value:
            return False
        expires_at = None
        if ttl_ms is not None:
            expires_at = await self._database.now() + timedelta(milliseconds=ttl_ms)
        change = {"$set": {"expires_at": expires_at, "parts_until": parts_until(expires_at)}, "$unset": {"taken": ""}}
        with self._database.request():
            done = await self._sessions.update_one(_version(session_id, whole), change)
        if done.matched_count and expires_at is not None:
            await self._contents.shorten_parts(session_id, parts_until(expires_at))
        return done.matched_count > 0

    async def finish(self, session_id: str, agent_id: str | None, value: bytes) -> bool:
        """Delete what was taken, the last delta, and the agent's mapping if that points to the session.

        False if what was taken is not `value` any more; then nothing is deleted.
        """
        whole = await self._contents.whole(session_id, taken=True)
        if whole is not None:
            if whole.raw != value:
                return False
            if whole.parts:  # if this process ends before it has deleted them, they expire
                await self._contents.shorten_parts(session_id, await self._database.now() + _LEFT_PARTS)
            with self._database.request():
                done = await self._sessions.delete_one(_version(session_id, whole))
            if not done.deleted_count and (found := await self._found(session_id)) is not None:
                await self._contents.keep_parts(whole.parts)  # another process has put it back, or replaced it
                return found.get("taken") is not True
            await self._contents.delete_parts(whole.parts)
        if agent_id is not None:
            await self._mappings.delete(agent_id, session_id)
        return True

    async def _found(self, session_id: str) -> Document | None:
        """The document of a session, taken or not."""
        with self._database.request():
            return await self._sessions.find_one({"_id": session_id}, {"taken": 1})


def _version(session_id: str, whole: Whole) -> dict[str, object]:
    """The condition that a taken session has not changed since it was read."""
    return {"_id": session_id, "taken": True, "revision": whole.revision}
