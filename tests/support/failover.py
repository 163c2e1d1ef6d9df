"""Writers that go on through failovers of a Sentinel deployment, and what became of their updates."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import redis

from awictl import AwiError, NotFound, OutcomeUnknown, Settings, StateManager, Unconfirmed

from .processes import Member
from .sentinels import Sentinels

#: Number of updates of a session; then its writer creates another one.
UPDATES_PER_SESSION = 150


@dataclass
class Tally:
    """What the writers were told."""

    #: The markers of the acknowledged updates, by session.
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    #: When each was acknowledged, in seconds of the monotonic clock.
    times: list[float] = field(default_factory=list)
    #: How often each error was raised.
    errors: Counter[str] = field(default_factory=Counter)
    #: Markers of updates that were reported as written, but not confirmed by all replicas.
    unconfirmed: set[str] = field(default_factory=set)

    def resumed_after(self, moment: float) -> float:
        """Seconds from a moment to the next acknowledged update."""
        return min((at for at in self.times if at >= moment), default=float("inf")) - moment


@dataclass(frozen=True)
class Found:
    """What became of the updates."""

    acknowledged: int
    #: Markers that are in a trajectory several times.
    twice: list[str]
    #: Acknowledged markers that are nowhere.
    missing: list[str]


class Writers:
    """Tasks that create sessions and update them, each one after the other, through a whole StateManager.

    An update with an unknown outcome is repeated with its op_id, as awictl advises.
    """

    def __init__(self, manager: StateManager, count: int, pause: float = 0.02) -> None:
        self._manager = manager
        self._count = count
        self._pause = pause
        self.tally = Tally()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start to write."""
        self._tasks = [asyncio.create_task(self._write(f"w{number}")) for number in range(self._count)]

    async def stop(self) -> None:
        """Stop after the updates in progress."""
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def _write(self, name: str) -> None:
        made = 0
        while self._tasks:
            made += 1
            try:
                document = await self._manager.initialize_session(f"agent-{name}-{made}", name)
            except AwiError as error:
                self.tally.errors[f"create: {type(error).__name__}"] += 1
                await asyncio.sleep(0.05)
                continue
            session_id = document["session_id"]
            self.tally.acknowledged[session_id] = set()
            for number in range(UPDATES_PER_SESSION):
                if not self._tasks or not await self._update(session_id, f"{name}.{made}.{number}"):
                    break
                await asyncio.sleep(self._pause)

    async def _update(self, session_id: str, marker: str) -> bool:
        """Returns False if the session does not exist (any more)."""
        entry = {"action": "count", "input": {"marker": marker}, "op_id": f"op-{marker}"}
        while True:
            try:
                await self._manager.update_state_with_delta(session_id, {"last": marker}, entry)
            except NotFound:
                self.tally.errors["NotFound"] += 1
                return False
            except AwiError as error:
                self.tally.errors[type(error).__name__] += 1
                if isinstance(error, Unconfirmed):
                    self.tally.unconfirmed.add(marker)
                    return True
                if isinstance(error, OutcomeUnknown) and self._tasks:
                    await asyncio.sleep(0.05)
                    continue
                await asyncio.sleep(0.05)
                return True
            self.tally.acknowledged[session_id].add(marker)
            self.tally.times.append(time.monotonic())
            return True

    async def found(self) -> Found:
        """Compare what was acknowledged with what is stored."""
        twice: list[str] = []
        missing: list[str] = []
        for session_id, markers in self.tally.acknowledged.items():
            document = await self._manager.get_session_state(session_id)
            actions = document["history"]["actions"] if document is not None else []
            stored = Counter(action["input"]["marker"] for action in actions if action["action"] == "count")
            twice += [marker for marker, times in stored.items() if times > 1]
            missing += markers - stored.keys()
        return Found(sum(map(len, self.tally.acknowledged.values())), twice, missing)


@asynccontextmanager
async def writing(settings: Settings, count: int = 16) -> AsyncIterator[Writers]:
    """Run writers during a block; afterwards they have stopped, and their manager is still open in it."""
    async with StateManager.open(settings) as manager:
        writers = Writers(manager, count)
        await writers.start()
        try:
            yield writers
        finally:
            await writers.stop()


def promotion(deployment: Sentinels, old: Member) -> float:
    """Wait until another server says that it is the primary. Returns when, in seconds of the monotonic clock."""
    others = [server for server in deployment.servers if server is not old and server.running]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for server in others:
            with suppress(redis.RedisError):
                if server.raw.execute_command("ROLE")[0] == b"master":
                    return time.monotonic()
        time.sleep(0.01)
    raise TimeoutError(f"no replica of {old} is promoted")


async def fail_over(deployment: Sentinels, fail: Callable[[Member], None]) -> tuple[Member, float]:
    """Let the primary fail in some way. Returns it, and when another one was promoted."""
    old = await asyncio.to_thread(lambda: deployment.primary)
    await asyncio.to_thread(fail, old)
    return old, await asyncio.to_thread(promotion, deployment, old)
