"""Semaphores by key, each of which exists only while it is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class KeyedSlots:
    """At most `limit` tasks at a time for each key; further ones wait in turn."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._slots: dict[str, _Slots] = {}

    def users(self, key: str) -> int:
        """The number of tasks that have a slot of a key, or wait for one."""
        slots = self._slots.get(key)
        return slots.users if slots is not None else 0

    @asynccontextmanager
    async def taken(self, key: str) -> AsyncIterator[None]:
        """Take a slot of a key for a block; wait for it if there is none."""
        slots = self._slots.get(key)
        if slots is None:
            slots = self._slots[key] = _Slots(self._limit)
        slots.users += 1
        try:
            async with slots:
                yield
        finally:
            slots.users -= 1
            if not slots.users:
                del self._slots[key]


class _Slots(asyncio.Semaphore):
    """A semaphore that counts the tasks that hold it or wait for it."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.users = 0
