"""The journal: the sessions that go on in MongoDB while Redis is away, as far as they are not in Redis yet.

A journaled session is an ordinary session of a `MongoStore`, in collections of its own, begun from the newest version
that is known. Its further actions are the entries of the journal. Beside the fields of that store, its document has

    server       the identity of the Redis deployment that it belongs to
    pending      whether it may have something that Redis lacks; every write sets it
    home         how many of its actions need not be brought home: those that it began with, and later all that were
    progress     how far the version had come that it began with: [total actions, next `t`, last update in milliseconds]
    home_at      when everything was brought home last
    superseded   true if its agent may have gone on with another session here

`awi_journal_aside` has the actions that could not be brought home, each with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.errors import OperationFailure

from ..archive.snapshot import Revision
from ..document.json_codec import dumps
from ..document.splice import Base, action_count
from ..errors import Refused
from ..settings import Settings
from ..store.mongo.connection import MongoConnection
from ..store.mongo.contents import HEAD
from ..store.mongo.mapping import id_of
from ..store.mongo.sessions import MongoStore
from ..util.urls import without_credentials
from .progress import begun_from, progress_of

#: Prefix of the collections.
JOURNAL = "awi_journal"
#: For how long what is home stays, so that processes that have not noticed Redis' return find it, in seconds.
KEPT_SECONDS = 1_800.0
#: Number of sessions that are deleted in one step after that time.
BATCH = 100

_ENTRY = dict.fromkeys(("agent_id", "revision", "pending", "home", "progress", "home_at", "superseded"), 1)


class JournalCounts(NamedTuple):
    """What waits in the journal."""

    #: Number of sessions with something that may not be in Redis yet.
    pending: int
    #: Number of actions that could not be brought home.
    set_aside: int


class Entry(NamedTuple):
    """What the journal has of a session, besides the session itself."""

    session_id: str
    agent_id: str | None
    revision: int
    pending: bool
    #: Number of its first actions that need not be brought home; None if the record has just been begun.
    home: int | None
    #: How far the version had come that it began with.
    progress: Revision
    #: When everything was brought home last; None if it never was.
    home_at: datetime | None = None
    #: Whether its agent may have gone on with another session.
    superseded: bool = False


class SetAside(NamedTuple):
    """An action that could not be brought home."""

    session_id: str
    agent_id: str | None
    op_id: str
    reason: str
    at: datetime | None
    #: The action as recorded, as JSON.
    action: bytes


class Journal:
    """The journal of one Redis deployment. `server`: its identity. Raises the errors of `awictl.errors`."""

    def __init__(self, store: MongoStore, server: str) -> None:
        #: The sessions.
        self.store = store
        self.where = store.where
        self._server = server
        database = store.database
        self._request = database.request
        self._sessions, self._parts, self._agents = database.sessions, database.parts, database.agents
        self._aside = database.connection.collection(f"{JOURNAL}_aside")
        self._prepared, self._preparing = False, asyncio.Lock()

    @classmethod
    def open(cls, settings: Settings, server: str) -> Journal:
        """The journal in the MongoDB that the settings name. Sends nothing yet. Raises Refused if they name none."""
        if (url := settings.live_mongodb) is None:
            raise Refused("nothing can be journaled: set MONGODB_URI")
        connection = MongoConnection.open(url, without_credentials(url), settings)
        marks = {"pending": True, "server": server}
        return cls(MongoStore(connection, settings, JOURNAL, ttl_ms=None, marks=marks), server)

    async def close(self) -> None:
        """Close all connections."""
        await self.store.close()

    # -- sessions

    async def entry(self, session_id: str) -> Entry | None:
        """What the journal has of a session; None if it does not have it. One request."""
        with self._request():
            found = await self._sessions.find_one({"_id": session_id}, _ENTRY)
        return _entry(found) if found is not None else None

    async def read(self, session_id: str) -> tuple[Entry | None, Base | None]:
        """What the journal has of a session, and the session without its trajectory. Usually one request."""
        found = await self.store.contents.find(session_id, {**HEAD, **_ENTRY})
        if found is None:
            return None, None
        base = self.store.contents.base_of_head(session_id, found)
        return _entry(found), base if base is not None else await self.store.read_base(session_id)

    async def begin(self, session_id: str, raw: bytes) -> bool:
        """Begin to journal a session from this version of it. False if another process has begun it. One request."""
        await self._prepare()
        return await self.store.creation.insert(session_id, None, raw, None, fields=begun_from(raw))

    async def adopt(self, session_id: str) -> None:
        """Record which actions a session began with, if that is still to be done.

        Every process does that before its first update of a session that was created here, so that a crash after that
        loses nothing.
        """
        base = await self.store.read_base(session_id)
        if base is None:
            return
        count = action_count(base)
        if count is None and (whole := await self.store.read_base(session_id, full=True)) is not None:
            base, count = whole, action_count(whole)
        with self._request():
            await self._sessions.update_one(
                {"_id": session_id, "revision": base.revision, "home": {"$exists": False}},
                {"$set": {"home": count or 0, "progress": list(progress_of(base.head))}},
            )

    async def drop(self, entry: Entry) -> bool:
        """Delete a session that is home, and its agent's mapping. False if something was added since it was read."""
        with self._request():
            gone = await self._sessions.delete_one(
                {"_id": entry.session_id, "revision": entry.revision, "pending": False}
            )
            if not gone.deleted_count:
                return False
            # another process may begin it again right now: its parts have a later revision
            older = {"$lt": f"{entry.session_id}:{entry.revision + 1}"}
            await self._parts.delete_many({"session": entry.session_id, "_id": older})
        if entry.agent_id is not None:
            await self.unmap(entry.agent_id, entry.session_id)
        return True

    async def discard(self, session_id: str) -> None:
        """Delete a session that has just been begun, and to which nothing was added."""
        with self._request():
            await self._sessions.delete_one({"_id": session_id, "count": 1})

    async def supersede(self, session_id: str) -> None:
        """Note that an agent is about to go on with another session, for processes that do not read its mapping."""
        with self._request():
            await self._sessions.update_one({"_id": session_id}, {"$set": {"superseded": True}})

    async def mark_home(self, entry: Entry, record: Base) -> bool:
        """Record that everything in a session is home, as it is in `record`, with its trajectory.

        Returns False if it has changed since it was read.
        """
        change = {
            "pending": False,
            "home": len(record.document["history"]["actions"]),
            "home_at": datetime.now(UTC),
            "superseded": False,
        }
        with self._request():
            result = await self._sessions.update_one(
                {"_id": entry.session_id, "revision": record.revision}, {"$set": change}
            )
        return result.matched_count == 1

    async def has_pending(self) -> bool:
        """Whether a session may have something to bring home, of whatever deployment. One request."""
        with self._request():
            return await self._sessions.find_one({"pending": True}, {"_id": 1}) is not None

    async def pending_of(self, session_id: str | None, agent_id: str | None) -> list[str]:
        """The pending sessions among this one and those of an agent, oldest first. One request."""
        which = [{"_id": session_id}] if session_id is not None else []
        if agent_id is not None:
            which.append({"agent_id": agent_id})
        return [one async for one in self._pending({"$or": which})]

    def pending(self) -> AsyncGenerator[str, None]:
        """The sessions of this deployment that may have something to bring home, oldest first.

        Another name of its address is another deployment here, whose processes bring home what they have journaled.
        """
        return self._pending({"server": self._server})

    async def pending_elsewhere(self) -> list[str]:
        """The deployments that other pending sessions belong to, by their identity. One request."""
        with self._request():
            return sorted(await self._sessions.distinct("server", {"pending": True, "server": {"$ne": self._server}}))

    async def _pending(self, which: dict[str, Any]) -> AsyncGenerator[str, None]:
        with self._request():
            found = self._sessions.find({"pending": True, **which}, {"_id": 1}).sort("revision", ASCENDING)
            session_ids = [str(one["_id"]) async for one in found]
        for session_id in session_ids:
            yield session_id

    async def clean(self) -> None:
        """Delete sessions that have been home for `KEPT_SECONDS`, and their agents' mappings."""
        old = {"pending": False, "home_at": {"$lt": datetime.now(UTC) - timedelta(seconds=KEPT_SECONDS)}}
        with self._request():
            found = [one async for one in self._sessions.find(old, _ENTRY).limit(BATCH)]
        for entry in map(_entry, found):
            await self.drop(entry)

    # -- agents

    async def session_of(self, agent_id: str) -> str | None:
        """The session that an agent is mapped to here; None if there is no mapping. One request."""
        with self._request():
            found = await self._agents.find_one({"_id": id_of(agent_id)})
        value = found.get("session_id") if found is not None else None
        return value if isinstance(value, str) else None

    async def map(self, agent_id: str, session_id: str, before: str | None) -> str:
        """Map an agent to a session if it is still mapped to `before`, or to none. Returns what it is mapped to now."""
        await self._prepare()
        name, made = id_of(agent_id), {"session_id": session_id, "expires_at": None}
        with self._request():
            if before is not None:
                result = await self._agents.update_one({"_id": name, "session_id": before}, {"$set": made})
                if result.matched_count:
                    return session_id
            await self._agents.bulk_write([UpdateOne({"_id": name}, {"$setOnInsert": made}, upsert=True)])
        return await self.session_of(agent_id) or session_id

    async def unmap(self, agent_id: str, session_id: str) -> None:
        """Remove an agent's mapping if it points to this session."""
        with self._request():
            await self._agents.delete_one({"_id": id_of(agent_id), "session_id": session_id})

    # -- what cannot be brought home

    async def set_aside(self, entry: Entry, actions: Sequence[dict[str, Any]], reason: str) -> None:
        """Keep actions aside that cannot be brought home. Idempotent."""
        now = datetime.now(UTC)
        writes = [
            UpdateOne(
                {"_id": f"{entry.session_id}:{action.get('op_id') or action.get('t')}"},
                {
                    "$setOnInsert": {
                        "session_id": entry.session_id,
                        "agent_id": entry.agent_id,
                        "op_id": str(action.get("op_id")),
                        "action": dumps(action),
                        "reason": reason,
                        "at": now,
                    }
                },
                upsert=True,
            )
            for action in actions
        ]
        if writes:
            with self._request():
                await self._aside.bulk_write(writes, ordered=False)

    async def aside_of(self, session_id: str) -> set[str]:
        """The op_ids of the actions of a session that are kept aside. One request."""
        with self._request():
            return {str(one.get("op_id")) async for one in self._aside.find({"session_id": session_id}, {"op_id": 1})}

    async def aside(self, limit: int = 1_000) -> list[SetAside]:
        """The actions that are kept aside, oldest first."""
        with self._request():
            found = [one async for one in self._aside.find().sort("at", ASCENDING).limit(limit)]
        return [
            SetAside(
                str(one.get("session_id")),
                one.get("agent_id"),
                str(one.get("op_id")),
                str(one.get("reason")),
                one.get("at"),
                one.get("action") or b"",
            )
            for one in found
        ]

    async def counts(self) -> JournalCounts:
        """What waits in the journal."""
        with self._request():
            return JournalCounts(
                await self._sessions.count_documents({"pending": True}),
                await self._aside.count_documents({}),
            )

    async def _prepare(self) -> None:
        """Create the indexes, once per process."""
        async with self._preparing:  # many sessions begin at the start of an outage
            if self._prepared:
                return
            with self._request():
                pending = IndexModel([("pending", ASCENDING)], partialFilterExpression={"pending": True})
                try:
                    await self._sessions.create_indexes([pending])
                    await self._aside.create_indexes([IndexModel([("session_id", ASCENDING)])])
                except OperationFailure as error:  # without them, a look takes longer
                    if error.timeout:
                        raise
            self._prepared = True


def _entry(found: dict[str, Any]) -> Entry:
    progress = found.get("progress")
    numbers = progress if isinstance(progress, list) and len(progress) == len(Revision._fields) else [0, 0, 0]
    agent_id = found.get("agent_id")
    return Entry(
        str(found["_id"]),
        agent_id if isinstance(agent_id, str) else None,
        _number(found.get("revision")) or 0,
        found.get("pending") is True,
        _number(found.get("home")),
        Revision(*(_number(one) or 0 for one in numbers)),
        home_at if isinstance(home_at := found.get("home_at"), datetime) else None,
        found.get("superseded") is True,
    )


def _number(value: Any) -> int | None:
    """A stored number, which is of another type if it has 64 bits; None if it is not one."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None
