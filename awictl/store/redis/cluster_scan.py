"""Scan the keys of all masters of a Redis Cluster, while slots may move between them.

A key that moves to another master is missed if the scan of the old one reaches its place after that, and the scan of
the new one has passed its place before. So all masters are scanned at the same time, and those that have received slots
meanwhile are scanned again. A key can only be missed if it has moved during every one of these passes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import cast

from ...errors import Unreachable
from ..keyspace import StepCallback
from .cluster import ClusterRouter
from .cluster_map import ClusterMap, HostPort
from .cluster_watch import Member
from .replies import ErrorReply, Lost
from .scan_keys import scan_keys
from .server import Server

log = logging.getLogger("awictl")

#: Maximum number of passes because slots were moving.
MAX_PASSES = 5
#: Batches per master that are fetched before the caller asks for them.
_PREFETCHED = 2
#: Seconds between two attempts to scan masters that cannot be reached, until others are promoted.
_PAUSE_SECONDS = 0.25


class SlotMoves:
    """In how many passes of a scan each slot may have moved, as far as the maps before and after each pass show it."""

    def __init__(self, before: ClusterMap) -> None:
        self._before = before
        #: Number of passes by slot.
        self._passes: Counter[int] = Counter()
        #: The last known move of each slot, so that one that takes several passes counts once.
        self._last: dict[int, tuple[str, str]] = {}
        self._passes.update(self._new_moves((slot, (old, new)) for slot, old, new in before.moving))

    def _new_moves(self, moves: Iterable[tuple[int, tuple[str, str]]]) -> set[int]:
        """The slots of the moves that are not known yet."""
        found = set()
        for slot, ends in moves:
            if self._last.get(slot) != ends:
                self._last[slot] = ends
                found.add(slot)
        return found

    def note(self, after: ClusterMap, failed: Collection[HostPort] = ()) -> None:
        """Compare with the map after a pass. `failed`: addresses of masters that could not be scanned to the end."""
        before, self._before = self._before, after
        # a slot that left and came back during the pass: its return has raised the epoch of its owner
        suspects = {
            address
            for address, node in after.masters.items()
            if address in before.masters and before.masters[address].epoch != node.epoch
        }.union(failed)
        ids = {address: node.id for address, node in (*before.masters.items(), *after.masters.items())}
        moves = [(slot, (old, new)) for slot, old, new in after.moving]
        moved = set()
        for slot, (old, new) in enumerate(zip(before.slots, after.slots, strict=True)):
            if old != new and old is not None and new is not None:
                moves.append((slot, (ids.get(old, ""), ids.get(new, ""))))
            if old in suspects or new in suspects:
                moved.add(slot)
        self._passes.update(moved | self._new_moves(moves))

    def to_scan_again(self, passes: int) -> set[HostPort]:
        """Addresses of the masters of the slots that may have moved in each of the passes so far."""
        addresses = {node.id: address for address, node in self._before.masters.items()}
        found: set[HostPort | None] = set()
        for slot, moved_in in self._passes.items():
            if moved_in >= passes:
                found.add(self._before.slots[slot])
                found.update(addresses.get(one) for one in self._last.get(slot, ()))
        return {one for one in found if one is not None}


async def scan_masters(
    server: Server, pattern: str | None, rate: float | None, on_step: StepCallback
) -> AsyncGenerator[list[bytes], None]:
    """The names of all keys on all masters, in batches. A key may be returned several times.

    `rate`: maximum number of keys per second on all masters together. Logs a warning if slots moved all the time, so
    that some keys may be missing. Raises Unreachable if a master cannot be reached, and none is promoted in time.
    """
    router = cast("ClusterRouter", server.router)
    clock = asyncio.get_running_loop().time
    moves = SlotMoves(await _fresh_map(server, router))
    pending = router.watch.masters()
    passes = unsettled = 0
    failing_since: float | None = None
    while pending:
        failures: dict[HostPort, Unreachable] = {}
        async with aclosing(_scan_each(server, pending, pattern, rate, on_step, failures)) as batches:
            async for names in batches:
                yield names
        passes += 1
        if failures:
            failing_since = failing_since or clock()
            if clock() - failing_since > router.timeout:
                raise next(iter(failures.values()))
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            failing_since = None
            unsettled += 1
        moves.note(await _fresh_map(server, router), failures)
        again = moves.to_scan_again(passes)
        pending = [one for one in router.watch.masters() if one.address in again]
        if pending and unsettled >= MAX_PASSES:
            log.warning(
                "%s: slots kept moving between its nodes while their keys were listed, so some keys may be missing; "
                "try again when that is over",
                server.where,
            )
            return


async def _scan_each(
    server: Server,
    members: Sequence[Member],
    pattern: str | None,
    rate: float | None,
    on_step: StepCallback,
    failures: dict[HostPort, Unreachable],
) -> AsyncGenerator[list[bytes], None]:
    """The names of keys of several masters, which are scanned at the same time. Notes those that cannot be reached."""
    found: asyncio.Queue[list[bytes] | None] = asyncio.Queue(_PREFETCHED * len(members))
    part = rate / len(members) if rate is not None else None

    async def scan_one(member: Member) -> None:
        try:
            execute = partial(server.execute_on, member.node)
            async for names in scan_keys(execute, server, pattern, part, on_step):
                await found.put(names)
        except Unreachable as error:
            failures[member.address] = error
        finally:
            await found.put(None)

    tasks = [asyncio.create_task(scan_one(member)) for member in members]
    try:
        running = len(tasks)
        while running:
            names = await found.get()
            if names is None:
                running -= 1
            else:
                yield names
        for task in tasks:
            await task  # raises what else went wrong
    finally:
        for task in tasks:
            task.cancel()
        while not found.empty():
            found.get_nowait()  # so that no task waits to put its last item
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fresh_map(server: Server, router: ClusterRouter) -> ClusterMap:
    try:
        return await router.watch.fresh_map()
    except (Lost, ErrorReply) as error:
        raise server.failure(error) from error
