"""Recognize an update that was applied to an earlier session of the same agent (promise 3 of DESIGN).

An agent repeats an update whose response it did not receive. If its session has ended meanwhile, the repetition arrives
in a new session, whose trajectory does not have the op_id. So the archived sessions of the agent are searched, too.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from ..archive.base import Archive, ArchiveQuery
from ..document import keys
from ..document.byte_layout import decode
from ..document.schema import as_array, as_object
from ..document.timestamps import parse_timestamp
from ..errors import InvalidData, OutcomeUnknown
from ..store.base import SessionStore
from ..util.bounded_dict import BoundedByteDict
from .find import OpenArchive
from .get_or_create import Visit

log = logging.getLogger("awictl")

#: Earlier sessions of an agent that are searched: how many, and how long ago their last activity may be.
SEARCHED_SESSIONS = 5
SEARCHED_TIME = timedelta(days=1)
#: How many of the latest actions of each are searched.
SEARCHED_ACTIONS = 2_000
#: Maximum number of sessions for which the op_ids of earlier sessions are cached, and their size in memory, in bytes.
CACHED_SESSIONS = 1_024
CACHED_BYTES = 16_777_216


class EarlierSessions:
    """Finds the op_ids of an agent's earlier sessions. They are read once per session, at its first op_id."""

    def __init__(self, store: SessionStore, open_archive: OpenArchive, ttl_ms: int) -> None:
        self._store = store
        self._open_archive = open_archive
        self._ttl = timedelta(milliseconds=ttl_ms)
        #: By session: the op_ids of earlier sessions of its agent, and the session of each.
        self._op_ids: BoundedByteDict[str, dict[str, str]] = BoundedByteDict(
            CACHED_SESSIONS, CACHED_BYTES, lambda _, op_ids: 500 + 250 * len(op_ids)
        )

    async def find(self, agent_id: str, visit: Visit, op_id: str) -> str | None:
        """The earlier session of an agent that has an action with this op_id; None if there is none.

        Raises OutcomeUnknown if the op_id is from before the session of `visit`, and so old that its session may have
        expired without a trace; Unreachable.
        """
        found = (await self._earlier(agent_id, visit.session_id)).get(op_id)
        if found is not None:
            return found
        made, now = keys.op_id_time(op_id), datetime.now(UTC)
        started = parse_timestamp(as_object(visit.head.get("statistics")).get("session_start"))
        if made is not None and started is not None and made < started and now - made > self._ttl:
            raise OutcomeUnknown(
                f"outcome unknown: {op_id} is older than {visit.session_id}, and no archived session of the agent has "
                "it, but its session may have expired; nothing was written now",
                op_id=op_id,
            )
        return None

    async def ended(self, agent_id: str, session_id: str) -> None:
        """Note that a session has ended. Until it is archived, other processes find it by this note only."""
        waiting = await self._waiting(agent_id)
        if session_id not in waiting:
            await self._note(agent_id, [*waiting, session_id])

    async def archived(self, agent_id: str, session_id: str) -> None:
        """Remove the note that a session has ended."""
        await self._note(agent_id, [one for one in await self._waiting(agent_id) if one != session_id])

    async def _note(self, agent_id: str, session_ids: list[str]) -> None:
        name = keys.ended_key(agent_id)
        if session_ids:
            milliseconds = int(SEARCHED_TIME.total_seconds() * 1000)
            await self._store.strings.put({name: " ".join(session_ids[-SEARCHED_SESSIONS:]).encode()}, milliseconds)
        else:
            await self._store.strings.delete([name])

    async def _waiting(self, agent_id: str) -> list[str]:
        """The sessions of an agent that have ended, and may not be archived yet."""
        raw = await self._store.strings.get(keys.ended_key(agent_id)) or b""
        return [one for one in raw.decode("utf-8", "replace").split(" ") if keys.is_session_id(one)]

    async def _earlier(self, agent_id: str, session_id: str) -> dict[str, str]:
        known = self._op_ids.get(session_id)
        if known is None:
            known = {}
            async with aclosing(self._documents(agent_id, session_id)) as documents:
                async for earlier, document in documents:
                    known |= dict.fromkeys(_op_ids_of(document), earlier)
            self._op_ids[session_id] = known
        return known

    async def _documents(self, agent_id: str, session_id: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """The documents of the agent's latest sessions other than `session_id`, one after the other, with their ids."""
        archive = self._open_archive()
        if archive is not None:
            query = ArchiveQuery(agent=agent_id, since=datetime.now(UTC) - SEARCHED_TIME)
            async with aclosing(archive.find(query, limit=SEARCHED_SESSIONS + 1)) as summaries:
                ids = [one.session_id async for one in summaries if one.agent_id == agent_id]
            for earlier in ids:
                if earlier != session_id:
                    yield earlier, await self._archived(archive, earlier)
        for earlier in await self._waiting(agent_id):
            stored = await self._store.read(earlier) if earlier != session_id else None
            if stored is not None:
                yield earlier, decode(stored.raw)

    async def _archived(self, archive: Archive, session_id: str) -> dict[str, Any]:
        """The document of an archived session; empty if it is damaged, which must not stop the agent's updates."""
        try:
            archived = await archive.load(session_id)
        except InvalidData as error:
            log.warning("an update may be applied a second time: %s", error)
            return {}
        return archived.document if archived is not None else {}


def _op_ids_of(document: dict[str, Any]) -> Iterator[str]:
    for action in as_array(as_object(document.get("history")).get("actions"))[-SEARCHED_ACTIONS:]:
        op_id = as_object(action).get("op_id")
        if isinstance(op_id, str):
            yield op_id
