"""When sessions expire: read it, and extend it, together with that of their agents' mappings and their parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from ...document.schema import has_ended
from ...document.timestamps import EPOCH
from ...errors import AwiError, InvalidData, Refused
from ...util.batched import batched
from ..base import Lifetime, SessionVersion, SessionVersions
from ..errors import has_ended as ended
from .contents import EXISTS, Contents, parts_until
from .database import LiveDatabase
from .documents import BATCH_IDS, FOREVER, Document, expiry_of, live_at, of_type, ttl_ms
from .mapping import Mappings

#: How often an extension is tried of a session that is written to meanwhile.
_ATTEMPTS = 10

_SIZES = {**EXISTS, "length": 1}
_EXPIRY = {**EXISTS, **dict.fromkeys(("revision", "agent_id", "parts_until"), 1)}


class Lifetimes:
    """The expiry of sessions."""

    def __init__(self, database: LiveDatabase, contents: Contents, mappings: Mappings) -> None:
        self._database = database
        self._contents = contents
        self._mappings = mappings

    async def lifetimes(self, session_ids: Sequence[str]) -> list[Lifetime]:
        """TTL and size of sessions. Missing sessions are left out, and invalid documents: a listing reports those."""
        now = await self._database.now()
        found = [one async for one in self._sizes(session_ids)]
        return [Lifetime(session_id, ttl_ms(expires_at, now), length) for session_id, expires_at, length in found]

    async def versions(self, session_ids: Sequence[str]) -> SessionVersions:
        """Expiry and size of sessions. Missing sessions are left out, and invalid documents."""
        now = await self._database.now()
        found = [one async for one in self._sizes(session_ids)]
        return SessionVersions(
            _milliseconds(now),
            [
                SessionVersion(session_id, None if expires_at is None else _milliseconds(expires_at), length)
                for session_id, expires_at, length in found
            ],
        )

    async def _sizes(self, session_ids: Sequence[str]) -> AsyncGenerator[tuple[str, datetime | None, int]]:
        found: dict[str, tuple[datetime | None, int]] = {}
        async for one in self._contents.each(session_ids, _SIZES):
            with suppress(InvalidData):
                found[str(one["_id"])] = expiry_of(one), of_type(one, "length", int)
        for session_id in session_ids:
            if session_id in found:
                yield session_id, *found[session_id]

    async def set_min_ttl(self, session_ids: Sequence[str], ttl: int) -> int:
        """Extend the TTL of sessions to at least `ttl` milliseconds. Returns how many were extended."""
        expires_at = await self._database.now() + timedelta(milliseconds=ttl)
        extended = 0
        for batch in batched(session_ids, BATCH_IDS):
            found = await self._expiries(batch)
            shorter = [one for one, document in found.items() if _is_shorter(document, expires_at)]
            extended += len(await self._extend({one: found[one] for one in shorter}, expires_at))
        return extended

    async def touch(self, sessions: Sequence[tuple[str, str | None]], ttl: int | None) -> list[bool | AwiError]:
        """See `SessionStore.touch`. `ttl`: in milliseconds; None: sessions of this store never expire.

        Three requests for each BATCH_IDS of sessions.
        """
        outcomes: dict[str, bool | AwiError] = {}
        for batch in batched(sessions, BATCH_IDS):
            outcomes |= await self._touch_batch(dict(batch), ttl)
        return [outcomes[session_id] for session_id, _ in sessions]

    async def _touch_batch(self, agents: dict[str, str | None], ttl: int | None) -> dict[str, bool | AwiError]:
        outcomes: dict[str, bool | AwiError] = dict.fromkeys(agents, False)
        expires_at = None if ttl is None else await self._database.now() + timedelta(milliseconds=ttl)
        found = await self._expiries(list(agents))
        expiring: dict[str, Document] = {}
        without_ttl: list[str] = []
        for session_id, document in found.items():
            try:
                if expiry_of(document) is None:
                    without_ttl.append(session_id)
                else:
                    expiring[session_id] = document
            except InvalidData as error:
                outcomes[session_id] = self._contents.invalid(session_id, error)
        for session_id in without_ttl:
            outcomes[session_id] = await self._untouched(session_id, expected=ttl is None)
        if expires_at is None:
            return outcomes | dict.fromkeys(expiring, True)
        touched = await self._extend(expiring, expires_at)
        outcomes |= dict.fromkeys(touched, True)
        mapped = [
            (agent_id, session_id)
            for session_id in touched
            if isinstance(agent_id := agents[session_id] or found[session_id].get("agent_id"), str)
        ]
        await self._mappings.extend(mapped, expires_at)
        return outcomes

    async def _untouched(self, session_id: str, *, expected: bool) -> bool | AwiError:
        """Why a session without a TTL was not touched; true if it needs none: `expected`."""
        try:
            base = await self._contents.base(session_id, full=False)
        except AwiError as error:
            return error
        if base is None:
            return False
        if has_ended(base.document):
            return ended(session_id, self._database.where)
        if expected:
            return True
        return Refused(
            f"{self._database.where}: {session_id} has no TTL, so none was set; `awictl doctor --fix` sets one"
        )

    async def set(self, session_id: str, expires_at: datetime | None) -> bool:
        """Set when a session expires. Returns whether it exists."""
        found = await self._expiries([session_id])
        if not found:
            return False
        return bool(await self._extend(found, expires_at, any_expiry=True))

    async def _expiries(self, session_ids: Sequence[str]) -> dict[str, Document]:
        """The fields _EXPIRY of live sessions."""
        return {str(one["_id"]): one async for one in self._contents.each(session_ids, _EXPIRY)}

    async def _extend(
        self, found: dict[str, Document], expires_at: datetime | None, *, any_expiry: bool = False
    ) -> list[str]:
        """Set when sessions expire, and let their parts last. Returns which of them exist.

        `found`: the fields _EXPIRY of each. `any_expiry`: also of those that never expire.
        """
        done: list[str] = []
        for _ in range(_ATTEMPTS):
            now = await self._database.now()
            live: Document = {"taken": {"$ne": True}}
            live |= live_at(now) if any_expiry else {"expires_at": {"$gt": now}}
            enough = {"parts_until": {"$gte": expires_at or FOREVER}}
            usual = [one for one, document in found.items() if _lasts(document, expires_at)]
            if usual:
                condition = {"_id": {"$in": usual}, **enough, **live}
                with self._database.request():
                    result = await self._database.sessions.update_many(condition, {"$set": {"expires_at": expires_at}})
                if result.matched_count == len(usual):
                    done += usual
                    found = {one: document for one, document in found.items() if one not in set(usual)}
            others = [one for one in found if one not in set(usual)]
            if others:
                until = parts_until(expires_at)
                await self._contents.extend_parts(others, until)
                change = {"$set": {"expires_at": expires_at, "parts_until": until}}
                for session_id in others:
                    # a part that was added since then may not last as long
                    condition = {"_id": session_id, "revision": found[session_id].get("revision"), **live}
                    with self._database.request():
                        result_of_one = await self._database.sessions.update_one(condition, change)
                    if result_of_one.matched_count:
                        done.append(session_id)
                        del found[session_id]
            if not found:
                break
            found = await self._expiries(list(found))
            if not any_expiry:
                found = {one: document for one, document in found.items() if document.get("expires_at") is not None}
        return done


def _lasts(document: Document, expires_at: datetime | None) -> bool:
    """Whether the parts of a session last for this expiry."""
    until = document.get("parts_until")
    return isinstance(until, datetime) and until >= (expires_at or FOREVER)


def _is_shorter(document: Document, expires_at: datetime) -> bool:
    """Whether a session expires before that."""
    found = document.get("expires_at")
    return isinstance(found, datetime) and found < expires_at


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
