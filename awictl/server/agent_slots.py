"""A limit on the concurrent requests of each agent, so that one agent cannot keep a worker and Redis from the others.

A request may read a session of up to AWI_MAX_DOCUMENT_BYTES. Some dozens of them at once would delay all other agents
beyond their timeouts, and take a few hundred MiB each second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: Maximum number of requests of one agent that a worker handles at the same time; further ones wait in turn.
MAX_CONCURRENT = 4


class AgentSlots:
    """The slots of all agents. Those of an agent exist only while it has requests."""

    def __init__(self, limit: int = MAX_CONCURRENT) -> None:
        self._limit = limit
        self._slots: dict[str, _Slots] = {}

    @asynccontextmanager
    async def taken(self, agent_id: str) -> AsyncIterator[None]:
        """Take a slot of an agent for a block; wait for it if there is none."""
        slots = self._slots.get(agent_id)
        if slots is None:
            slots = self._slots[agent_id] = _Slots(self._limit)
        slots.users += 1
        try:
            async with slots:
                yield
        finally:
            slots.users -= 1
            if not slots.users:
                del self._slots[agent_id]


class _Slots(asyncio.Semaphore):
    """A semaphore that counts the tasks that hold it or wait for it."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.users = 0
