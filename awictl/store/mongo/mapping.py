"""The session that each agent is mapped to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from ...document import keys
from ...errors import InvalidData
from .database import LiveDatabase
from .documents import Document, expiry_of, live_at

#: How often an insertion is tried that other processes attempt, too.
_UPSERTS = 3


class Mapping(NamedTuple):
    """The mapping of an agent."""

    #: The session id, as stored.
    session_id: str
    #: When it expires; None if it never does.
    expires_at: datetime | None


class Mappings:
    """The mappings of agents to their current sessions. Agents' ids may be any text."""

    def __init__(self, database: LiveDatabase) -> None:
        self._database = database
        self._agents = database.agents

    async def get(self, agent_id: str) -> Mapping | None:
        """The mapping of an agent; None if there is none. Raises InvalidData."""
        now = await self._database.now()
        with self._database.request():
            found = await self._agents.find_one({"_id": id_of(agent_id)})
        return self._valid(found, agent_id, now)

    async def set(self, agent_id: str, session_id: str, expires_at: datetime | None) -> str | None:
        """Map an agent to a session. Returns the session id before, if any."""
        now = await self._database.now()
        change = {"$set": {"session_id": session_id, "expires_at": expires_at}}
        before = await self._upsert(agent_id, change, ReturnDocument.BEFORE)
        try:
            found = self._valid(before, agent_id, now)
        except InvalidData:
            return None
        return found.session_id if found is not None else None

    async def set_if_absent(self, agent_id: str, session_id: str, expires_at: datetime | None) -> str | None:
        """Map an agent to a session if it has no mapping. Returns the session id that it is mapped to now."""
        now = await self._database.now()
        made = {"session_id": session_id, "expires_at": expires_at}
        with self._database.request():
            await self._agents.update_one({"_id": id_of(agent_id), "expires_at": {"$lte": now}}, {"$set": made})
        found = await self._upsert(agent_id, {"$setOnInsert": made}, ReturnDocument.AFTER)
        value = found.get("session_id") if found is not None else None
        return value if isinstance(value, str) else None

    async def _upsert(self, agent_id: str, change: Document, which: bool) -> Document | None:
        """Change or insert a mapping. Returns its document before or after that."""
        with self._database.request():
            for attempt in range(_UPSERTS):
                try:
                    return await self._agents.find_one_and_update(
                        {"_id": id_of(agent_id)}, change, upsert=True, return_document=which
                    )
                except DuplicateKeyError:  # another process has just inserted it
                    if attempt == _UPSERTS - 1:
                        raise
        return None

    async def extend(self, pairs: Sequence[tuple[str, str]], expires_at: datetime | None) -> None:
        """Set when mappings expire: of agents (first) that are mapped to these sessions (second)."""
        if not pairs:
            return
        now = await self._database.now()
        change = {"$set": {"expires_at": expires_at}}
        wanted = [{**mapped(agent_id, session_id), **live_at(now)} for agent_id, session_id in pairs]
        with self._database.request():
            if len(wanted) == 1:
                await self._agents.update_one(wanted[0], change)
            else:
                await self._agents.bulk_write([UpdateOne(one, change) for one in wanted], ordered=False)

    async def delete(self, agent_id: str, session_id: str) -> bool:
        """Delete an agent's mapping if it points to this session. Returns whether it did."""
        with self._database.request():
            return (await self._agents.delete_one(mapped(agent_id, session_id))).deleted_count > 0

    def _valid(self, found: Document | None, agent_id: str, now: datetime) -> Mapping | None:
        if found is None:
            return None
        try:
            expires_at = expiry_of(found)
        except InvalidData as error:
            raise InvalidData(f"{self.location(agent_id)}: {error}") from None
        if expires_at is not None and expires_at <= now:
            return None
        value = found.get("session_id")
        if not keys.is_session_id(value):
            raise InvalidData(f"{self.location(agent_id)}: not a session id: {value!r:.80}")
        return Mapping(str(value), expires_at)

    def location(self, agent_id: str) -> str:
        """The server, collection and id of a mapping, for messages."""
        return f"{self._database.where}, {self._agents.name} {agent_id}"


def id_of(agent_id: str) -> str:
    """The `_id` of an agent's mapping: its id as it is in the key in Redis."""
    return keys.agent_key(agent_id).removeprefix(keys.AGENT_PREFIX)


def mapped(agent_id: str, session_id: str) -> dict[str, Any]:
    """The filter for the mapping of an agent to this session."""
    return {"_id": id_of(agent_id), "session_id": session_id}
