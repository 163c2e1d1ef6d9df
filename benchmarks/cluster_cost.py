"""Updates on a Redis Cluster of three masters, compared with the same on one server.

Starts both. Measures them in turn, in alternating pairs: one update after the other, and 64 tasks at the same time. The
sessions are those of 64 agents. Exits with 1 if a target is missed.

    uv run python benchmarks/cluster_cost.py [PAIRS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

from awictl import StateManager

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.cluster import Cluster
from support.valkey import ValkeyServer

PAIRS = 20
AGENTS = 64
#: Updates per measurement.
UPDATES = 512
#: Maximum ratio of the medians.
TARGET = 1.3


async def one_by_one(manager: StateManager) -> None:
    for number in range(UPDATES):
        await manager.update_state_with_delta(f"sess_{number % AGENTS}", {"n": number})


async def at_once(manager: StateManager) -> None:
    async def agent(index: int) -> None:
        for number in range(UPDATES // AGENTS):
            await manager.update_state_with_delta(f"sess_{index}", {"n": number})

    await asyncio.gather(*(agent(index) for index in range(AGENTS)))


async def main(pairs: int) -> bool:
    met = True
    with Cluster(masters=3, replicas=0) as cluster, ValkeyServer() as server:
        async with (
            StateManager.open(cluster.settings(max_actions=50)) as distributed,
            StateManager.open(server.tcp_settings(max_actions=50)) as single,
        ):
            managers = {"cluster": distributed, "one server": single}
            for manager in managers.values():
                for index in range(AGENTS):
                    await manager.initialize_session(f"agent-{index}", "Agent", session_id=f"sess_{index}")
            for work in (one_by_one, at_once):
                seconds: dict[str, list[float]] = {name: [] for name in managers}
                for pair in range(pairs + 2):
                    for name, manager in sorted(managers.items(), reverse=bool(pair % 2)):
                        started = time.perf_counter()
                        await work(manager)
                        if pair >= 2:  # the first ones warm up
                            seconds[name].append((time.perf_counter() - started) / UPDATES)
                medians = {name: statistics.median(values) for name, values in seconds.items()}
                ratio = statistics.median(a / b for a, b in zip(seconds["cluster"], seconds["one server"], strict=True))
                met = met and ratio <= TARGET
                times = ", ".join(f"{name} {median * 1e6:,.0f} µs" for name, median in medians.items())
                print(f"{work.__name__}: {times}; median of the ratios {ratio:.2f} (at most {TARGET})")
    return met


if __name__ == "__main__":
    sys.exit(not asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)))
