"""A process with a fallback, whose Redis a test takes away and gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from awictl import StateManager
from awictl.archive.transfer import Transfer
from awictl.document.byte_layout import decode
from awictl.errors import AwiError
from awictl.fallback.journal import Journal
from awictl.fallback.switch import SessionFallback
from awictl.sessions.get_or_create import Visit
from awictl.sessions.update import Updated
from awictl.store.mongo.database import LiveDatabase

from .mongo import MongoServer
from .proxy import Cut, Proxy, once
from .valkey import ValkeyServer


class Site:
    """One process: its state manager, and the servers behind it."""

    def __init__(self, manager: StateManager, valkey: ValkeyServer, proxy: Proxy, mongo: MongoServer) -> None:
        self.manager = manager
        self.valkey = valkey
        self.proxy = proxy
        self.mongo = mongo
        #: What keeps the manager open, of a site that can be restarted.
        self.stack: AsyncExitStack | None = None

    async def restart(self) -> None:
        """Let another process take the place of this one: it knows nothing of what this one knew."""
        assert self.stack is not None
        settings = self.manager.settings
        await self.stack.aclose()
        self.manager = await self.stack.enter_async_context(StateManager.open(settings))

    @property
    def fallback(self) -> SessionFallback:
        assert self.manager.fallback is not None
        return self.manager.fallback

    async def new_session(self, agent_id: str) -> str:
        """Create a session of an agent in Redis."""
        return (await self.visit(agent_id)).session_id

    async def visit(self, agent_id: str, **options: Any) -> Visit:
        """A request of an agent."""
        return await self.manager.agent_sessions.get_or_create(agent_id, f"Agent {agent_id}", **options)

    async def apply(self, session_id: str, number: int) -> Updated:
        """The update `op_<number>`, which sets `n` to the number."""
        return await self.manager.apply(session_id, {"n": number}, {"action": "filter", "op_id": f"op_{number}"})

    async def archive(self, session_id: str) -> None:
        """Archive a snapshot of a session, as a sweep does."""
        [result] = (await Transfer(self.manager.store, self.manager.required_archive()).archive([session_id])).values()
        assert not isinstance(result, AwiError)

    async def redis_away(self, *, after_commit: bool = False) -> None:
        """Let Redis go away: now, or in the middle of the next update, after it was applied."""
        if after_commit:
            self.proxy.rule = once(Cut.REPLY, b'"op_id":"op_')
            self.proxy.before_cut = self._refuse
        else:
            await self.proxy.cut_off()

    async def _refuse(self) -> None:
        self.proxy.refusing = True

    async def redis_back(self) -> None:
        """Let Redis come back, and wait until this process has noticed."""
        self.proxy.refusing = False
        breaker = self.manager.breaker
        assert breaker is not None
        while not breaker.is_closed:
            await asyncio.sleep(0.02)

    @contextmanager
    def mongo_away(self) -> Iterator[None]:
        """Suspend MongoDB for a block."""
        self.mongo.pause()
        try:
            yield
        finally:
            self.mongo.resume()

    async def pending(self) -> list[str]:
        """The sessions that are to be brought home."""
        return [one async for one in self.fallback.journal.pending()]

    def document(self, session_id: str) -> dict[str, Any]:
        """The session in Redis."""
        return decode(self.valkey.raw.get(f"AWI:SESSION:{session_id}"))

    def documents(self) -> list[dict[str, Any]]:
        """All sessions in Redis."""
        return [decode(self.valkey.raw.get(key)) for key in self.valkey.raw.scan_iter("AWI:SESSION:*")]

    def op_ids(self, session_id: str) -> list[str]:
        """The op_ids of a session in Redis, in order."""
        return [one["op_id"] for one in self.document(session_id)["history"]["actions"] if "op_id" in one]

    @asynccontextmanager
    async def another(self, *, proxied: bool = False, fallback: bool = True) -> AsyncIterator[Site]:
        """Another process, whose Redis does not go away or, if `proxied`, goes away together with that of this one.

        Without `fallback`, it does not look into the journal.
        """
        settings = replace(self.manager.settings, fallback=fallback)
        if not proxied:
            settings = replace(settings, redis_socket=str(self.valkey.socket))
        async with StateManager.open(settings) as manager:
            yield Site(manager, self.valkey, self.proxy, self.mongo)


def without_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process create indexes of the journal, which takes most of the time of a short test."""

    async def prepared(_: Any) -> None:
        pass

    monkeypatch.setattr(LiveDatabase, "prepare", prepared)
    monkeypatch.setattr(Journal, "_prepare", prepared)


@asynccontextmanager
async def site_of(valkey: ValkeyServer, proxy: Proxy, mongo: MongoServer) -> AsyncIterator[Site]:
    """A process whose Redis is behind a proxy."""
    settings = proxy.settings(mongodb_uri=mongo.uri, timeout=1.0)
    async with AsyncExitStack() as stack:
        site = Site(await stack.enter_async_context(StateManager.open(settings)), valkey, proxy, mongo)
        site.stack = stack
        yield site
