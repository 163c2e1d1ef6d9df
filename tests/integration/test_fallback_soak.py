"""Long proofs of the fallback: 64 agents, two servers, and outages of half a minute. Run with `-m soak -s`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mongo import MongoServer
from support.outage import DURABLE, Site
from support.outage_scene import RECOVERED_SECONDS, REFUSED, SLOWER_SECONDS, Size, cut_off, scene
from support.valkey import ValkeyServer

pytestmark = pytest.mark.soak

#: At this pace, the MongoDB-wire server of the tests keeps up on a slow machine: it writes 65 to 200 times per second.
FULL = Size(64, 4.0, 20.0, 30.0)
#: Outages of a Redis that flaps.
FLAPS = 10


@pytest.fixture
def site(new_valkey: Callable[..., ValkeyServer], mongo: MongoServer, tmp_path: Path) -> Site:
    """A site with its own Redis, which keeps its data when it is killed."""
    return Site.of(new_valkey(*DURABLE), mongo, tmp_path / "home")


async def killed_and_restarted(site: Site, size: Size, empty: bool) -> None:
    async with scene(site, size) as now:
        await now.before()
        if empty:
            await now.lose_redis()
        else:
            site.redis.kill()
        await now.degraded()
        site.start_redis(empty=empty)
        await now.recovered()
        now.compare_reads()
        await now.end()
        assert now.refused() <= REFUSED
        assert now.slower <= SLOWER_SECONDS
        assert now.first_answer <= RECOVERED_SECONDS


@pytest.mark.parametrize("empty", [False, True], ids=["with its data", "without"])
async def test_64_agents_and_redis_is_killed(site: Site, empty: bool) -> None:
    """Without its data, Redis has lost what was acknowledged before; so the load pauses while that is archived."""
    await killed_and_restarted(site, FULL, empty)


@pytest.mark.parametrize("empty", [False, True], ids=["with its data", "without"])
async def test_trimmed_sessions(site: Site, tmp_path: Path, empty: bool) -> None:
    site = Site.of(site.redis, site.mongo, tmp_path / "home", max_actions=8)
    await killed_and_restarted(site, Size(32, 2.0, 10.0, 20.0), empty)


async def test_64_agents_and_redis_is_suspended(site: Site) -> None:
    """It keeps its connections and accepts new ones, but answers nothing."""
    async with scene(site, FULL) as now:
        await now.before()
        site.redis.pause()
        await now.degraded()
        site.redis.resume()
        await now.recovered()
        await now.end()


@pytest.mark.parametrize("way", ["killed", "suspended"])
async def test_64_agents_and_mongodb_is_away_as_well(
    site: Site, new_mongo: Callable[[], MongoServer], tmp_path: Path, way: str
) -> None:
    mongo = await asyncio.to_thread(new_mongo)
    site = Site.of(site.redis, mongo, tmp_path / "home")
    async with scene(site, FULL) as now:
        await now.before()
        site.redis.kill()
        await now.degraded()
        await now.without_mongodb(*((mongo.kill, mongo.start) if way == "killed" else (mongo.pause, mongo.resume)))
        site.start_redis()
        await now.recovered()
        await now.end()


async def test_64_agents_and_redis_flaps(site: Site) -> None:
    """It is killed and restarted every second. The breakers do not follow it, but stay open for longer each time."""
    async with scene(site, FULL, exact=False) as now:
        await now.before()
        for _ in range(FLAPS):
            await asyncio.to_thread(site.redis.kill)
            await asyncio.sleep(1)
            await asyncio.to_thread(site.start_redis)
            await asyncio.sleep(1)
        await now.recovered()
        opened = [server.log().count("no more requests are sent to") for server in now.servers]
        now.figures["breakers opened, times"] = f"{opened} in {FLAPS} outages"
        await now.end(apart=True)
        assert 1 <= max(opened) <= FLAPS - 2


async def test_64_agents_and_one_server_is_cut_off_from_redis(site: Site, tmp_path: Path) -> None:
    await cut_off(site, FULL, tmp_path / "home")
