"""The clock of the MongoDB server, as computed from that of this machine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from awictl.store.mongo.clock import COMPARE_SECONDS, ServerClock

START = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


class Machine:
    """A machine whose wall clock differs from that of a server, which answers after a while."""

    def __init__(self, latency: float = 0.0) -> None:
        self.elapsed = 1_000.0
        self.wall = START.timestamp() - 3_600
        self.ahead = timedelta()
        self.latency = latency
        self.requests = 0
        self.clock = ServerClock(self.ask, lambda: self.elapsed, lambda: self.wall)

    def pass_time(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall += seconds

    @property
    def server(self) -> datetime:
        return START + timedelta(seconds=self.elapsed - 1_000) + self.ahead

    async def ask(self) -> datetime:
        self.requests += 1
        self.pass_time(self.latency / 2)
        now = self.server
        await asyncio.sleep(0)
        self.pass_time(self.latency / 2)
        return now


async def test_the_servers_time_is_known_without_a_request_each_time() -> None:
    machine = Machine(latency=0.2)
    assert await machine.clock.now() == machine.server
    for _ in range(10):
        machine.pass_time(COMPARE_SECONDS / 20)
        assert abs(await machine.clock.now() - machine.server) <= timedelta(milliseconds=1)
    assert machine.requests == 1
    assert round(await machine.clock.offset_ms()) == 3_600_000


async def test_the_clocks_are_compared_again_after_a_while() -> None:
    machine = Machine()
    await machine.clock.now()
    machine.ahead = timedelta(seconds=5)
    machine.pass_time(COMPARE_SECONDS - 1)
    assert machine.server - await machine.clock.now() >= timedelta(seconds=4.9)
    machine.pass_time(2)
    assert await machine.clock.now() == machine.server
    assert machine.requests == 2


async def test_they_are_compared_at_once_if_the_machine_was_suspended_or_its_clock_was_set() -> None:
    machine = Machine()
    await machine.clock.now()
    machine.wall += 1_800
    machine.ahead = timedelta(seconds=1_800)  # the monotonic clock stood still
    assert await machine.clock.now() == machine.server
    assert machine.requests == 2


async def test_many_tasks_ask_once() -> None:
    machine = Machine()
    await asyncio.gather(*(machine.clock.now() for _ in range(20)))
    assert machine.requests == 1
