"""Cancelled callers, killed connections and a frozen server: each caller gets the reply to its own request, or none."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from support.valkey import ValkeyServer

from awictl.store.redis.address import Access, Address
from awictl.store.redis.connection import Command
from awictl.store.redis.node import Node
from awictl.store.redis.replies import ErrorReply, Lost

#: A string from which GETRANGE reads; no two of its parts of eight bytes are equal.
STORED = b"".join(b"%08d" % number for number in range(200_000))
CALLERS = 48
#: Seconds without a reply after which a connection is given up. A frozen server is frozen for longer.
TIMEOUT = 0.4
FROZEN = 0.6


@dataclass
class Storm:
    """Sends requests, cancels some of them, and compares the replies."""

    node: Node
    random: random.Random
    #: Number of requests, what became of them, and the replies that were compared.
    requests: int
    outcomes: Counter[str] = field(default_factory=Counter)
    replies: int = 0
    #: Replies to requests of other callers.
    mismatched: list[object] = field(default_factory=list)
    #: Numbers of increments that were certainly executed, and perhaps.
    counted: int = 0
    perhaps: int = 0

    async def run(self, cancels: float) -> None:
        """Run all requests; cancel this share of them."""
        numbers = iter(range(self.requests))
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(self._call(numbers, cancels))

    async def _call(self, numbers: Iterator[int], cancels: float) -> None:
        for number in numbers:
            if self.random.random() < cancels:
                asking = asyncio.create_task(self._ask(number))
                for _ in range(self.random.choice((0, 1, 1, 2, 2, 3, 4, 6, 10))):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait([asking])
                if not asking.cancelled():
                    asking.result()
            else:
                await self._ask(number)

    async def _ask(self, number: int) -> None:
        made = [self._command(number, i) for i in range(self.random.choice((1, 1, 1, 2, 5, 60)))]
        counts = sum(command[0] == "INCR" for command, _ in made)
        try:
            replies = await self.node.execute([one for one, _ in made], own=self.random.random() < 0.1)
        except asyncio.CancelledError:
            self.outcomes["cancelled"] += 1
            self.perhaps += counts
            raise
        except Lost as lost:
            self.outcomes["lost after sending" if lost.sent else "not sent"] += 1
            self.perhaps += counts if lost.sent else 0
            return
        self.outcomes["answered"] += 1
        self.counted += counts
        self.replies += len(replies)
        if len(replies) != len(made):
            self.mismatched.append((number, len(replies)))
        for (command, is_reply), reply in zip(made, replies, strict=False):
            if not is_reply(reply):
                self.mismatched.append((command, reply))

    def _command(self, number: int, index: int) -> tuple[Command, Callable[[object], bool]]:
        """A command, and what is its reply."""
        kind = self.random.random()
        if kind < 0.1:
            return ("INCR", "counter"), lambda reply: isinstance(reply, int)
        if kind < 0.2:
            mark = f"{number}.{index}"
            return ("NO-COMMAND", mark), lambda reply: isinstance(reply, ErrorReply) and f"'{mark}'" in str(reply)
        if kind < 0.5:
            start = self.random.randrange(len(STORED) // 8) * 8
            end = start + self.random.choice((7, 7, 799, 40_000))
            return ("GETRANGE", "stored", start, end), lambda reply: reply == STORED[start : end + 1]
        payload = b"%d.%d " % (number, index) * self.random.choice((1, 1, 1, 5, 50, 2_000))
        return ("ECHO", payload), lambda reply: reply == payload


async def kill_connections(valkey: ValkeyServer, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(valkey.raw.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def freeze(valkey: ValkeyServer, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        valkey.pause()
        try:
            await asyncio.sleep(FROZEN)
        finally:
            valkey.resume()


@pytest.mark.parametrize(
    ("requests", "cancels", "every"),
    [(1_500, 0.2, 0.1), pytest.param(300_000, 0.25, 0.5, marks=pytest.mark.soak)],
    ids=["small", "large"],
)
@pytest.mark.parametrize("harm", ["kill", "freeze"])
async def test_each_caller_gets_its_own_reply(
    valkey: ValkeyServer, harm: str, requests: int, cancels: float, every: float
) -> None:
    valkey.raw.set("stored", STORED)
    access = Access(timeout=TIMEOUT if harm == "freeze" else 30.0)
    storm = Storm(Node(Address(socket=str(valkey.socket)), access), random.Random(harm), requests)
    harming = asyncio.create_task((kill_connections if harm == "kill" else freeze)(valkey, every))
    try:
        await storm.run(cancels)
    finally:
        harming.cancel()
        await asyncio.wait([harming])
        await storm.node.close()
    print(f"\n{harm}: {storm.replies:,} replies, {dict(storm.outcomes)}")
    assert storm.mismatched == []
    assert sum(storm.outcomes.values()) <= requests and storm.outcomes["cancelled"] > requests * cancels / 4
    assert storm.outcomes["answered"] > 100, "however slow the machine is"
    assert storm.counted <= int(valkey.raw.get("counter")) <= storm.counted + storm.perhaps
