"""Which node of a Redis Cluster is in charge of what, and for how long that is certain.

A master that was frozen, or cut off, goes on accepting writes when it wakes up, until it hears that a replica was
promoted in its place: those writes are lost although they were acknowledged. So a write is only sent to a master with a
*lease*, and only counts if the lease has not run out when the reply arrives. A lease starts when the master itself
answered, and is granted if after that a majority of masters does not consider it as failed and knows of no newer epoch.
It ends well before the others can promote a replica, which takes them `cluster-node-timeout` without an answer from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ...errors import Refused
from .address import Access, Address
from .cluster_map import VIEW_COMMANDS, ClusterInfo, ClusterMap, HostPort, View, merge, parse_info, parse_view
from .node import Node
from .replies import ErrorReply, Lost, client_closed

#: Seconds for which a lease is valid after its master has answered; shorter than `cluster-node-timeout`.
LEASE_SECONDS = 0.8
#: Seconds between two rounds of questions while the cluster is in use.
POLL_SECONDS = 0.25
#: Seconds without a request after which the rounds end.
IDLE_SECONDS = 2.0
#: Maximum seconds that a round waits for nodes that do not answer while others do.
ROUND_SECONDS = 0.25
#: The same if nothing depends on all of them: when a process asks for the first time.
FIRST_ROUND_SECONDS = 0.1

_INFO = (("CLUSTER", "INFO"),)


class Member:
    """A node of the cluster, and what is known of it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.address: HostPort = node.address.host, node.address.port
        #: When it was asked the last question that it has answered.
        self.alive_at = -1e9
        #: Until when writes may be sent to it.
        self.lease_until = -1e9
        #: When a majority of masters was asked, and considered it as a master in charge, most recently.
        self.confirmed_at = -1e9
        #: The question that it has not answered yet.
        self.probe: asyncio.Task[Any] | None = None


class ClusterWatch:
    """Asks all masters at once: at the first request, every POLL_SECONDS while in use, and after failures."""

    def __init__(self, seeds: Sequence[HostPort], access: Access, where: str) -> None:
        self._seeds = tuple(seeds)
        self._access = access
        self.where = where
        self.map: ClusterMap | None = None
        self.closed = False
        self.members: dict[HostPort, Member] = {}
        #: Whether the map may be wrong, so that the next round has to ask for all of it.
        self.is_stale = False
        self._has_quorum = True
        self._round: asyncio.Task[None] | None = None
        self._round_began = 0.0
        #: When the round began that got the map.
        self._mapped_at = 0.0
        self._poll: asyncio.Task[None] | None = None
        self._used_at = 0.0
        #: Number of requests that are under way: while there are any, the masters are asked.
        self.requests = 0
        self._background: set[asyncio.Task[Any]] = set()

    def member(self, address: HostPort) -> Member:
        """The node at an address."""
        found = self.members.get(address)
        if found is None:
            found = self.members[address] = Member(Node(Address(*address), self._access))
        return found

    def of_slot(self, slot: int) -> Member | None:
        """The master of a slot; None if the slot has none."""
        address = self.map.slots[slot] if self.map is not None else None
        return self.member(address) if address is not None else None

    def masters(self) -> list[Member]:
        """All masters that have slots."""
        return [self.member(address) for address in self.map.masters] if self.map is not None else []

    def move(self, slot: int, address: HostPort) -> None:
        """Note that a slot has moved to another node, as a node has reported."""
        if self.map is not None:
            self.map.slots[slot] = address
        self.is_stale = True

    async def fresh_map(self) -> ClusterMap:
        """The map as all masters report it from now on. Raises as `next_round` does."""
        called = asyncio.get_running_loop().time()
        for _ in range(2):  # in the first round, others may have got the map of an earlier one
            self.is_stale = True
            await self.next_round()
            if self.map is not None and self._mapped_at >= called:
                return self.map
        raise Lost(self.where, "none of its nodes reports which node has which slots", sent=False, opening=True)

    @property
    def in_use(self) -> bool:
        """Whether the masters are asked periodically at the moment."""
        return self._poll is not None

    def use(self, now: float) -> None:
        """Note a request, and ask periodically while there are more."""
        self._used_at = now
        if self._poll is None:
            self._poll = asyncio.create_task(self._keep_asking())

    async def _keep_asking(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while (now := clock()) - self._used_at < IDLE_SECONDS or self.requests:
                pause = self._round_began + POLL_SECONDS - now
                if pause > 0:
                    await asyncio.sleep(pause)
                else:
                    await self.next_round()
        except (Lost, ErrorReply, Refused):
            pass  # whoever sends the next request learns of it
        finally:
            self._poll = None

    async def next_round(self) -> None:
        """Wait for the end of a round that begins after this call.

        Raises Lost, ErrorReply or Refused if there is no map, and none of the nodes can be asked for one.
        """
        called = asyncio.get_running_loop().time()
        while True:
            if self.closed:
                raise client_closed(self.where)
            task = self._round
            if task is None or task.done():
                self._round_began = asyncio.get_running_loop().time()
                task = self._round = asyncio.create_task(self._ask_round())
                task.add_done_callback(self._round_ended)
            began = self._round_began
            await asyncio.wait([task])
            if self.closed:
                raise client_closed(self.where)
            task.result()
            if began >= called:
                return

    def _round_ended(self, task: asyncio.Task[None]) -> None:
        if self._round is task:
            self._round = None
        if not task.cancelled():
            task.exception()  # retrieved even if no waiter is left

    # -- a round

    async def _ask_round(self) -> None:
        if self.map is None:
            await self._discover()
            return
        began = asyncio.get_running_loop().time()
        members = self.masters()
        answers = await self._ask(members, _INFO, self._answer_of_info, ROUND_SECONDS)
        infos = [one for one in answers.values() if isinstance(one, ClusterInfo)]
        if (
            self.is_stale
            or not self.map.settled
            or not self._has_quorum
            or any(info.epoch > self.map.epoch or info.failing for info in infos)
            # the first time, or after a pause: the lease would end too early
            or any(member.alive_at + LEASE_SECONDS < began + 1.5 * POLL_SECONDS for member in answers)
        ):
            self._note_alive(answers, began)
            began = asyncio.get_running_loop().time()
            others = [] if self._has_quorum else [self.member(one) for one in (*self.map.others, *self._seeds)]
            answers = await self._ask([*members, *others], VIEW_COMMANDS, self._answer_of_view, ROUND_SECONDS)
            views = [one for one in answers.values() if isinstance(one, View)]
            self._merge(views, older=not any(isinstance(answers.get(one), View) for one in members))
        self._grant(answers, began)
        self._note_alive(answers, began)

    def _note_alive(self, answers: dict[Member, Any], asked_at: float) -> None:
        for member, answer in answers.items():
            if not isinstance(answer, Exception):
                member.alive_at = asked_at

    def _grant(self, answers: dict[Member, Any], began: float) -> None:
        """Grant leases after a round, if a majority of masters has answered in it."""
        known = self.map
        if known is None:
            return
        masters = self.masters()
        answered = sum(isinstance(answers.get(one), (ClusterInfo, View)) for one in masters)
        self._has_quorum = answered >= known.quorum
        if not self._has_quorum:
            return
        for member in masters:
            if member.address not in known.doubtful:
                member.confirmed_at = began
                member.lease_until = max(member.lease_until, member.alive_at + LEASE_SECONDS)

    async def _discover(self) -> None:
        """Ask the seeds for the first map."""
        began = asyncio.get_running_loop().time()
        seeds = [self.member(one) for one in dict.fromkeys(self._seeds)]
        answers = await self._ask(seeds, VIEW_COMMANDS, self._answer_of_view, FIRST_ROUND_SECONDS)
        self._merge([one for one in answers.values() if isinstance(one, View)])
        if self.map is not None:
            self._note_alive(answers, began)
            return
        problems = [one for one in answers.values() if isinstance(one, Exception)]
        if not problems:
            raise Refused(f"{self.where}: no node of this cluster has any slots; create the cluster first")
        # what a server has replied says more than that another one cannot be reached
        raise next((one for one in problems if not isinstance(one, Lost)), problems[0])

    def _merge(self, views: Sequence[View], *, older: bool = False) -> None:
        """Replace the map. `older`: even by one of an earlier epoch, since none of the known masters answers."""
        merged = merge(views)
        if not merged.masters or (self.map is not None and merged.epoch < self.map.epoch and not older):
            return
        self.map = merged
        self.is_stale = False
        self._mapped_at = self._round_began
        for address, member in list(self.members.items()):
            if address not in merged.masters:
                # requests that wait for a master that was replaced fail now, not when they time out
                del self.members[address]
                self._in_background(member.node.close())

    async def _ask(
        self, members: Sequence[Member], commands: Sequence[Sequence[str]], parse: Any, seconds: float
    ) -> dict[Member, Any]:
        """The parsed answers, or exceptions, of the members that answer in time.

        Waits for `seconds` if some have answered and others have not, and until one has answered otherwise. A member
        that has not answered an earlier question is not asked another one.
        """
        started = {}
        for member in members:
            if member.probe is None:
                member.probe = started[member] = asyncio.create_task(self._probe(member, commands, parse))
        waiting = set(started.values())
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while waiting:
            left = None if deadline is None else max(0.0, deadline - loop.time())
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            if deadline is None and any(not isinstance(one.result(), Exception) for one in done):
                deadline = loop.time() + seconds
        return {member: task.result() for member, task in started.items() if task.done()}

    async def _probe(self, member: Member, commands: Sequence[Sequence[str]], parse: Any) -> Any:
        try:
            return parse(member, await member.node.execute(commands))
        except Exception as error:
            return error
        finally:
            member.probe = None

    def _answer_of_info(self, member: Member, replies: Sequence[Any]) -> ClusterInfo:
        [reply] = replies
        if isinstance(reply, ErrorReply):
            raise reply
        return parse_info(reply)

    def _answer_of_view(self, member: Member, replies: Sequence[Any]) -> View:
        if isinstance(replies[0], ErrorReply):
            if "cluster support disabled" in str(replies[0]):
                raise Refused(
                    f"{member.node.where} is not a node of a Redis Cluster; do not set REDIS_CLUSTER for it, or check "
                    "the address (`awictl config show`)"
                )
            raise replies[0]
        return parse_view(replies, member.address, tls=self._access.tls)

    # -- the end

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Ask nothing any more, and close all connections. Requests that wait for the answers get Lost."""
        self.closed = True
        tasks = [self._poll, self._round, *(one.probe for one in self.members.values())]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for member in list(self.members.values()):
            await member.node.close()
        if self._background:
            await asyncio.wait(self._background)
