"""A process that updates one session from several tasks, and prints the outcome of each update.

Run as a script, with `Order` as JSON in its argument. `run_writers` starts several and combines their output.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from awictl import OutcomeUnknown, Settings, StateManager, Unreachable, UpdateConflict


@dataclass(frozen=True)
class Order:
    """The work of one process."""

    #: Fields of `Settings`.
    settings: dict[str, Any]
    session_id: str
    #: Name of the process.
    name: str
    #: Number of tasks, each of which makes `deltas` updates one after the other.
    writers: int
    deltas: int
    #: Whether the updates specify their op_ids.
    own_op_ids: bool = False


@dataclass
class Results:
    """Markers of the updates, by outcome."""

    acknowledged: list[str] = field(default_factory=list)
    #: OutcomeUnknown was raised.
    unknown: list[str] = field(default_factory=list)
    #: UpdateConflict was raised: other writers were always faster, and nothing was written.
    conflict: list[str] = field(default_factory=list)
    #: Unreachable was raised: the connection broke twice during the read, and nothing was written.
    unreachable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, vars(self).values()))

    def add(self, other: Results) -> None:
        """Append the results of another process."""
        for name, markers in vars(other).items():
            getattr(self, name).extend(markers)


async def _write(manager: StateManager, order: Order, writer: str, results: Results) -> None:
    for number in range(order.deltas):
        marker = f"{writer}.{number}"
        entry = {"action": "count", "input": {"marker": marker}, "success": number % 5 != 0}
        if order.own_op_ids:
            entry["op_id"] = f"own-{marker}"
        try:
            await manager.update_state_with_delta(order.session_id, {"counters": {writer: number}}, entry)
        except OutcomeUnknown:
            results.unknown.append(marker)
        except UpdateConflict:
            results.conflict.append(marker)
        except Unreachable:
            results.unreachable.append(marker)
        else:
            results.acknowledged.append(marker)


async def _main(order: Order) -> Results:
    results = Results()
    async with StateManager.open(Settings(**order.settings)) as manager:
        writers = [f"{order.name}.{index}" for index in range(order.writers)]
        await asyncio.gather(*(_write(manager, order, writer, results) for writer in writers))
    return results


async def run_writers(orders: Sequence[Order]) -> Results:
    """Execute all orders concurrently, each in a separate process; return the combined results."""
    total = Results()
    for results in await asyncio.gather(*map(_run_one, orders)):
        total.add(results)
    return total


async def _run_one(order: Order) -> Results:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, json.dumps(asdict(order)), stdout=asyncio.subprocess.PIPE
    )
    try:
        printed, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, f"writer {order.name} failed"
    return Results(**json.loads(printed))


def assert_nothing_lost(document: dict[str, Any], results: Results) -> Counter[str]:
    """Fail if an update was applied twice, acknowledged and lost, or reported as not written but applied.

    Return the number of occurrences of each marker. The trajectory must be untrimmed, and `t` without a gap.
    """
    actions = document["history"]["actions"]
    assert [action["t"] for action in actions] == list(range(len(actions)))
    recorded = [action for action in actions if action["action"] == "count"]
    found = Counter(action["input"]["marker"] for action in recorded)
    assert [marker for marker, times in found.items() if times > 1] == [], "applied twice"
    assert sorted(set(results.acknowledged) - found.keys()) == [], "acknowledged and lost"
    assert sorted({*results.conflict, *results.unreachable} & found.keys()) == [], (
        "reported as not written, but applied"
    )
    assert sorted(found.keys() - {*results.acknowledged, *results.unknown}) == [], "applied, but by no writer"

    last = {writer: int(number) for writer, _, number in (marker.rpartition(".") for marker in found)}
    assert document["counters"] == last, "the last delta of each writer must be in effect"
    failed = sum(not action["success"] for action in recorded)
    statistics = document["statistics"]
    assert statistics["total_actions"] == len(recorded)
    assert (statistics["successful_actions"], statistics["failed_actions"]) == (len(recorded) - failed, failed)
    assert document["history"]["last_action"] == actions[-1]
    assert document["last_updated"] == statistics["last_activity"] == actions[-1]["timestamp"]
    return found


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_main(Order(**json.loads(sys.argv[1])))))))
