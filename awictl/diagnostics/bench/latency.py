"""Measure what operations on sessions take at several stores, side by side: the same documents, in alternating slices.

Every request goes through the library, so what is measured is what an application waits for: the work of this process,
the network, and the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from ...errors import NotFound
from ...util.percentile import percentile
from .own_sessions import OwnSessions

#: Number of actions of a page of the history.
PAGE = 10
#: Seconds for which one operation is measured at one store, before it is another one's turn.
SLICE_SECONDS = 0.05
#: How many times faster the original design claims an operation to be at Redis than at MongoDB.
CLAIMS = {"get_state": 10.0}


async def _get_state(own: OwnSessions, client: int) -> None:
    if await own.manager.get_session_state(own.read_id(client)) is None:
        raise _gone(own, own.read_id(client))


async def _update_state(own: OwnSessions, client: int) -> None:
    delta = {"page_state": {"pagination": {"cursor": 2}, "sort": {"key": "likes", "order": "desc"}}}
    entry = {"action": "sort", "input": {"key": "likes"}, "success": True, "observation": "Sorted by likes"}
    await own.manager.update_state_with_delta(own.updated_id(client), delta, entry)


async def _history_page(own: OwnSessions, client: int) -> None:
    await own.manager.get_action_history(own.read_id(client), PAGE)


async def _cached_list(own: OwnSessions, client: int) -> None:
    if await own.manager.get_cached_query_results(own.cache_key) is None:
        raise _gone(own, "the cached results")


def _gone(own: OwnSessions, what: str) -> NotFound:
    return NotFound(
        f"{own.manager.store.where}: {what} of this benchmark disappeared while it ran: another program deleted it, "
        "or the server evicts keys"
    )


Operation = Callable[[OwnSessions, int], Awaitable[None]]
OPERATIONS: dict[str, Operation] = {
    "get_state": _get_state,
    "update_state": _update_state,
    "history_page": _history_page,
    "cached_list": _cached_list,
}


class Percentiles(NamedTuple):
    """What one operation took at one store: the number of requests, and times in milliseconds."""

    requests: int
    p50_ms: float
    p90_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> Percentiles:
        """The percentiles of these times; there must be one."""
        ordered = sorted(seconds)
        p50, p90, p99 = (round(percentile(ordered, share) * 1000, 3) for share in (0.5, 0.9, 0.99))
        return cls(len(ordered), p50, p90, p99)


async def measure(
    stores: Mapping[str, OwnSessions],
    seconds: float,
    progress: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Percentiles]]:
    """Measure each operation at each store. Returns the percentiles by operation and store.

    `seconds`: for all slices together. `progress` is called with the number of slices that are done, of `slices(…)`.
    """
    taken: dict[str, dict[str, list[float]]] = {name: {store: [] for store in stores} for name in OPERATIONS}
    count = slices(seconds, len(stores))
    each = seconds / count
    order = list(stores)
    for store in order:  # connections, scripts, caches
        for operation in OPERATIONS.values():
            await _slice(stores[store], operation, 0, clock)
    for _ in range(count // (len(OPERATIONS) * len(stores))):
        for store in order:
            await stores[store].touch()
        for name, operation in OPERATIONS.items():
            for store in order:
                taken[name][store] += await _slice(stores[store], operation, each, clock)
                progress(1)
        order.reverse()  # so that no store always comes right after the other
    return {name: {store: Percentiles.of(times) for store, times in by.items()} for name, by in taken.items()}


def slices(seconds: float, stores: int) -> int:
    """How many slices `measure` takes."""
    turns = len(OPERATIONS) * stores
    return turns * max(1, round(seconds / (turns * SLICE_SECONDS)))


async def _slice(own: OwnSessions, operation: Operation, seconds: float, clock: Callable[[], float]) -> list[float]:
    """Let all clients repeat an operation for some seconds, at least once each. Returns what each time took."""
    until = clock() + seconds
    taken: list[float] = []

    async def client(number: int) -> None:
        while True:
            if operation is _update_state:
                await own.before_update(number)
            started = clock()
            await operation(own, number)
            ended = clock()
            taken.append(ended - started)
            if ended >= until:
                return

    try:
        async with asyncio.TaskGroup() as clients:
            for number in range(own.clients):
                clients.create_task(client(number))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return taken


def rows(measured: Mapping[str, Mapping[str, Percentiles]], faster: str, slower: str) -> list[dict[str, Any]]:
    """The measurements as JSON values, with the ratios of the times at the store `slower` to those at `faster`."""
    return [
        {
            "operation": name,
            **{store: by[store]._asdict() if store in by else None for store in (faster, slower)},
            "ratio": _ratio(by[faster], by[slower]) if faster in by and slower in by else None,
            "claimed_ratio": CLAIMS.get(name),
        }
        for name, by in measured.items()
    ]


def _ratio(faster: Percentiles, slower: Percentiles) -> dict[str, float]:
    pairs = zip(Percentiles._fields, faster, slower, strict=True)
    return {name.removesuffix("_ms"): round(above / below, 3) for name, below, above in pairs if name.endswith("_ms")}
