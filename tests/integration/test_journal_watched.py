"""What went on in MongoDB is brought back to Redis by what runs: a server, a site with the middleware, a program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from support.api import served
from support.archives import drop_sockets
from support.mongo import MongoServer
from support.sites import client_of, running
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.fallback.switch import SessionFallback
from awictl.server.middleware import LoadSession

SESSION_ID = "sess_0001"
PATIENCE = 60.0


@asynccontextmanager
async def a_server(settings: Settings) -> AsyncIterator[None]:
    async with served(settings):
        yield


@dataclass(frozen=True)
class Caller:
    agent_id: str = "another"
    name: str = "Another agent"


@asynccontextmanager
async def a_site(settings: Settings) -> AsyncIterator[None]:
    async def identify(_: object) -> Caller:
        return Caller()

    site = Starlette(middleware=[Middleware(LoadSession, settings=settings, identify=identify)])
    async with running(site), client_of(site) as client:
        await client.get("/")
        yield


@asynccontextmanager
async def a_program(settings: Settings) -> AsyncIterator[None]:
    async with StateManager.open(settings) as manager, manager.journal_watched():
        yield


@pytest.mark.parametrize("runs", [a_server, a_site, a_program], ids=lambda one: one.__name__)
async def test_it_comes_home_by_itself(
    runs: Callable[[Settings], AbstractAsyncContextManager[None]],
    mongo: MongoServer,
    mongo_sockets: None,
    new_valkey: Callable[[], ValkeyServer],
) -> None:
    server = new_valkey()
    settings = server.settings(mongodb_uri=mongo.uri)
    server.kill()
    async with StateManager.open(settings) as manager:
        created = await manager.create("agent", "Agent", session_id=SESSION_ID)
        assert created.degraded
        assert (await manager.apply(SESSION_ID, {"n": 1}, {"op_id": "op-1"})).degraded
    server.start()
    async with runs(settings), asyncio.timeout(PATIENCE):
        while b'"op-1"' not in (server.raw.get(f"AWI:SESSION:{SESSION_ID}") or b""):
            await asyncio.sleep(0.01)
    assert server.raw.get("AGENT:SESSION:agent") == SESSION_ID.encode()
    await drop_sockets()


async def test_a_cancellation_that_becomes_another_error_does_not_keep_it_from_ending(
    settings: Settings, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = 0

    async def watch(_: SessionFallback) -> None:
        nonlocal cancelled
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled > 1:
                    raise

    monkeypatch.setattr(SessionFallback, "watch", watch)
    journaled = replace(settings, mongodb_uri=mongo.uri)
    async with StateManager.open(journaled) as manager, asyncio.timeout(PATIENCE), manager.journal_watched():
        await asyncio.sleep(0)
    assert cancelled == 2
