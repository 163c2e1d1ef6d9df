"""A lease on the primary: the Sentinels are asked who it is, all at once, and again and again while it is in use.

A primary that was frozen does not know, after it thaws, that it was replaced, and accepts writes that are lost later.
So a server is used only while a majority of the Sentinels named it less than `LEASE_SECONDS` ago, and a reply counts
only if that is true when it has arrived. Nothing is asked while nothing is in use: the next request asks first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from ...errors import AccessDenied, Refused
from .address import Access, Address
from .node import Node
from .replies import ErrorReply, Lost, client_closed
from .sentinel_answers import Answer, Primary, Verdict, parse, question, verdict

#: Seconds from one question to the next while the primary is in use.
POLL_SECONDS = 0.4
#: Maximum seconds to wait for a Sentinel's answer.
ANSWER_SECONDS = 1.0
#: Maximum seconds to wait for the answers of the other Sentinels, if a majority has answered.
GRACE_SECONDS = 0.2


def boot_time() -> float:
    """Seconds since the machine was started, including those for which it was suspended, if it counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _Watch:
    """One Sentinel, and what is known from it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.task: asyncio.Task[None] | None = None
        #: When it was asked last of what is known: answered or failed.
        self.asked = -1.0
        self.answer: Answer | None = None
        #: Why it did not answer the last time.
        self.failure: Exception | None = None


class SentinelLease:
    """Knows the primary, and until when it may be used.

    `on_change` is called with the new primary when another server has become the primary.
    """

    def __init__(
        self,
        sentinels: Sequence[Address],
        access: Access,
        name: str,
        on_change: Callable[[Primary], object],
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._access = access
        self._name = name
        self._question = question(name)
        self._on_change = on_change
        self._clock = clock
        self._watches = {address: _Watch(Node(address, access)) for address in sentinels}
        self._running = 0
        self._closed = False
        self._used_at = clock()
        self._news = asyncio.Event()
        self._verdict = Verdict(None)
        #: The last known primary.
        self.last: Primary | None = None
        #: How many requests are in progress. The Sentinels are asked as long as there are any.
        self.users = 0
        self.where = ",".join(f"{host}:{port}" for host, port, _ in self._watches)

    @property
    def answered(self) -> bool:
        """Whether any Sentinel has ever replied."""
        return any(watch.node.answered for watch in self._watches.values())

    def holds(self, primary: Primary) -> bool:
        """Whether this server may be used at the moment."""
        return self._verdict.primary == primary and self._clock() <= self._verdict.until

    async def primary(self, deadline: float) -> Primary:
        """The primary, as soon as a majority of the Sentinels names one. `deadline`: by the clock of the lease.

        Raises Lost if it is not known by then; AccessDenied and Refused if the Sentinels reject the question.
        """
        start = self._used_at = self._clock()
        if self._closed:
            raise client_closed(self.where)
        if self._running < len(self._watches):
            self._start()
        if self._verdict.primary is not None and start <= self._verdict.until:
            return self._verdict.primary
        while True:
            now = self._clock()
            settled = all(watch.asked >= start for watch in self._watches.values())
            known = self._verdict.primary if now <= self._verdict.until else None
            grace = start + GRACE_SECONDS
            if known is not None and (settled or now >= grace):
                return known
            if settled and self._verdict.too_few:
                if self._add_peers():
                    continue
                slow = any(isinstance(one.failure, Lost) and one.failure.timed_out for one in self._watches.values())
                if self.last is None and not slow:
                    raise self._failure()  # as for a server that refuses connections
            if self._closed:
                raise client_closed(self.where)
            if now >= deadline:
                raise self._failure()
            limit = grace if known is not None else deadline
            self._news.clear()
            try:
                async with asyncio.timeout(limit - now):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        """Stop asking, and close all connections. Requests that wait for the primary get Lost."""
        self._closed = True
        self._verdict = Verdict(None)
        self._news.set()
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watch in self._watches.values():
            await watch.node.close()

    def _start(self) -> None:
        for watch in self._watches.values():
            if watch.task is None:
                self._running += 1
                watch.task = asyncio.create_task(self._ask(watch))
                watch.task.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        self._running -= 1
        for watch in self._watches.values():
            if watch.task is task:
                watch.task = None

    async def _ask(self, watch: _Watch) -> None:
        """Ask one Sentinel again and again, until the primary is not in use."""
        while self.users or self._clock() - self._used_at < POLL_SECONDS:
            asked = self._clock()
            try:
                replies = await watch.node.execute(self._question)
                for reply in replies:
                    if isinstance(reply, ErrorReply):
                        raise reply
                watch.answer, watch.failure = parse(replies, asked), None
            except (Lost, ErrorReply, ValueError) as error:
                watch.failure = error
            watch.asked = asked
            self._decide()
            await asyncio.sleep(max(0.0, asked + POLL_SECONDS - self._clock()))

    def _decide(self) -> None:
        answers = [watch.answer for watch in self._watches.values() if watch.answer is not None]
        self._verdict = verdict(answers, self._clock())
        primary = self._verdict.primary
        if primary is not None and primary != self.last:
            self.last = primary
            self._on_change(primary)
        self._news.set()

    def _add_peers(self) -> bool:
        """Ask the Sentinels too that the others know. Returns False if there are no further ones."""
        answers = [watch.answer for watch in self._watches.values() if watch.answer is not None]
        known = {answer.sentinel for answer in answers}
        found = [Address(host, port) for answer in answers for peer, host, port in answer.peers if peer not in known]
        new = [address for address in dict.fromkeys(found) if address not in self._watches]
        self._watches |= {address: _Watch(Node(address, self._access)) for address in new}
        self._start()
        return bool(new)

    def _failure(self) -> Exception:
        """The error if it is not known which server is the primary."""
        watches = self._watches.items()
        failures = [(address, watch.failure) for address, watch in watches if watch.failure is not None]
        at = f"the Sentinels {self.where}"
        for _, failure in failures:
            if isinstance(failure, ErrorReply) and failure.code in ("NOAUTH", "WRONGPASS", "NOPERM"):
                hint = "check REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD"
                return AccessDenied(f"{at} rejected the user name or password: {hint} ({failure})")
            if isinstance(failure, ErrorReply) and "No such master" in str(failure):
                return Refused(f"{at} know no primary called {self._name}: check REDIS_SENTINEL_MASTER")
        reasons = [
            f"{address.host}:{address.port}: {failure.reason if isinstance(failure, Lost) else failure}"
            for address, failure in failures
        ]
        why = self._verdict.why or "no Sentinel answers"
        return Lost(self.where, ", ".join([why, *reasons]), sent=False, opening=True)
