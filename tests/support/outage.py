"""A site whose Redis and MongoDB fail: the servers, agents that work meanwhile, and what became of their updates."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from awictl import Permission, Settings, StateManager
from awictl.errors import NotFound

from .cli import Cli
from .fallback_agents import Agent, Ledger, numbers
from .mongo import MongoServer
from .serving import Server, serving
from .valkey import ValkeyServer

#: Maximum seconds until something has happened that the servers do by themselves, on a very busy machine.
PATIENCE = 120.0
#: Options of a Valkey that keeps every acknowledged write when it is killed.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
JOURNAL = "awi_journal"


async def eventually(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until `true()` is true. Returns how many seconds that took. Raises TimeoutError."""
    started = time.monotonic()
    while not await asyncio.to_thread(true):
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)
    return time.monotonic() - started


@dataclass(frozen=True)
class Site:
    """Redis, MongoDB, and a user whose environment names them.

    All users of the site have to give Redis the same address, since the journal belongs to what is at an address.
    """

    redis: ValkeyServer
    mongo: MongoServer
    user: Cli
    settings: Settings

    @classmethod
    def of(
        cls,
        redis: ValkeyServer,
        mongo: MongoServer,
        home: Path,
        *,
        redis_port: int | None = None,
        timeout: float = 5.0,
        max_actions: int = 1_000_000,
    ) -> Site:
        """A site. `redis_port`: of a proxy to Redis; `timeout`: AWI_TIMEOUT, `max_actions`: AWI_MAX_ACTIONS…"""
        where: dict[str, Any] = {"redis_socket": str(redis.socket)}
        if redis_port is not None:
            where = {"redis_host": "127.0.0.1", "redis_port": redis_port}
        user = Cli.at(
            home,
            MONGODB_URI=mongo.uri,
            AWI_TIMEOUT=str(timeout),
            AWI_MAX_ACTIONS_PER_SESSION=str(max_actions),
            **{name.upper(): str(value) for name, value in where.items()},
        )
        settings = Settings(mongodb_uri=mongo.uri, timeout=timeout, max_actions=max_actions, **where)
        return cls(redis, mongo, user, settings)

    async def register(self, count: int, *, begin: bool = False) -> list[str]:
        """Register agents. Returns the secrets of their API keys. `begin`: begin a session for each, and archive it."""
        async with StateManager.open(self.settings) as manager:
            made = [
                await manager.agents.register(f"agent {number}", permissions=[Permission.READ, Permission.WRITE])
                for number in range(count)
            ]
            for one in made if begin else []:
                await manager.agent_sessions.get_or_create(one.key.agent_id, one.key.name)
        if begin:
            await self.sweep()
        return [one.secret for one in made]

    @contextmanager
    def serving(self, count: int = 2) -> Iterator[list[Server]]:
        """Run server processes."""
        with ExitStack() as stack:
            yield [stack.enter_context(serving(self.user, "--rate-limit", "0")) for _ in range(count)]

    def start_redis(self, *, empty: bool = False) -> None:
        """Start Redis after a kill, with or without its data."""
        if empty:
            shutil.rmtree(self.redis.folder / "appendonlydir")
        self.redis.start()

    def pending(self) -> int:
        """Number of sessions in the journal that are not home."""
        return self.mongo.raw[f"{JOURNAL}_sessions"].count_documents({"pending": True})

    def aside(self) -> list[dict[str, Any]]:
        """What could not be brought home."""
        return list(self.mongo.raw[f"{JOURNAL}_aside"].find())

    async def home(self) -> float:
        """Wait until the journal is empty. Returns how many seconds that took."""
        return await eventually(lambda: self.pending() == 0, "the journal is home")

    async def sweep(self, margin: str = "24h") -> None:
        """Copy all sessions to the archive."""
        result = await asyncio.to_thread(self.user, "archive", "sweep", "--margin", margin)
        assert result.code == 0, result


def health(server: Server) -> dict[str, Any]:
    """The body of the server's health check, of any status."""
    request = urllib.request.Request(f"{server.url}/api/health")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.load(error))


def metric(server: Server, name: str) -> float:
    """The value of a metric without labels, or the sum over its labels."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def ports_of(pid: int) -> set[int]:
    """The ports of this machine from which a process has TCP connections."""
    inodes = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(file.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in inodes}


class Load:
    """Agents that work until they are stopped."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = agents
        self._going, self._stop = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ledgers(self) -> list[Ledger]:
        """What each agent was told."""
        return [agent.ledger for agent in self.agents]

    def start(self) -> None:
        """Let the agents work."""
        self._going.set()
        self._stop.clear()
        self._tasks = [asyncio.create_task(agent.run(self._going, self._stop)) for agent in self.agents]

    def add(self, agents: Sequence[Agent]) -> None:
        """Let further agents work."""
        self.agents = [*self.agents, *agents]
        self._tasks += [asyncio.create_task(agent.run(self._going, self._stop)) for agent in agents]

    async def stop(self) -> None:
        """Stop after the requests in progress. Raises what an agent raised."""
        self._stop.set()
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def acknowledged(self, each: int, *, since: float = 0.0, degraded: bool | None = None) -> None:
        """Wait until each agent got so many acknowledgements since a time."""

        def enough() -> bool:
            assert not any(task.done() for task in self._tasks), "an agent has failed"
            return all(
                sum(1 for act in list(one.acts) if act.at >= since and degraded in (None, act.degraded)) >= each
                for one in self.ledgers
            )

        try:
            await eventually(enough, f"{each} acknowledgements, degraded: {degraded}, for each agent")
        except AssertionError:
            await self.stop()
            raise

    def latencies(self, since: float, until: float, degraded: bool) -> list[float]:
        """Seconds that each read took which was sent between two times, sorted."""
        reads = [read for one in self.ledgers for read in one.reads if since <= read.sent < until]
        return sorted(read.seconds for read in reads if read.degraded is degraded)


@asynccontextmanager
async def loaded(agents: Sequence[Agent]) -> AsyncIterator[Load]:
    """Run agents during a block; then they have stopped."""
    load = Load(agents)
    load.start()
    try:
        yield load
    finally:
        await load.stop()


def p99(values: Sequence[float]) -> float:
    """The 99th percentile of sorted values."""
    assert values
    return values[min(len(values) - 1, len(values) * 99 // 100)]


@dataclass
class Found:
    """What became of the updates of all agents."""

    acknowledged: int = 0
    degraded: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    #: Pairs that are stored in another order than they were acknowledged.
    swapped: list[str] = field(default_factory=list)
    #: Attempts of which the server said that nothing was changed, and which are stored.
    refused_but_there: list[str] = field(default_factory=list)
    #: Actions that nobody sent.
    strange: list[str] = field(default_factory=list)
    sessions: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        """What must not be, without what is empty."""
        names = ("lost", "twice", "swapped", "refused_but_there", "strange")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


async def found(settings: Settings, ledgers: Sequence[Ledger], *, apart: bool = False) -> Found:
    """Compare what was acknowledged with what is in Redis and in the archive.

    `apart`: degraded and other updates may be stored in any order relative to each other, since they were acknowledged
    by different servers of which one could not reach Redis.
    """
    result = Found()
    async with StateManager.open(settings) as manager:
        for ledger in ledgers:
            session_ids = dict.fromkeys(act.session_id for act in ledger.acts)
            result.sessions += len(session_ids)
            for session_id in session_ids:
                actions, live = await _trajectory(manager, session_id)
                compare(ledger, session_id, actions, result, apart)
                ends = sum(action["action"] == "session_end" for action in actions)
                wanted = {(1, False)} if session_id in ledger.ended else {(0, True)}
                if ledger.has_left(session_id) and ledger.may_leave(session_id):
                    wanted.add((0, False))  # nobody uses it, so it is not brought back if Redis loses its data
                elif ledger.has_left(session_id) and not apart:
                    result.strange.append(f"{session_id} was left for another session")
                if (ends, live) not in wanted:
                    result.strange.append(f"{session_id} has {ends} ends, and is live: {live}")
    return result


async def _trajectory(manager: StateManager, session_id: str) -> tuple[list[dict[str, Any]], bool]:
    """The actions of a session: those in Redis, after those that only the archive has; and whether it is live."""
    try:
        whole = await manager.time_travel.whole(session_id)
    except NotFound:
        return [], False
    return [one.action for one in whole.steps], whole.stored is not None


def compare(ledger: Ledger, session_id: str, actions: Sequence[dict[str, Any]], result: Found, apart: bool) -> None:
    """Add to `result` what is wrong with the actions of a session, compared with what its agent was told."""
    acts = [act for act in ledger.acts if act.session_id == session_id]
    result.acknowledged += len(acts)
    result.degraded += sum(act.degraded for act in acts)
    op_ids = [action["op_id"] for action in actions if "op_id" in action]
    result.twice += [one for one in set(op_ids) if op_ids.count(one) > 1] if len(set(op_ids)) < len(op_ids) else []
    seen = numbers(actions)
    if len(set(seen)) < len(seen):
        result.twice.append(f"{session_id}: {seen}")
    result.lost += [f"{session_id}: {act.n} {act.op_id}" for act in acts if act.op_id not in set(op_ids)]
    markers = {action["input"]["marker"] for action in actions if "marker" in (action.get("input") or {})}
    result.refused_but_there += sorted(markers & ledger.refused)
    result.strange += [f"{session_id}: {n}" for n in set(seen) - {act.n for act in acts} - ledger.maybe]
    for wanted in (
        ([act for act in acts if act.degraded], [act for act in acts if not act.degraded]) if apart else [acts]
    ):
        ns = {act.n for act in wanted}
        order = [n for n in seen if n in ns]
        result.swapped += [f"{session_id}: {a}, {b}" for a, b in itertools.pairwise(order) if a > b]
    ts = [action["t"] for action in actions]
    if ts != sorted(set(ts)):
        result.strange.append(f"{session_id}: t {ts}")
    times = [action["timestamp"] for action in actions]
    if not apart and times != sorted(times):
        result.swapped.append(f"{session_id}: timestamps go back")
