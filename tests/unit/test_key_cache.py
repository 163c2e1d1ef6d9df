"""The cache of API keys: a suspension elsewhere is noticed within seconds; an unreachable key store is bridged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from awictl import AgentKey, Unreachable
from awictl.agents.api_keys import KeyState, Permission
from awictl.agents.key_cache import CACHE_SECONDS, CHECK_SECONDS, REFRESH_SECONDS, KeyCache


class Stored:
    """A key store with one key, which counts queries."""

    def __init__(self) -> None:
        self.key = AgentKey("a" * 24, "x", (Permission.READ,), None)
        self.lookups = self.checks = 0
        self.error: Exception | None = None
        self.now = 1_000.0
        #: What a check returns; None: the ids of the keys that are active.
        self.usable: set[str] | None = None
        #: Whether checks end.
        self.answers = asyncio.Event()
        self.answers.set()

    async def look_up(self, secret: str, digest: str) -> AgentKey | None:
        self.lookups += 1
        if self.error is not None:
            raise self.error
        return self.key

    async def check(self, keys: Any) -> set[str]:
        self.checks += 1
        found = {one.agent_id for one in keys if self.key.state() is KeyState.ACTIVE}
        found = found if self.usable is None else self.usable
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return found


@pytest.fixture
async def store() -> Stored:
    return Stored()


@pytest.fixture
async def cache(store: Stored) -> AsyncIterator[KeyCache]:
    cache = KeyCache(store.look_up, store.check, clock=lambda: store.now)
    yield cache
    await cache.close()


def test_a_suspension_elsewhere_is_noticed_within_five_seconds_by_the_settings() -> None:
    assert CHECK_SECONDS <= 4.0 and REFRESH_SECONDS * 2 <= CHECK_SECONDS


async def test_a_key_is_not_accepted_without_a_recent_check(cache: KeyCache, store: Stored) -> None:
    assert await cache.find("s", "d") == store.key
    store.now += CHECK_SECONDS - 0.1
    assert cache.fresh("d") == store.key
    store.key = replace(store.key, suspended=True)
    store.now += 0.2
    assert cache.fresh("d") is None
    found = await cache.find("s", "d")
    assert found is not None and found.state() is KeyState.SUSPENDED and store.lookups == 2


async def test_checks_in_the_background_keep_a_key_for_a_minute_with_one_lookup(cache: KeyCache, store: Stored) -> None:
    await cache.find("s", "d")
    for _ in range(int(CACHE_SECONDS / REFRESH_SECONDS) - 1):
        store.now += REFRESH_SECONDS
        await cache.refresh()
        assert cache.fresh("d") == store.key
    assert store.lookups == 1
    store.now += REFRESH_SECONDS
    assert cache.fresh("d") is None and cache.was_found("d"), "its other fields may have changed"


async def test_a_check_notices_suspension_and_resumption(cache: KeyCache, store: Stored) -> None:
    await cache.find("s", "d")
    for suspended in (True, False, True):
        store.key = replace(store.key, suspended=suspended)
        await cache.refresh()
        assert cache.fresh("d") is None
        assert await cache.find("s", "d") == store.key


async def test_a_key_that_was_deleted_is_looked_up_again(cache: KeyCache, store: Stored) -> None:
    await cache.find("s", "d")
    store.usable = set()
    await cache.refresh()
    assert cache.fresh("d") is None


async def test_keys_in_the_cache_are_checked_by_a_task_until_none_is_recent(
    cache: KeyCache, store: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awictl.agents.key_cache.REFRESH_SECONDS", 0.001)
    await cache.find("s", "d")
    while store.checks < 3:
        await asyncio.sleep(0.001)
    store.now += CACHE_SECONDS
    assert cache._refresher is not None
    await asyncio.wait_for(cache._refresher, 30)
    checks = store.checks
    await cache.find("s", "d")
    while store.checks == checks:
        await asyncio.sleep(0.001)


async def test_while_the_store_is_unreachable_good_keys_are_accepted_for_a_minute(
    cache: KeyCache, store: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    await cache.find("s", "d")
    store.error = Unreachable("gone")
    store.now += CHECK_SECONDS + 1
    assert cache.fresh("d") is None
    assert await cache.find("s", "d") == store.key, "the lookup failed"
    assert cache.fresh("d") == store.key, "without another lookup"
    await cache.refresh()
    store.now += 50
    assert cache.fresh("d") == store.key and store.lookups == 2
    store.now += CACHE_SECONDS - 50
    assert cache.fresh("d") is None
    with pytest.raises(Unreachable):
        await cache.find("s", "d")
    assert [one.message for one in caplog.records if "cannot be checked" in one.message] == [caplog.messages[0]]
    store.error = None
    assert await cache.find("s", "d") == store.key


async def test_while_the_store_is_unreachable_suspended_agents_stay_suspended(cache: KeyCache, store: Stored) -> None:
    await cache.find("s", "d")
    store.key = replace(store.key, suspended=True)
    await cache.refresh()
    store.error = Unreachable("gone")
    await cache.refresh()
    assert cache.fresh("d") is None, "it was good when it was cached"
    with pytest.raises(Unreachable):
        await cache.find("s", "d")
    store.error = None
    await cache.find("s", "d")
    store.error = Unreachable("gone")
    await cache.refresh()
    store.now += CHECK_SECONDS + 1
    cached = cache.fresh("d")
    assert cached is not None and cached.state() is KeyState.SUSPENDED


async def test_a_check_that_began_before_a_suspension_here_does_not_undo_it(cache: KeyCache, store: Stored) -> None:
    await cache.find("s", "d")
    store.answers.clear()
    check = asyncio.create_task(cache.refresh())
    while not store.checks:
        await asyncio.sleep(0)
    cache.forget(store.key.agent_id)
    store.answers.set()
    await check
    assert cache.fresh("d") is None
    cache.forget("another agent")
    await cache.find("s", "d")
    cache.forget("another agent")
    assert cache.fresh("d") == store.key
