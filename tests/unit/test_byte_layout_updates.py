"""Splices write what applying the updates gives, over long chains and for anything that was stored before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import SESSIONS, input_texts, input_values, raw
from trajectories import assert_laid_out, documents, head_base, op_ids, written

from awictl.document.byte_layout import decode, encode
from awictl.document.json_codec import dumps, json_equal
from awictl.document.splice import Base, action_count, base_after, base_from_string, next_t
from awictl.document.update import Update, actions_to_drop, apply_update

NOW = "2026-11-23T07:09:41.403Z"

# -- chains of updates


@dataclass(frozen=True)
class Step:
    """One update, and how its base is obtained: cached, from the head, or from the full string."""

    update: Update
    reading: str
    limit: int


sizes = st.sampled_from([0, 1, 400, 3_000, 40_000])
deltas = st.builds(
    lambda fields, size: {**fields, "page": "x" * size},
    st.dictionaries(input_texts.filter(lambda key: key != "history"), input_values, max_size=2),
    sizes,
)
updates = st.builds(
    Update,
    deltas | st.just({}),
    input=input_values | st.builds(lambda op_id: {"op_id": op_id}, op_ids),
    success=st.booleans(),
    observation=st.none() | input_values,
)
steps = st.builds(Step, updates, st.sampled_from(["cached", "head", "full"]), st.integers(1, 9) | st.just(1000))


def read(raw: bytes, cached: Base | None, step: Step) -> Base:
    """The base of an update as the manager gets it: from the full string if actions have to be dropped."""
    base = {"cached": cached or head_base(raw), "head": head_base(raw), "full": None}[step.reading]
    if base is None:
        return base_from_string(raw)
    count = action_count(base)
    return base_from_string(raw) if count is None or actions_to_drop(count, step.limit) else base


def run(raw: bytes, chain: list[Step]) -> None:
    """Apply a chain of updates to a string, and compare each with a model: a plain list of actions."""
    trajectory = decode(raw)["history"]["actions"]
    cached: Base | None = None
    number: int | None = None
    for step in chain:
        base = read(raw, cached, step)
        drop = actions_to_drop(len(trajectory), step.limit)
        change = apply_update(base, step.update, NOW, drop)
        assert number is None or change.action["t"] == number
        number = change.action["t"] + 1
        assert list(change.dropped) == trajectory[:drop]
        trajectory = [*trajectory[drop:], change.action]
        raw = written(raw, base, change.splice)
        head = change.head
        expected = {**head, "history": {**head["history"], "actions": trajectory, "last_action": change.action}}
        assert json_equal(decode(raw), expected)
        assert_laid_out(raw, trajectory, number)
        cached = base_after(base, head, change.splice)
        assert cached.spliceable and raw.startswith(cached.prefix) and len(raw) == cached.length
        assert (next_t(cached), action_count(cached), cached.empty) == (number, len(trajectory), False)
        assert json_equal(cached.document, base_from_string(raw).head)


@given(documents(), st.lists(steps, min_size=1, max_size=8))
def test_a_chain_of_updates(document: dict[str, Any], chain: list[Step]) -> None:
    number = next_t(base_from_string(dumps(document)))
    known = [one["t"] for one in document["history"]["actions"] if isinstance(one, dict) and type(one.get("t")) is int]
    assert all(t < number for t in known if t < 2**53)
    run(encode(document), chain)
    run(dumps(document), chain)


@pytest.mark.parametrize(
    "numbers",
    [[0, 100, 100, 100], [1.0], [True], [-0.0, 1], ["0", None], [5, 5, 5], [9, 3], [0, 7], [2**53, 2**64 - 1], []],
    ids=str,
)
@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_numbers_continue_after_any_stored_numbers(numbers: list[Any], limit: int) -> None:
    document = {"history": {"actions": [{"t": t} for t in numbers], "last_action": None}}
    run(dumps(document), [Step(Update({}), reading, limit) for reading in ("full", "head", "full", "cached", "full")])


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("limit", [1, 3, 100, 1000])
def test_documents_of_the_app_are_updated(name: str, limit: int) -> None:
    run(raw(name), [Step(Update({"n": n}), reading, limit) for n, reading in enumerate(["full", "head", "cached"] * 8)])


def test_slots_grow_and_shrink() -> None:
    raw = encode({"history": {"actions": [{"t": 0}], "last_action": None}})
    heads = []
    for size in (0, 5, 60_000, 59_000, 0, 0):
        base = head_base(raw)
        assert base is not None
        raw = written(raw, base, apply_update(base, Update({"page": "x" * size}), NOW).splice)
        heads.append(raw.index(b"\n") + 1)
    first, small, grown, kept, _, shrunk = heads
    assert first == small < 60_000 * 2 < grown == kept
    # last_action contains the large delta until the next update
    assert shrunk < 5_000
