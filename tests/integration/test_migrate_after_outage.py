"""A migration after an outage of Redis: what was recorded in MongoDB meanwhile is applied to Redis first."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.fallback_site import Site, site_of
from support.mongo import MongoServer
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl.errors import Refused
from awictl.store import breaker


@pytest.fixture
async def site(
    valkey: ValkeyServer, proxy: Proxy, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A process with a fallback, and Redis behind a proxy. It notices soon that Redis is back."""
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", (0.05,))
    async with site_of(valkey, proxy, mongo) as opened:
        yield opened


async def test_what_was_recorded_meanwhile_is_moved_too(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.apply(session_id, 1)
    await site.redis_away()
    assert (await site.apply(session_id, 2)).degraded
    await site.redis_back()
    async with site.manager.migration(to_redis=False) as migration:
        done = await migration.run()
        assert done.counts.moved == 1 and not done.exceptions
        stored = await migration.target.read(session_id)
    assert stored is not None and b'"op_id":"op_1"' in stored.raw and b'"op_id":"op_2"' in stored.raw
    assert await site.pending() == []
    assert not site.valkey.raw.exists(f"AWI:SESSION:{session_id}")


async def test_nothing_is_moved_before_that(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = await site.new_session("a")

    async def some_left() -> int:
        return 1

    monkeypatch.setattr(site.manager, "bring_home", some_left)
    async with site.manager.migration(to_redis=False) as migration:
        with pytest.raises(Refused, match="1 session went on in MongoDB while Redis was away"):
            await migration.run()
        assert migration.result.counts.found == 0
    assert site.valkey.raw.exists(f"AWI:SESSION:{session_id}")
