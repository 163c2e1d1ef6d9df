"""Redis goes away under load, with two server processes: agents go on, and in the end everything is in Redis.

`test_fallback_soak.py` has the same in full size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mongo import MongoServer
from support.outage import DURABLE, Site, health
from support.outage_scene import Size, cut_off, scene
from support.valkey import ValkeyServer

SMALL = Size(3, 0.06)
#: AWI_TIMEOUT in seconds.
SMALL_TIMEOUT = 2.0


@pytest.fixture
def site(new_valkey: Callable[..., ValkeyServer], mongo: MongoServer, tmp_path: Path) -> Site:
    """A site with its own Redis, which keeps its data when it is killed."""
    return Site.of(new_valkey(*DURABLE), mongo, tmp_path / "home", timeout=SMALL_TIMEOUT)


async def test_one_outage_after_the_other(site: Site) -> None:
    """Redis is killed, suspended, and comes back without its data, which was archived while the load paused."""
    async with scene(site, SMALL) as now:
        await now.before()
        site.redis.kill()
        await now.degraded()
        for server in now.servers:
            told = await asyncio.to_thread(health, server)
            assert (told["success"], told["degraded"]) == (True, True) and told["breaker"] in ("open", "half-open")
        site.start_redis()
        await now.recovered()
        site.redis.pause()
        await now.degraded()
        site.redis.resume()
        await now.recovered()
        await now.lose_redis()
        await now.degraded()
        site.start_redis(empty=True)
        await now.recovered()
        await now.end()


async def test_mongodb_is_away_as_well(site: Site, new_mongo: Callable[[], MongoServer], tmp_path: Path) -> None:
    """Killed, and suspended. Agents get 503; what was acknowledged before, in the journal, is not lost."""
    site = Site.of(site.redis, await asyncio.to_thread(new_mongo), tmp_path / "home", timeout=SMALL_TIMEOUT)
    async with scene(site, SMALL) as now:
        await now.before()
        site.redis.kill()
        await now.degraded()
        await now.without_mongodb(site.mongo.kill, site.mongo.start)
        await now.without_mongodb(site.mongo.pause, site.mongo.resume)
        site.start_redis()
        await now.recovered()
        await now.end()


async def test_one_server_is_cut_off_from_redis(site: Site, tmp_path: Path) -> None:
    await cut_off(site, SMALL, tmp_path / "home")
