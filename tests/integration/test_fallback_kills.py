"""`kill -9` of a server while Redis is away, and while the journal is brought home: at every request to a server.

`few` kills at three of the steps, `all` at each one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.fallback_agents import Act, Agent, Ledger
from support.killing import Killer, Moment
from support.mongo import DATABASE, MongoServer
from support.outage import DURABLE, Site, eventually, found
from support.serving import Server, serving
from support.valkey import ValkeyServer, free_port

from awictl import StateManager

EVERY = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
#: Updates of an agent while its server is killed.
UPDATES = 3
#: The steps at which `few` kills.
FEW_AWAY, FEW_HOME = (2, 17, 30), (5, 11, 19)


@pytest.fixture
def site(new_valkey: Callable[..., ValkeyServer], mongo: MongoServer, tmp_path: Path) -> Site:
    """A site with its own Redis, which keeps its data when it is killed."""
    return Site.of(new_valkey(*DURABLE), mongo, tmp_path / "home")


@asynccontextmanager
async def watched(site: Site, killer: Killer) -> AsyncIterator[Server]:
    """A server that is killed at the step of `killer`."""
    # without directConnection the driver uses the address that the server reports
    uri = f"mongodb://127.0.0.1:{killer.mongo(site.mongo.port)}/{DATABASE}?directConnection=true"
    with serving(site.user.having(MONGODB_URI=uri), "--rate-limit", "0") as server:
        killer.pid = server.pid
        yield server
    killer.close()


async def at_moments(kill: Callable[[int, Moment], Awaitable[bool]], few: Sequence[int], every: bool) -> int:
    """Kill before the first request, and after each one until none is left; or at a few of them. Returns how often.

    After a request, the servers have what they have before the next one. `kill` returns whether there is such a step.
    """
    if not every:
        assert all([await kill(step, Moment.AFTER) for step in few])
        return len(few)
    assert await kill(0, Moment.BEFORE)
    for step in itertools.count():
        if not await kill(step, Moment.AFTER):
            assert step > max(few)
            return step + 1
    raise AssertionError("unreachable")


async def work(agent: Agent) -> None:
    """Updates that are all acknowledged or given up, and reads between them."""
    for _ in range(UPDATES):
        await agent.update()
        await agent.read("state")
        await agent.read("history?limit=12")


@EVERY
async def test_a_server_is_killed_while_redis_is_away(site: Site, every: bool) -> None:
    """The agents go on at another server, which has seen nothing of them."""
    secrets = await site.register(200 if every else 3, begin=True)
    site.redis.kill()
    with site.serving(1) as [other]:
        agents = [Agent(number, secret, [other.port], think=0) for number, secret in enumerate(secrets)]
        unused = iter(agents)

        async def kill(step: int, moment: Moment) -> bool:
            killer, agent = Killer(step, moment), next(unused)
            killer.counting = False
            async with watched(site, killer) as server:
                agent.moved([server.port])
                killer.counting = True
                working = asyncio.create_task(work(agent))
                gone = asyncio.create_task(asyncio.to_thread(server.process.wait))
                await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
                agent.moved([other.port])
                server.process.kill()
                await gone
                await working
            return killer.killed

        times = await at_moments(kill, FEW_AWAY, every)
        await asyncio.gather(*(agent.close() for agent in agents))
        assert site.pending() == len(agents) - len(list(unused))
        site.start_redis()
        await site.home()
    ledgers = [agent.ledger for agent in agents]
    result = await found(site.settings, ledgers)
    assert (result.faults, site.aside()) == ({}, [])
    assert result.degraded >= UPDATES * times // 2
    print(f"killed {times} times, {result}")
    assert [one.wrong for one in ledgers if one.wrong] == []


async def journaled(site: Site, known: str, ends: str, new: str) -> list[Ledger]:
    """Update sessions while Redis is away: two that it has, of which one ends then, and one that begins then."""
    ledgers = []
    async with StateManager.open(site.settings) as manager:
        for name in (known, ends):
            await manager.initialize_session(f"agent-of-{name}", "Agent", session_id=name)
        site.redis.kill()
        await manager.initialize_session(f"agent-of-{new}", "Agent", session_id=new)
        for name in (known, ends, new):
            ledger = Ledger()
            for n in range(UPDATES):
                entry = {"action": "filter", "input": {"n": n, "marker": f"{name}.{n}"}}
                updated = await manager.apply(name, {"page_state": {"filters": {"n": n}}}, entry)
                assert updated.degraded
                ledger.acts.append(Act(n, updated.op_id, name, True, 0.0))
            ledgers.append(ledger)
        assert await manager.record_end(ends)
        ledgers[1].ended.append(ends)
    site.start_redis()
    return ledgers


@EVERY
async def test_a_server_is_killed_while_it_brings_the_journal_home(site: Site, every: bool, tmp_path: Path) -> None:
    port = free_port()
    direct, site = site, Site.of(site.redis, site.mongo, tmp_path / "home", redis_port=port)
    numbers = itertools.count()

    done: list[Ledger] = []

    async def kill(step: int, moment: Moment) -> bool:
        killer, number = Killer(step, moment), next(numbers)
        killer.counting = False
        killer.redis(str(site.redis.socket), port)
        done.extend(await journaled(site, *(f"sess_{name}_{number}" for name in ("known", "ends", "new"))))
        assert site.pending() == 3
        killer.counting = True
        async with watched(site, killer) as server:
            await eventually(lambda: server.process.poll() is not None or site.pending() == 0, "home, or killed")
            server.process.kill()
        again = Killer()
        again.redis(str(site.redis.socket), port)
        await site.sweep("1s")  # brings the journal home
        again.close()
        assert site.pending() == 0
        return killer.killed

    times = await at_moments(kill, FEW_HOME, every)
    await direct.sweep("1s")
    result = await found(direct.settings, done)
    assert (result.faults, site.aside()) == ({}, [])
    assert result.degraded == UPDATES * 3 * len(done) // 3
    print(f"killed {times} times, {result}")
