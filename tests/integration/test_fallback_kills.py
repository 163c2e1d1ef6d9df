"""`kill -9` of a server while Redis is away, and while the journal is brought home: at every request to a server.

`few` kills at three of the steps, `all` before and after each.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
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


async def at_moments(kill: Callable[[int, Moment], Awaitable[bool]], steps: int, every: bool) -> int:
    """Kill before the first request, and after each one until none is left; or at three of them. Returns how often.

    After a request, the servers have what they have before the next one. `kill` returns whether there is such a step;
    `steps`: about how many there are.
    """
    if not every:
        some = [(0, Moment.BEFORE), (steps // 3, Moment.AFTER), (steps // 2, Moment.AFTER)]
        assert all([await kill(step, moment) for step, moment in some])
        return len(some)
    assert await kill(0, Moment.BEFORE)
    for step in itertools.count():
        if not await kill(step, Moment.AFTER):
            assert step >= steps // 2
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
    secrets = await site.register(200 if every else 5)
    with site.serving(1) as [first]:
        agents = [Agent(number, secret, [first.port], think=0) for number, secret in enumerate(secrets)]
        await asyncio.gather(*(agent.update() for agent in agents))
    await site.sweep()
    site.redis.kill()
    with site.serving(1) as [other]:
        unused = iter(agents)

        async def killed(step: int | None, moment: Moment) -> Killer:
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
            return killer

        async def kill(step: int, moment: Moment) -> bool:
            return (await killed(step, moment)).killed

        steps = len((await killed(None, Moment.AFTER)).steps)
        assert steps > 2 * UPDATES
        times = await at_moments(kill, steps, every)
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
    """Update sessions while Redis is away: two that Redis has, of which one ends then, and one that begins then."""
    ledgers = []
    async with StateManager.open(site.settings) as manager:
        await manager.initialize_session(f"agent-of-{new}", "Agent", session_id=new)
        for name in (known, ends, new):
            ledger = Ledger()
            for n in range(UPDATES):
                entry = {"action": "filter", "input": {"n": n, "marker": f"{name}.{n}"}}
                updated = await manager.apply(name, {"page_state": {"filters": {"n": n}}}, entry)
                assert updated.degraded
                ledger.acts.append(Act(n, updated.op_id, name, True, 0.0))
            ledgers.append(ledger)
        await manager.record_end(ends)
        ledgers[1].ended.append(ends)
    return ledgers


@EVERY
async def test_a_server_is_killed_while_it_brings_the_journal_home(site: Site, every: bool, tmp_path: Path) -> None:
    port = free_port()
    direct, site = site, Site.of(site.redis, site.mongo, tmp_path / "home", redis_port=port)
    numbers = itertools.count()

    async def prepared() -> list[Ledger]:
        number = next(numbers)
        known, ends, new = (f"sess_{name}_{number}" for name in ("known", "ends", "new"))
        async with StateManager.open(site.settings) as manager:
            for name in (known, ends):
                await manager.initialize_session(f"agent-of-{name}", "Agent", session_id=name)
        await site.sweep()
        site.redis.kill()
        ledgers = await journaled(site, known, ends, new)
        site.start_redis()
        assert site.pending() == 3
        return ledgers

    async def killed(step: int | None, moment: Moment) -> tuple[list[Ledger], Killer]:
        killer = Killer(step, moment)
        killer.counting = False
        killer.redis(str(site.redis.socket), port)
        ledgers = await prepared()
        killer.counting = True
        async with watched(site, killer) as server:
            await eventually(lambda: server.process.poll() is not None or site.pending() == 0, "home, or killed")
            server.process.kill()
        return ledgers, killer

    done, rehearsal = await killed(None, Moment.AFTER)

    async def kill(step: int, moment: Moment) -> bool:
        ledgers, killer = await killed(step, moment)
        done.extend(ledgers)
        again = Killer()
        again.redis(str(site.redis.socket), port)
        with site.serving(1):
            await site.home()
        again.close()
        return killer.killed

    times = await at_moments(kill, len(rehearsal.steps), every)
    await direct.sweep("1s")
    result = await found(direct.settings, done)
    assert (result.faults, site.aside()) == ({}, [])
    assert result.degraded >= UPDATES * 3 * times
    print(f"killed {times} times, {result}")
