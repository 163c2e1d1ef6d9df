"""The services that write sessions, and get those of agents: in Redis, or in the journal while Redis is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..document import keys
from ..errors import AwiError, NotFound, Unreachable

if TYPE_CHECKING:
    from ..document.splice import Base
    from ..sessions.earlier_sessions import EarlierSessions
    from ..sessions.get_or_create import AgentSessions, RateLimitStatus, Visit
    from ..sessions.update import Updated
    from ..sessions.writer import Created, SessionWriter
    from .switch import SessionFallback


class FallbackAgentSessions:
    """`AgentSessions` with a fallback."""

    def __init__(self, normal: AgentSessions, fallback: SessionFallback) -> None:
        self._normal = normal
        self._fallback = fallback

    async def get_or_create(
        self,
        agent_id: str,
        agent_name: str,
        *,
        route: str = "/",
        operation: str = "",
        limit: int = 0,
        diff: bool = False,
        create: bool = True,
    ) -> Visit:
        """See `AgentSessions.get_or_create`."""
        fallback = self._fallback
        if fallback.is_idle():  # the usual case, without what `run` costs
            with suppress(Unreachable, NotFound):
                visit = await self._normal.get_or_create(
                    agent_id, agent_name, route=route, operation=operation, limit=limit, diff=diff, create=create
                )
                fallback.known.saw(visit.session_id, visit.head, agent_id)
                return visit
        options: dict[str, Any] = {
            "route": route,
            "operation": operation,
            "limit": limit,
            "diff": diff,
            "create": create,
        }
        visit = await fallback.run(
            lambda: self._normal.get_or_create(agent_id, agent_name, **options),
            lambda: fallback.degraded.visit(agent_id, agent_name, **options),
            agent_id=agent_id,
        )
        if not visit.degraded:
            fallback.known.saw(visit.session_id, visit.head, agent_id)
        return visit

    async def count(self, who: str, operation: str, limit: int) -> RateLimitStatus:
        """See `AgentSessions.count`."""

        async def degraded() -> RateLimitStatus:
            return self._fallback.degraded.count(who, operation, limit)

        return await self._fallback.run(lambda: self._normal.count(who, operation, limit), degraded)

    async def unmap(self, agent_id: str, session_id: str) -> None:
        """See `AgentSessions.unmap`."""
        self._fallback.known.forget(session_id, agent_id)
        await self._fallback.run(
            lambda: self._normal.unmap(agent_id, session_id),
            lambda: self._fallback.degraded.unmap(agent_id, session_id),
            session_id=session_id,
        )


class FallbackEarlierSessions:
    """`EarlierSessions` with a fallback: without Redis, the archive and the journal are searched."""

    def __init__(self, normal: EarlierSessions, fallback: SessionFallback) -> None:
        self._normal = normal
        self._fallback = fallback

    async def find(self, agent_id: str, visit: Visit, op_id: str) -> str | None:
        """See `EarlierSessions.find`."""
        return await self._fallback.run(
            lambda: self._normal.find(agent_id, visit, op_id),
            lambda: self._fallback.degraded.earlier.find(agent_id, visit, op_id),
            agent_id=agent_id,
        )

    async def ended(self, agent_id: str, session_id: str) -> None:
        """See `EarlierSessions.ended`."""
        await self._fallback.run(
            lambda: self._normal.ended(agent_id, session_id),
            lambda: self._fallback.degraded.earlier.ended(agent_id, session_id),
            session_id=session_id,
        )

    async def archived(self, agent_id: str, session_id: str) -> None:
        """See `EarlierSessions.archived`."""
        await self._normal.archived(agent_id, session_id)


class FallbackWriter:
    """`SessionWriter` with a fallback."""

    def __init__(self, normal: SessionWriter, fallback: SessionFallback) -> None:
        self._normal = normal
        self._fallback = fallback

    async def create(
        self,
        agent_id: str,
        agent_name: str,
        route: str = "/",
        *,
        session_id: str | None = None,
        ttl_ms: int | None = None,
    ) -> Created:
        """See `SessionWriter.create`. A session that is created in the journal gets the usual TTL when it is home."""
        new_id = keys.check_session_id(session_id or keys.new_session_id())
        created = await self._fallback.run(
            lambda: self._normal.create(agent_id, agent_name, route, session_id=new_id, ttl_ms=ttl_ms),
            lambda: self._fallback.degraded.create(agent_id, agent_name, route, session_id=new_id),
            session_id=new_id,
            agent_id=agent_id,
        )
        self._saw(created.document, degraded=created.degraded)
        return created

    async def apply(
        self,
        session_id: str,
        delta: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        base: Base | None = None,
        fresh_op_id: str | None = None,
    ) -> Updated:
        """See `SessionWriter.apply`."""
        op_id = fresh_op_id or keys.new_op_id()
        updated = await self._fallback.run(
            lambda: self._normal.apply(session_id, delta, entry, base=base, fresh_op_id=op_id),
            lambda: self._fallback.degraded.apply(session_id, delta, entry, op_id, base),
            session_id=session_id,
        )
        return self._seen(session_id, updated)

    async def preview(
        self, session_id: str, delta: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Updated:
        """See `SessionWriter.preview`."""
        return await self._normal.preview(session_id, delta, entry)

    async def update_page_state(
        self, session_id: str, page: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Updated:
        """See `SessionWriter.update_page_state`."""
        op_id = keys.new_op_id()
        updated = await self._fallback.run(
            lambda: self._normal.update_page_state(session_id, page, entry, fresh_op_id=op_id),
            lambda: self._fallback.degraded.update_page_state(session_id, page, entry, op_id),
            session_id=session_id,
        )
        return self._seen(session_id, updated)

    async def update_pagination(
        self, session_id: str, pagination: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Updated:
        """See `SessionWriter.update_pagination`."""
        op_id = keys.new_op_id()
        updated = await self._fallback.run(
            lambda: self._normal.update_pagination(session_id, pagination, entry, fresh_op_id=op_id),
            lambda: self._fallback.degraded.update_pagination(session_id, pagination, entry, op_id),
            session_id=session_id,
        )
        return self._seen(session_id, updated)

    async def touch(self, session_ids: Sequence[str], ttl_ms: int | None = None) -> list[bool | AwiError]:
        """See `SessionWriter.touch`."""
        return await self._normal.touch(session_ids, ttl_ms)

    def _seen(self, session_id: str, updated: Updated) -> Updated:
        if not updated.degraded:
            self._fallback.known.wrote(session_id, updated.head, updated.action, updated.size)
        return updated

    def _saw(self, document: dict[str, Any], *, degraded: bool) -> None:
        history = {name: value for name, value in document["history"].items() if name != "actions"}
        if not degraded:
            head = {**document, "history": history}
            self._fallback.known.saw(document["session_id"], head, document["agent_id"])
