"""A Redis Cluster: every request goes to the masters of its keys, and is repeated where it may be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from ...settings import Settings
from .address import Access
from .cluster_map import HostPort
from .cluster_units import Unit, failure_of, mark_failed, request_of, units_of
from .cluster_watch import ClusterWatch, Member
from .connection import Command
from .repeat import Repeat, after_error, after_loss
from .replies import ErrorReply, Lost, client_closed
from .router import Source

#: Average seconds before a request is sent again, if nothing says where; the actual ones are random.
PAUSE_SECONDS = 0.05
#: Number of times that a request is sent again without a pause, after MOVED or on a new connection.
MAX_AT_ONCE = 5


class ClusterRouter:
    """The `Router` to a Redis Cluster."""

    slots = True

    def __init__(self, seeds: Sequence[HostPort], access: Access, where: str) -> None:
        self.where = where
        self.losses = access.losses
        #: Seconds until a request fails.
        self.timeout = access.timeout
        # a frozen node accepts connections; only a reply shows that it is in service
        self.watch = ClusterWatch(seeds, access.with_probe([("PING",)], lambda _: None), where)

    @classmethod
    def of(cls, settings: Settings) -> ClusterRouter:
        """The cluster in the settings."""
        return cls(settings.cluster_seeds, Access.of(settings), settings.redis_address)

    @property
    def answered(self) -> bool:
        """Whether any node has ever sent a reply of the Redis protocol."""
        return self.watch.map is not None or any(one.node.answered for one in self.watch.members.values())

    async def masters(self) -> Sequence[Source]:
        """The masters that have slots."""
        now = asyncio.get_running_loop().time()
        if self.watch.closed:
            raise client_closed(self.where)
        if self.watch.map is None:
            await self._first_map(now + self.timeout)
        elif not self.watch.in_use:
            await self._ask_masters(now + self.timeout)
        self.watch.use(now)
        return [one.node for one in self.watch.masters()]

    async def close(self) -> None:
        """Close all connections."""
        await self.watch.close()

    async def execute(self, commands: Sequence[Command], *, idempotent: bool, own: bool = False) -> list[Any]:
        """Send each command to the master of its first key, and return the replies; see `Router.execute`.

        Commands without a key follow the previous command with one; if there is none, any master executes them. The
        commands for one master are sent together, and to all masters before the first reply is awaited.
        """
        if not commands:
            return []
        self.watch.requests += 1
        try:
            return await self._execute(commands, idempotent=idempotent, own=own)
        finally:
            self.watch.requests -= 1

    async def _execute(self, commands: Sequence[Command], *, idempotent: bool, own: bool) -> list[Any]:
        now = asyncio.get_running_loop().time()
        deadline = now + self.timeout
        if self.watch.closed:
            raise client_closed(self.where)
        self.watch.use(now)
        if self.watch.map is None:
            await self._first_map(deadline)
        replies: list[Any] = [None] * len(commands)
        pending = units_of(commands)
        executed = False
        while True:
            groups = self._groups(pending, now) or await self._located(pending, deadline)
            if groups is None:
                raise self._failure(pending, executed)
            outcomes = [
                self._send(member, units, commands, replies, idempotent=idempotent, own=own)
                for member, units in groups.items()
            ]
            again = await (outcomes[0] if len(outcomes) == 1 else _all(outcomes))
            if not again:
                return replies
            executed = executed or len(again) < len(pending)
            pending = again
            if not await self._prepare(pending, deadline):
                raise self._failure(pending, executed)
            now = asyncio.get_running_loop().time()

    def _failure(self, units: Sequence[Unit], executed: bool) -> Lost:
        """Why units could not be sent."""
        lost = failure_of(units, self.where, executed)
        return client_closed(self.where) if self.watch.closed and not lost.sent else lost

    async def _first_map(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self.watch.next_round()
        except TimeoutError as error:
            raise Lost(self.where, "no answer in time", sent=False, timed_out=True, opening=True) from error

    async def _located(self, units: Sequence[Unit], deadline: float) -> dict[Member, list[Unit]] | None:
        """The units by the master to send them to, once it may be sent what they contain; None if not in time."""
        clock = asyncio.get_running_loop().time
        asked = False
        while (groups := self._groups(units, clock())) is None:
            if asked:
                await asyncio.sleep(_pause())
            if clock() >= deadline or not await self._ask_masters(deadline):
                return None
            asked = True
        return groups

    def _groups(self, units: Sequence[Unit], now: float) -> dict[Member, list[Unit]] | None:
        """The units by the master to send them to; None if one has no master, or must not be sent to it now."""
        groups: dict[Member, list[Unit]] = {}
        for unit in units:
            member = self._member(unit)
            if member is None:
                unit.failure = unit.failure or ErrorReply("CLUSTERDOWN Hash slot not served")
                return None
            if unit.needs_lease and member.lease_until < now:
                return None
            groups.setdefault(member, []).append(unit)
        return groups

    def _member(self, unit: Unit) -> Member | None:
        if unit.ask is not None:
            return self.watch.member(unit.ask)
        if unit.slot is not None:
            return self.watch.of_slot(unit.slot)
        masters = self.watch.masters()
        # at first the one that answered last; after a failure any
        return random.choice(masters) if unit.failure else max(masters, key=lambda one: one.alive_at)  # noqa: S311

    async def _ask_masters(self, deadline: float) -> bool:
        """Wait until the masters were asked who is in charge.

        Returns False if they do not answer in time, or the client is closed meanwhile.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self.watch.next_round()
        except TimeoutError:
            return False
        except Lost as lost:
            if not lost.closed:
                raise
            return False
        return True

    async def _send(
        self,
        member: Member,
        units: Sequence[Unit],
        commands: Sequence[Command],
        replies: list[Any],
        *,
        idempotent: bool,
        own: bool,
    ) -> list[Unit]:
        """Send units to a member, and put the replies in their places. Returns the units to send again.

        Raises Lost if they may have been executed and must not be repeated, and an ErrorReply to the greeting.
        """
        request, places = request_of(units, commands)
        try:
            received = await member.node.execute(request, own=own)
        except Lost as lost:
            repeat = after_loss(lost, idempotent=idempotent)
            if repeat is Repeat.NEVER:
                raise
            return mark_failed(units, lost, at_once=repeat is Repeat.NOW)
        except ErrorReply as error:
            if after_error(error) is not Repeat.LATER:
                raise
            return mark_failed(units, error)
        if any(unit.needs_lease for unit in units):
            now = asyncio.get_running_loop().time()
            if member.lease_until < now and not await self._is_still_master(member, now):
                replaced = Lost(member.node.where, "it was replaced by another node meanwhile", sent=True)
                if idempotent:
                    return mark_failed(units, replaced)
                raise replaced
        for i, place in places:
            replies[i] = received[place]
        again = []
        for unit in units:
            reply = replies[unit.keyed]
            if type(reply) is ErrorReply and (repeat := after_error(reply)) is not Repeat.NEVER:
                unit.failure = reply
                self._redirect(unit, reply, repeat, member)
                again.append(unit)
        return again

    async def _is_still_master(self, member: Member, since: float) -> bool:
        """Whether a member was in charge at a time, which the others say after it. Waits until they do."""
        deadline = since + self.timeout
        while await self._ask_masters(deadline):
            if member.confirmed_at >= since:
                return True
            if self.watch.members.get(member.address) is not member:
                return False
            await asyncio.sleep(_pause())
        return False

    def _redirect(self, unit: Unit, reply: ErrorReply, repeat: Repeat, member: Member) -> None:
        """Note where a unit has to go, as a node has replied."""
        unit.at_once = False
        if repeat is Repeat.MOVED or repeat is Repeat.ASK:
            try:
                _, slot, where = str(reply).split(" ")[:3]
                host, _, port = where.rpartition(":")
                address = (host.strip("[]") or member.address[0], int(port))
                number = int(slot)
            except ValueError:
                self.watch.is_stale = True
                return
            unit.at_once = True
            if repeat is Repeat.ASK:
                unit.ask = address
            else:
                self.watch.move(number, address)
        elif reply.code != "TRYAGAIN":
            self.watch.is_stale = True

    async def _prepare(self, units: Sequence[Unit], deadline: float) -> bool:
        """Wait as long as necessary before units are sent again. Returns False if it would be too late."""
        clock = asyncio.get_running_loop().time
        if clock() >= deadline:
            return False
        if all(unit.at_once and unit.tries <= MAX_AT_ONCE for unit in units):
            return True
        pause = _pause()
        if clock() + pause >= deadline:
            return False
        await asyncio.sleep(pause)
        if all(isinstance(unit.failure, ErrorReply) and unit.failure.code == "TRYAGAIN" for unit in units):
            return True
        return await self._ask_masters(deadline)


def _pause() -> float:
    return PAUSE_SECONDS * (0.5 + random.random())  # noqa: S311


async def _all(outcomes: Sequence[Any]) -> list[Unit]:
    """Wait for all; raise the first exception after that, the gravest first. Returns the units to send again."""
    results = await asyncio.gather(*outcomes, return_exceptions=True)
    failures = [one for one in results if isinstance(one, BaseException)]
    if failures:
        lost = next((one for one in failures if not isinstance(one, Lost)), failures[0])
        if isinstance(lost, Lost) and not lost.sent:
            lost.sent = True  # the others may have executed their part
        raise lost
    return [unit for units in results if isinstance(units, list) for unit in units]
