"""Lookup and creation of agents' current sessions in MongoDB, with the rate limit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from ...document import keys
from ...errors import UpdateConflict
from ...settings import Settings
from ..get_or_create import AgentLookup
from .contents import HEAD, Contents
from .creation import Creation
from .database import LiveDatabase
from .documents import Document, live_at
from .lifetimes import Lifetimes
from .mapping import Mappings, id_of

#: The TTL of a session is extended if more than this share of it has passed: so most requests only read.
REFRESH_SHARE = 0.01
#: Attempts to count a request while others start a new window.
_ATTEMPTS = 10


class MongoGetOrCreate:
    """The `GetOrCreateStore` of one MongoDB database."""

    def __init__(
        self, database: LiveDatabase, contents: Contents, creation: Creation, lifetimes: Lifetimes, settings: Settings
    ) -> None:
        #: The server's address for messages, without secrets.
        self.where = database.where
        self._database = database
        self._contents = contents
        self._creation = creation
        self._lifetimes = lifetimes
        self._ttl = timedelta(milliseconds=settings.session_ttl_ms)
        # losing the latest counts is no harm, and waiting for the journal would slow every request down
        self._counters = database.counters.with_options(write_concern=WriteConcern(1))

    async def read_for_request(
        self, agent_id: str, session_id: str | None, operation: str, limit: int, *, diff: bool = False
    ) -> AgentLookup:
        """Count a request; if the agent is mapped to `session_id`, extend that session's TTL and read its head.

        `limit`: maximum number of requests for `operation` per window; 0: do not count. `diff`: also read the last
        delta. Usually two round trips, one after the other; one if requests are not counted.
        """
        count = window_ms = 0
        if limit > 0:
            count, window_ms = await self._count(keys.rate_limit_key(agent_id, operation))
            if count > limit:
                return AgentLookup(count, window_ms, refused=True)
        found = await self._read(agent_id, session_id, diff=diff)
        return found._replace(requests=count, window_ms=window_ms)

    async def _read(self, agent_id: str, session_id: str | None, *, diff: bool) -> AgentLookup:
        now = await self._database.now()
        if session_id is None:
            return AgentLookup(0, 0, current=(await self._mapping(agent_id, now))[0])
        fields = {**HEAD, "diff": 1, "diff_expires_at": 1} if diff else HEAD
        (current, mapped_until), found = await asyncio.gather(
            self._mapping(agent_id, now), self._contents.find(session_id, fields)
        )
        if found is None or current != session_id.encode():
            return AgentLookup(0, 0, current=current)
        base = self._contents.base_of_head(session_id, found) or await self._contents.base(session_id, full=True)
        if base is None:
            return AgentLookup(0, 0, current=current)
        if self._is_due(found["expires_at"], now) or self._is_due(mapped_until, now):
            await self._lifetimes.touch([(session_id, agent_id)], self._ttl // timedelta(milliseconds=1))
        return AgentLookup(0, 0, current=current, base=base, diff=_diff(found, now) if diff else None)

    def _is_due(self, expires_at: datetime | None, now: datetime) -> bool:
        """Whether the expiry of a session or a mapping has to be set: it is not about a whole TTL away."""
        return expires_at is not None and not self._ttl * (1 - REFRESH_SHARE) <= expires_at - now <= self._ttl

    async def _mapping(self, agent_id: str, now: datetime) -> tuple[bytes, datetime | None]:
        """The session id that an agent is mapped to, as stored, and when that expires; empty if it is not mapped."""
        with self._database.request():
            found = await self._database.agents.find_one({"_id": id_of(agent_id), **live_at(now)})
        value = found.get("session_id") if found is not None else None
        if found is None or not isinstance(value, str):
            return b"", None
        return value.encode("utf-8", "replace"), found.get("expires_at")

    async def create_if_absent(
        self, agent_id: str, session_id: str, raw: bytes, previous: AgentLookup, *, replace: bool, diff: bool = False
    ) -> tuple[AgentLookup, bool]:
        """Create a session and map the agent to it, unless the mapping has changed since `previous`.

        Nothing is created either if the session that the agent is mapped to exists, unless `replace` is true. Returns
        the lookup of that session, and whether the new one was created. Idempotent.
        """
        existing = None if replace else keys.as_session_id(previous.current)
        if existing is not None:
            found = await self._read(agent_id, existing, diff=diff)
            if found.base is not None or found.current != previous.current:
                return found, False
        expires_at = await self._database.now() + self._ttl
        await self._creation.insert(session_id, agent_id, raw, expires_at)
        if await self._map(agent_id, session_id, previous.current, expires_at):
            return AgentLookup(0, 0), True
        whole = await self._contents.whole(session_id)
        if whole is not None and whole.raw == raw:  # no agent has found it; it has no parts
            with self._database.request():
                await self._database.sessions.delete_one({"_id": session_id, "revision": whole.revision})
        found = await self._read(agent_id, existing, diff=diff)
        return (found if found.base is not None else AgentLookup(0, 0, current=found.current)), False

    async def _map(self, agent_id: str, session_id: str, current: bytes, expires_at: datetime | None) -> bool:
        """Map an agent to a session if it still is mapped to `current`; empty: to none. Returns whether it is now."""
        now = await self._database.now()
        name, agents = id_of(agent_id), self._database.agents
        change = {"$set": {"session_id": session_id, "expires_at": expires_at}}
        conditions: list[Document] = [{"session_id": current.decode("utf-8", "replace"), **live_at(now)}]
        with self._database.request():
            if not current:
                with suppress(DuplicateKeyError):
                    await agents.insert_one({"_id": name, **change["$set"]})
                    return True
                # there is a mapping, but it has expired, or is invalid
                invalid: list[Document] = [{"session_id": ""}, {"session_id": {"$not": {"$type": "string"}}}]
                conditions = [{"expires_at": {"$lte": now}}, *invalid]
            for condition in conditions:
                if (await agents.update_one({"_id": name, **condition}, change)).matched_count:
                    return True
            found: Any = await agents.find_one({"_id": name, "session_id": session_id}, {"_id": 1})
            return found is not None  # by the first attempt, whose reply was lost

    async def has_no_ttl(self, session_id: str) -> bool:
        """Whether a session exists and has no TTL. One round trip."""
        found = await self._contents.find(session_id, {"expires_at": 1, "taken": 1})
        return found is not None and found.get("expires_at") is None

    async def delete_mapping(self, agent_id: str, session_id: str) -> bool:
        """Delete an agent's mapping if it points to `session_id`. Returns whether it did."""
        return await Mappings(self._database).delete(agent_id, session_id)

    async def _count(self, name: str) -> tuple[int, int]:
        """Count a request. Returns the requests in the window, and the milliseconds until it ends."""
        window = timedelta(milliseconds=keys.RATE_LIMIT_WINDOW_MS)
        for _ in range(_ATTEMPTS):
            now = await self._database.now()
            end = now + window
            with self._database.request():
                found = await self._counters.find_one_and_update(
                    {"_id": name, "expires_at": {"$gt": now}},
                    {"$inc": {"count": 1}},
                    return_document=ReturnDocument.AFTER,
                )
            if found is not None:
                return int(found["count"]), (found["expires_at"] - now) // timedelta(milliseconds=1)
            if await self._starts_window(name, now, end):
                return 1, keys.RATE_LIMIT_WINDOW_MS
        raise UpdateConflict(f"{self.where}: other requests keep changing {name}; try again")

    async def _starts_window(self, name: str, now: datetime, end: datetime) -> bool:
        """Start a window with one request. False if another request has done that, or the counter got an end."""
        await self._database.prepare()
        with self._database.request():
            try:
                await self._counters.insert_one({"_id": name, "count": 1, "expires_at": end})
            except DuplicateKeyError:
                over = {"_id": name, "expires_at": {"$lte": now}}
                change = {"$set": {"count": 1, "expires_at": end}}
                if (await self._counters.update_one(over, change)).matched_count:
                    return True
                without_end = {"_id": name, "expires_at": None}
                await self._counters.update_one(without_end, {"$set": {"expires_at": end}})
                return False
        return True


def _diff(found: Document, now: datetime) -> bytes | None:
    raw, expires_at = found.get("diff"), found.get("diff_expires_at")
    return bytes(raw) if isinstance(raw, bytes) and isinstance(expires_at, datetime) and expires_at > now else None
