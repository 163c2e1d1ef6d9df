"""FairLock: one writer or many readers, in turn, also if some of them are cancelled."""

from __future__ import annotations

import asyncio
import random

from awictl.util.fair_lock import FairLock


class Used:
    """Tasks that use a lock, and what happened in which order."""

    def __init__(self) -> None:
        self.lock = FairLock()
        self.log: list[str] = []
        self.readers = self.writers = 0

    async def read(self, name: str, turns: int = 1) -> None:
        await self.lock.acquire_read()
        try:
            self.readers += 1
            self.log.append(name)
            assert not self.writers
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            self.readers -= 1
            self.lock.release_read()

    async def write(self, name: str, turns: int = 1) -> None:
        await self.lock.acquire_write()
        try:
            self.writers += 1
            self.log.append(name)
            assert self.writers == 1 and not self.readers
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            self.writers -= 1
            self.lock.release_write()


async def test_readers_wait_for_one_writer_and_writers_for_the_readers_before_them() -> None:
    used = Used()
    calls = [used.write("W1"), used.write("W2"), used.read("R1"), used.read("R2"), used.write("W3"), used.read("R3")]
    await asyncio.gather(*calls)
    assert used.log == ["W1", "R1", "R2", "R3", "W2", "W3"]
    used.log.clear()
    await asyncio.gather(used.read("R1", 5), used.write("W1"), used.read("R2"), used.read("R3"), used.write("W2"))
    assert used.log == ["R1", "W1", "R2", "R3", "W2"]


async def test_cancelled_tasks_leave_the_lock_usable() -> None:
    chance = random.Random(1)
    for _ in range(200):
        used = Used()
        tasks = [
            asyncio.create_task(chance.choice((used.read, used.write))(str(number), chance.randrange(4)))
            for number in range(12)
        ]
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        await asyncio.wait_for(used.write("last"), 20)
        await asyncio.wait_for(used.read("last"), 20)
