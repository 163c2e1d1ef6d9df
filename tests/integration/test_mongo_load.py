"""Agents on two servers without Redis (AWI_USE_REDIS=false), whose MongoDB is killed and frozen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cli import Cli
from support.fallback_agents import Agent
from support.mongo import MongoServer
from support.outage import found, loaded
from support.serving import serving

from awictl import Permission, Settings, StateManager


@pytest.mark.soak
async def test_nothing_acknowledged_is_lost_while_mongodb_fails(
    new_mongo: Callable[[], MongoServer], tmp_path: Path
) -> None:
    mongo = new_mongo()
    user = Cli.at(tmp_path / "home", AWI_USE_REDIS="false", MONGODB_URI=mongo.uri, AWI_TIMEOUT="2")
    settings = Settings(use_redis=False, mongodb_uri=mongo.uri, timeout=30)
    async with StateManager.open(settings) as manager:
        made = [
            await manager.agents.register(f"agent {i}", permissions=[Permission.READ, Permission.WRITE])
            for i in range(12)
        ]
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(user, "--rate-limit", "0")) for _ in range(2)]
        ports = [server.port for server in servers]
        agents = [Agent(i, one.secret, ports, think=0.1, ends=0.05) for i, one in enumerate(made)]
        async with loaded(agents) as load:
            await load.acknowledged(3)
            for stop, start in ((mongo.kill, mongo.start), (mongo.pause, mongo.resume), (mongo.kill, mongo.start)):
                await asyncio.to_thread(stop)
                await asyncio.sleep(4)
                await asyncio.to_thread(start)
                await load.acknowledged(3, since=asyncio.get_running_loop().time())
        # sessions whose end was recorded while the archive was away
        assert (await asyncio.to_thread(user, "archive", "sweep")).code == 0
    result = await found(settings, load.ledgers)
    assert result.faults == {} and result.acknowledged > 100 and result.degraded == 0, result
    assert [what for one in load.ledgers for _, what in one.wrong] == []
    assert sum(len(one.refusals) for one in load.ledgers) > 0, "MongoDB was away"
