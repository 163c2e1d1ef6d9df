"""Requests over a redis-py client that are cancelled while they are sent: asyncio.wait_for of 3.11 may lose that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest
import redis.asyncio as aioredis
from redis.asyncio.connection import AbstractConnection
from support.documents import compact, document, put
from support.valkey import ValkeyServer

from awictl import Settings, StateManager


@pytest.fixture
def lose_cancellation(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the next requests lose a cancellation."""
    send = AbstractConnection.send_packed_command

    async def losing(self: AbstractConnection, *arguments: Any, **others: Any) -> None:
        await send(self, *arguments, **others)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    return lambda: monkeypatch.setattr(AbstractConnection, "send_packed_command", losing)


@pytest.fixture
async def manager(valkey: ValkeyServer) -> AsyncIterator[StateManager]:
    async with (
        aioredis.Redis(unix_socket_path=str(valkey.socket)) as client,
        StateManager.open(Settings(), redis=client) as opened,
    ):
        yield opened


async def test_a_request_ends(
    manager: StateManager, valkey: ValkeyServer, lose_cancellation: Callable[[], None]
) -> None:
    session_id = "sess_test"
    put(valkey, compact(document([0])), session_id)
    await manager.get_session_state(session_id)
    lose_cancellation()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(manager.get_session_state(session_id))


async def test_a_stream_ends(manager: StateManager, lose_cancellation: Callable[[], None]) -> None:
    async def follow() -> None:
        async with aclosing(manager.store.keyspace._server.stream(("MONITOR",), 30)) as lines:
            async for _ in lines:
                pass

    await manager.store.ping()
    lose_cancellation()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.create_task(follow()), 10)
