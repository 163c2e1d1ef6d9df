"""Duration of an update by length of the trajectory, compared with a read-modify-write of the full string.

Starts a private Valkey. Measures all variants in turn, in random order, for a number of rounds, and compares the
medians. The string is restored before each, so that trajectories keep their length. Exits with 1 if a target is missed.

    uv run python benchmarks/update_cost.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from awictl import StateManager
from awictl.document.merge import merge
from awictl.document.timestamps import timestamp
from awictl.store.redis.sessions import RedisStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.documents import compact, document, put, session_key
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

ROUNDS = 1_000
#: Rounds that are not measured.
WARM_UP_ROUNDS = 50
SIZES = (10, 100, 1_000, 5_000)
#: Extra characters of each action.
ACTION_SIZE = 50

#: (description, numerator, denominator, maximum ratio)
TARGETS = (
    ("update at 1,000 actions against 10, two round trips", ("update, cold", 1_000), ("update, cold", 10), 1.2),
    ("update at 1,000 actions against 10, one round trip", ("update, warm", 1_000), ("update, warm", 10), 1.2),
    ("update at 1,000, two round trips, against rewriting", ("update, cold", 1_000), ("rewrite", 1_000), 0.3),
    ("update at 1,000, one round trip, against rewriting", ("update, warm", 1_000), ("rewrite", 1_000), 0.3),
)

Case = tuple[str, int]


def delta(number: int) -> dict[str, Any]:
    return {"page_state": {"pagination": {"cursor": number}}}


async def rewrite(store: RedisStore, session_id: str, number: int) -> None:
    """Read, change and write the full string, as the app does, over the connections of awictl."""
    [raw] = await store._server.execute(("GET", session_key(session_id)))
    state = merge(orjson.loads(raw), delta(number))
    now = timestamp()
    action = {
        "t": len(state["history"]["actions"]),
        "action": "next_page",
        "input": {"page": number},
        "delta": delta(number),
        "timestamp": now,
        "success": True,
    }
    state["history"]["actions"].append(action)
    state["history"]["last_action"] = action
    state["statistics"]["total_actions"] += 1
    state["statistics"]["last_activity"] = state["last_updated"] = now
    await store._server.execute(("SET", session_key(session_id), orjson.dumps(state), "EX", 1800))


async def update(manager: StateManager, session_id: str, number: int) -> None:
    entry = {"action": "next_page", "input": {"page": number}}
    await manager.update_state_with_delta(session_id, delta(number), entry)


async def timed(call: Awaitable[None]) -> float:
    started = time.perf_counter()
    await call
    return time.perf_counter() - started


async def measure(server: ValkeyServer, rounds: int) -> dict[Case, float]:
    """The median of each case, in seconds."""
    samples: dict[Case, list[float]] = {}
    documents = {size: document([ACTION_SIZE] * size, f"sess_{size}") for size in SIZES}
    laid_out = {size: encode(made) for size, made in documents.items()}
    plain = {size: compact(made) for size, made in documents.items()}

    async with StateManager.open(server.settings(max_actions=1_000_000)) as opened:
        store = opened.store
        assert isinstance(store, RedisStore)

        put(server, laid_out[SIZES[0]], "sess_other")

        async def put_back(raw: bytes, session_id: str, number: int) -> str:
            put(server, raw, session_id)
            # any request right after a large transfer is slower: here an update of another session
            await update(StateManager(store, opened.settings), "sess_other", number)
            return session_id

        async def updates(size: int, number: int) -> None:
            session_id = await put_back(laid_out[size], f"sess_{size}", number)
            manager = StateManager(store, opened.settings)  # a new one has no cached head
            samples.setdefault(("update, cold", size), []).append(await timed(update(manager, session_id, number)))
            samples.setdefault(("update, warm", size), []).append(await timed(update(manager, session_id, number)))

        async def rewrites(size: int, number: int) -> None:
            session_id = await put_back(plain[size], f"sess_plain_{size}", number)
            samples.setdefault(("rewrite", size), []).append(await timed(rewrite(store, session_id, number)))

        cases: list[tuple[Callable[[int, int], Awaitable[None]], int]]
        cases = [(variant, size) for variant in (updates, rewrites) for size in SIZES]
        for number in range(WARM_UP_ROUNDS + rounds):
            if number == WARM_UP_ROUNDS:
                samples.clear()
            random.shuffle(cases)
            for variant, size in cases:
                await variant(size, number)
    return {case: statistics.median(values) for case, values in samples.items()}


def report(medians: dict[Case, float], rounds: int) -> bool:
    """Print the medians and their ratios. Returns whether all targets are met."""
    names = ("update, cold", "update, warm", "rewrite")
    print(f"median of {rounds:,} rounds, in microseconds (and as a multiple of the same at {SIZES[0]} actions)\n")
    print(f"{'actions':>8}" + "".join(f"{name:>22}" for name in names))
    for size in SIZES:
        cells = [
            f"{medians[name, size] * 1e6:,.0f} ({medians[name, size] / medians[name, SIZES[0]]:.2f}x)" for name in names
        ]
        print(f"{size:>8,}" + "".join(f"{cell:>22}" for cell in cells))
    print()
    met = True
    for what, above, below, limit in TARGETS:
        ratio = medians[above] / medians[below]
        met &= ratio <= limit
        print(f"{what:<54}{ratio:6.2f}x   target <= {limit}x   {'met' if ratio <= limit else 'MISSED'}")
    return met


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with ValkeyServer() as server:
        medians = asyncio.run(measure(server, rounds))
    return 0 if report(medians, rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
