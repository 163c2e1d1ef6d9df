"""Insert sessions: new ones, and those that were somewhere else before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from bson import Int64
from pymongo.errors import DuplicateKeyError

from ...document import keys
from ...document.json_codec import encodable
from ...errors import Refused
from ..errors import ReplyLost, already_live
from .contents import Contents, parts_until
from .database import LiveDatabase
from .documents import FOREVER, Document, divide, string_fields
from .lifetimes import Lifetimes
from .mapping import Mappings


class Creation:
    """Inserts sessions. `ttl_ms`: the usual TTL; None: none. `marks`: see `MongoStore`."""

    def __init__(
        self,
        database: LiveDatabase,
        contents: Contents,
        mappings: Mappings,
        lifetimes: Lifetimes,
        ttl_ms: int | None,
        marks: Mapping[str, Any],
    ) -> None:
        self._database = database
        self._contents = contents
        self._mappings = mappings
        self._lifetimes = lifetimes
        self._ttl_ms = ttl_ms
        self._marks = dict(marks)

    async def create(self, session_id: str, agent_id: str, raw: bytes, ttl_ms: int | None) -> str | None:
        """See `SessionStore.create`. `ttl_ms`: TTL in milliseconds; None: it never expires."""
        expires_at = expiry(await self._database.now(), ttl_ms)
        if not await self.insert(session_id, agent_id, raw, expires_at):
            # with these bytes, an earlier attempt created it whose reply was lost: the ids are random
            whole = await self._contents.whole(session_id)
            if whole is None or whole.raw != raw or whole.agent_id != encodable(agent_id):
                raise Refused(f"{self._database.where}: session {session_id} exists already; choose another id")
        previous = await self._mappings.set(agent_id, session_id, expires_at)
        return previous if previous != session_id else None

    async def put(
        self,
        session_id: str,
        agent_id: str | None,
        raw: bytes,
        ttl_ms: int | None,
        diff: tuple[bytes, int] | None,
    ) -> str | None:
        """See `SessionStore.put`."""
        now = await self._database.now()
        expires_at = expiry(now, ttl_ms)
        if not await self.insert(session_id, agent_id, raw, expires_at, diff):
            whole = await self._contents.whole(session_id)
            if whole is None or whole.raw != raw or not await self._lifetimes.set(session_id, expires_at):
                raise already_live(session_id, self._database.where)
            if diff is not None:
                with self._database.request():
                    await self._database.sessions.update_one(
                        {"_id": session_id, "revision": whole.revision}, {"$set": _diff_fields(now, diff)}
                    )
        if agent_id is None:
            return None
        return await self._mappings.set_if_absent(agent_id, session_id, expiry(now, ttl_ms or self._ttl_ms))

    async def insert(
        self,
        session_id: str,
        agent_id: str | None,
        raw: bytes,
        expires_at: datetime | None,
        diff: tuple[bytes, int] | None = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> bool:
        """Insert a session, with further fields. False if one with this id exists."""
        self._contents.check_size(session_id, len(raw))
        await self._database.prepare()
        now = await self._database.now()
        revision = int(now.timestamp() * 1_000_000)
        divided = divide(keys.check_session_id(session_id), revision, raw)
        of = divided.agent_id if divided.agent_id is not None else agent_id
        parts = [new.part for new in divided.parts]
        until = parts_until(expires_at)
        if parts:
            await self._contents.insert_parts(session_id, divided.parts, until)
        document: Document = {
            "_id": session_id,
            "revision": Int64(revision),
            "agent_id": None if of is None else encodable(of),
            **string_fields(raw, divided),
            "expires_at": expires_at,
            "parts_until": until if parts else FOREVER,
            **_diff_fields(now, diff),
            **self._marks,
            **fields,
        }
        try:
            inserted = await self._insert_or_replace_expired(document, now)
        except ReplyLost:  # it may have been inserted: then the second attempt finds it
            inserted = await self._insert_or_replace_expired(document, now)
        if inserted:
            return True
        with self._database.request():
            found = await self._database.sessions.find_one({"_id": session_id}, {"parts.id": 1}) if parts else None
        if found is not None and found.get("parts") == [{"id": part.id} for part in parts]:
            return True  # it was inserted by an attempt whose reply was lost
        await self._contents.delete_parts(parts)
        return False

    async def _insert_or_replace_expired(self, document: Document, now: datetime) -> bool:
        expired = {"_id": document["_id"], "expires_at": {"$lte": now}, "taken": {"$ne": True}}
        done = f"{document['_id']} was stored"
        with self._database.write_once(done, "check after a failover that it is there"):
            for _ in range(2):
                try:
                    await self._database.sessions.insert_one(document)
                except DuplicateKeyError:
                    if not (await self._database.sessions.delete_one(expired)).deleted_count:
                        return False
                else:
                    return True
        return False


def expiry(now: datetime, ttl_ms: int | None) -> datetime | None:
    """When something expires that has this TTL in milliseconds; None if it has none."""
    return None if ttl_ms is None else now + timedelta(milliseconds=ttl_ms)


def _diff_fields(now: datetime, diff: tuple[bytes, int] | None) -> Document:
    """The fields of a last delta, from its bytes and its TTL in milliseconds."""
    return {"diff": diff[0] if diff else None, "diff_expires_at": expiry(now, diff[1]) if diff else None}
