"""How `bench latency` measures, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from awictl.diagnostics.bench.latency import OPERATIONS, SLICE_SECONDS, Percentiles, measure, rows, slices
from awictl.errors import NotFound
from awictl.util.percentile import percentile


class SlowStore:
    """Stands in for the sessions of a store at which each request takes the same time."""

    def __init__(self, name: str, seconds: float, shared: dict[str, Any], clients: int = 1) -> None:
        self.name, self.clients, self.cache_key = name, clients, "key"
        self._seconds, self._shared = seconds, shared
        self.manager = self.store = self
        self.where = name
        self.touched = 0
        self.gone = False

    def read_id(self, client: int) -> str:
        return f"read {client}"

    def updated_id(self, client: int) -> str:
        return f"updated {client}"

    async def before_update(self, client: int) -> None:
        self._shared["now"] += 100  # not measured

    async def touch(self) -> None:
        self.touched += 1

    async def _answer(self, *_: Any) -> Any:
        self._shared["now"] += self._seconds
        self._shared["asked"].append(self.name)
        await asyncio.sleep(0)
        return None if self.gone else {}

    get_session_state = update_state_with_delta = get_action_history = get_cached_query_results = _answer


def stores(clients: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    shared: dict[str, Any] = {"now": 0.0, "asked": []}
    return {name: SlowStore(name, taken, shared, clients) for name, taken in (("a", 0.001), ("b", 0.004))}, shared


async def test_all_operations_are_measured_at_all_stores_in_turn() -> None:
    made, shared = stores()
    seconds = SLICE_SECONDS * len(OPERATIONS) * 2 * 6
    steps: list[int] = []
    measured = await measure(made, seconds, steps.append, lambda: shared["now"])
    assert sum(steps) == slices(seconds, 2) == len(OPERATIONS) * 2 * 6
    assert measured.keys() == OPERATIONS.keys()
    for by in measured.values():
        assert by["a"][1:] == (1.0, 1.0, 1.0) and by["b"][1:] == (4.0, 4.0, 4.0)
    assert measured["get_state"]["a"].requests == pytest.approx(SLICE_SECONDS * 6 / 0.001, abs=6)
    turns = [one for one, before in zip(shared["asked"], [None, *shared["asked"]], strict=False) if one != before]
    assert Counter(turns)["a"] == pytest.approx(Counter(turns)["b"], abs=2)
    assert made["a"].touched == made["b"].touched == 6


async def test_each_client_sends_at_least_one_request_per_slice() -> None:
    made, shared = stores(clients=5)
    measured = await measure(made, 1e-9, clock=lambda: shared["now"])
    assert {one.requests for by in measured.values() for one in by.values()} == {5}


async def test_sessions_that_disappear_are_an_error() -> None:
    made, shared = stores()
    made["b"].gone = True
    with pytest.raises(NotFound, match="b: read 0 of this benchmark disappeared"):
        await measure(made, 1, clock=lambda: shared["now"])


def test_ratios_are_those_of_the_second_to_the_first() -> None:
    measured = {"get_state": {"a": Percentiles(9, 1.0, 2.0, 4.0), "b": Percentiles(3, 10.0, 10.0, 10.0)}}
    [row] = rows(measured, "a", "b")
    assert row["ratio"] == {"p50": 10.0, "p90": 5.0, "p99": 2.5} and row["claimed_ratio"] == 10
    [alone] = rows({"history_page": {"b": measured["get_state"]["b"]}}, "a", "b")
    assert alone["a"] is alone["ratio"] is alone["claimed_ratio"] is None and alone["b"]["requests"] == 3


def test_percentiles_are_values_that_occurred() -> None:
    assert Percentiles.of([n / 1000 for n in range(100, 0, -1)]) == (100, 50.0, 90.0, 99.0)
    assert [percentile([7], share) for share in (0, 0.5, 1)] == [7, 7, 7]
