"""The circuit breaker on real servers: what opens it, what does not, and that probes close it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.mongo import MongoServer
from support.proxy import Cut, Proxy
from support.topologies import Cluster, Sentinels
from support.valkey import ValkeyServer

from awictl import Settings, StateManager, Unreachable
from awictl.errors import AwiError
from awictl.store import breaker as breaker_module
from awictl.store.breaker import BreakerState, CircuitBreaker
from awictl.store.redis import recovery
from awictl.store.redis.sessions import RedisStore

SESSION_ID = "sess_0001"
#: Seconds until a request fails; long, so that nothing times out on a slow machine unless it should.
TIMEOUT = 20.0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "PAUSE_SECONDS", (0.02, 0.05, 0.05))


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[RedisStore]:
    """A store behind the proxy, with a breaker."""
    settings = proxy.settings(timeout=TIMEOUT)
    opened = RedisStore.open(settings)
    opened.guard(TIMEOUT)
    yield opened
    await opened.close()


async def closed(breaker: CircuitBreaker) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not breaker.is_closed:
            await asyncio.sleep(0.005)


async def failures(store: RedisStore, count: int) -> list[str]:
    """The messages of requests in a row, each of which has to fail."""
    messages = []
    for _ in range(count):
        with pytest.raises(Unreachable) as caught:
            await store.read(SESSION_ID)
        messages.append(str(caught.value))
    return messages


async def test_three_refused_requests_open_it_and_the_fourth_is_not_sent(store: RedisStore, proxy: Proxy) -> None:
    breaker = store.guard(TIMEOUT)
    assert await store.read(SESSION_ID) is None
    proxy.rule = lambda _: Cut.REQUEST
    first = await failures(store, 3)
    assert breaker.state is BreakerState.OPEN and "no request is sent" not in first[2]
    sent = proxy.all_cuts
    [message] = await failures(store, 1)
    assert "no request is sent before it answers" in message and proxy.all_cuts == sent
    proxy.rule = lambda _: None
    await closed(breaker)
    assert await store.read(SESSION_ID) is None
    assert breaker.times_opened == 1


async def test_a_request_that_takes_the_full_timeout_opens_it(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PROBE_SECONDS", 0.05)
    store = RedisStore.open(valkey.settings(timeout=0.2))
    breaker = store.guard(0.2)
    await store.read(SESSION_ID)
    try:
        valkey.pause()
        await failures(store, 1)
        assert breaker.state is BreakerState.OPEN
        await asyncio.sleep(0.2)  # some probes are given up meanwhile
        assert not breaker.is_closed
        valkey.resume()
        await closed(breaker)
        assert await store.read(SESSION_ID) is None
    finally:
        valkey.resume()
        await store.close()


@pytest.mark.parametrize(
    ("reply", "opens"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", True),
        (b"-MASTERDOWN Link with MASTER is down\r\n", True),
        (b"-CLUSTERDOWN The cluster is down\r\n", True),
        (b"-NOPERM User has no permissions to run the 'evalsha' command\r\n", False),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", False),
        (b"-NOAUTH Authentication required.\r\n", False),
    ],
    ids=["LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOPERM", "WRONGTYPE", "NOAUTH"],
)
async def test_error_replies(store: RedisStore, proxy: Proxy, reply: bytes, *, opens: bool) -> None:
    breaker = store.guard(TIMEOUT)
    await store.diff(SESSION_ID)
    proxy.replacement = lambda request: reply * request.count(b"\r\n$3\r\nGET\r\n")
    unreachable = 0
    for _ in range(4):
        try:
            await store._server.execute(("GET", "AWI:SESSION:sess_0001"))  # as reads without scripts do
        except Unreachable:
            unreachable += 1
        except AwiError:
            pass
    assert unreachable == (4 if opens else 0)
    assert (breaker.state is BreakerState.OPEN) == opens


async def test_pings_are_sent_although_it_is_open(store: RedisStore, proxy: Proxy) -> None:
    breaker = store.guard(TIMEOUT)
    proxy.rule = lambda request: None if b"PING" in request or b"INFO" in request else Cut.REQUEST
    await failures(store, 3)
    assert breaker.state is not BreakerState.CLOSED
    assert (await store.ping())["latency_ms"] > 0
    assert breaker.state is not BreakerState.CLOSED  # a ping of the health check does not close it


async def test_an_update_does_not_retry_a_lost_reply_while_it_is_open(
    proxy: Proxy, valkey: ValkeyServer, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker_module, "PAUSE_SECONDS", (1_000.0,))
    settings = proxy.settings(timeout=TIMEOUT, mongodb_uri=mongo.uri)
    async with StateManager.open(settings) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": 0})
        proxy.rule = lambda request: Cut.REPLY if b"op-1" in request else Cut.REQUEST
        # without it, this is retried for RETRY_SECONDS
        monkeypatch.setattr("awictl.sessions.update.RETRY_SECONDS", 1_000.0)
        async with asyncio.timeout(TIMEOUT):
            updated = await manager.apply(SESSION_ID, {"n": 1}, {"op_id": "op-1"})
        assert (updated.degraded, updated.op_id) == (True, "op-1"), "with the same op_id, so that it is applied once"
    assert valkey.raw.get("AWI:SESSION:sess_0001").count(b'"op-1"') >= 1


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_deployments_without_any_server(kind: str, request: pytest.FixtureRequest) -> None:
    """One request that finds no server until its deadline opens it; when the servers are back, probes close it."""
    deployment: Cluster | Sentinels = request.getfixturevalue("cluster" if kind == "cluster" else "sentinels")
    settings: Settings = deployment.settings(timeout=0.5)
    store = RedisStore.open(settings)
    breaker = store.guard(0.5)
    try:
        await store.read(SESSION_ID)
        for member in deployment.members:
            member.pause()
        for _ in range(3):
            with pytest.raises(Unreachable):
                await store.read(SESSION_ID)
        assert breaker.state is not BreakerState.CLOSED
        for member in deployment.members:
            member.resume()
        await closed(breaker)
    finally:
        for member in deployment.members:
            member.resume()
        await store.close()


async def test_an_unexpected_error_does_not_end_the_probes(caplog: pytest.LogCaptureFixture) -> None:
    breaker = CircuitBreaker("redis", TIMEOUT)
    for _ in range(3):
        breaker.failed(breaker.before(), "connection refused")
    errors: list[Exception] = [ValueError("unexpected"), Unreachable("away"), ValueError("unexpected")]

    async def execute(*_: object, **__: object) -> list[bytes]:
        if errors:
            raise errors.pop()
        return [b""]

    async with asyncio.timeout(TIMEOUT):
        await recovery.recover(execute, breaker)
    assert breaker.is_closed and not errors
    assert [one.message for one in caplog.records].count("a probe failed") == 2
