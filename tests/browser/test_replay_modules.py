"""The page merges deltas and computes states itself: it has to do so exactly as the library does."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.browser import Pages
from support.lives import Life
from support.modules import Modules
from support.timelines import ODD_KEYS, random_timeline

from awictl.document.history.keyframes import replay_data
from awictl.document.history.timeline import Timeline
from awictl.document.json_codec import dumps, json_equal, loads
from awictl.document.merge import merge

DATA = Path(__file__).parent.parent / "data"
RECORDED = ["session_01_created", "session_02_one_delta", "session_03_many", "session_04_over_100_actions"]
JSON = {"document/json.js": "equal, parseJson, stringify"}

#: Merges pairs, and checks that the target is not changed.
MERGE = """
return parseJson(argument).map(([target, delta]) => {
  const before = stringify(target);
  const merged = stringify(applyDelta(target, delta));
  return [merged, before === stringify(target)];
});
"""
#: Computes the states of sessions, each step by itself, in the order that `order` gives.
STATES = """
return argument.map(([text, order]) => {
  const replay = new Replay(parseJson(text));
  const states = [];
  for (const index of order) {
    const {head, unknown, conflicts} = replay.stateAt(index);
    states[index] = [head, [...unknown].sort(), [...conflicts].sort()];
  }
  return stringify(states);
});
"""


@pytest_asyncio.fixture(loop_scope="session")
async def modules(open_page: Pages) -> AsyncIterator[Modules]:
    yield await Modules.opened(open_page)


def random_value(chance: random.Random, depth: int) -> Any:
    """A JSON value with everything that is different in JavaScript."""
    if depth and chance.random() < 0.6:
        if chance.random() < 0.2:
            return [random_value(chance, depth - 1) for _ in range(chance.randint(0, 2))]
        return {
            chance.choice(["a", "b", "c", *ODD_KEYS]): random_value(chance, depth - 1)
            for _ in range(chance.randint(0, 4))
        }
    scalars = [
        None,
        True,
        False,
        0,
        -0.0,
        1,
        1.0,
        1.5,
        2**53 + 1,
        -(2**63),
        2**64 - 1,
        1e300,
        "",
        "é🙂",
        "\udfff",
        "\0",
    ]
    return chance.choice([*scalars, "1234567890123456789", ": 12345678901234567"])


async def merged(modules: Modules, pairs: list[tuple[Any, Any]]) -> list[Any]:
    """The results of the page."""
    found = await modules.run({**JSON, "document/merge.js": "applyDelta"}, MERGE, dumps(pairs).decode())
    assert all(unchanged for _, unchanged in found)
    return [loads(text.encode()) for text, _ in found]


async def test_the_page_merges_as_the_library_does(modules: Modules) -> None:
    vectors = json.loads((DATA / "merge_vectors.json").read_bytes())
    results = await merged(modules, [(one["target"], one["delta"]) for one in vectors])
    assert results == [one["result"] for one in vectors]
    chance = random.Random(18)
    pairs = [({"a": random_value(chance, 4)}, {"a": random_value(chance, 4)}) for _ in range(10_000)]
    wrong = [
        (pair, found)
        for pair, found in zip(pairs, await merged(modules, pairs), strict=True)
        if not json_equal(found, merge(*pair))
    ]
    assert not wrong, (len(wrong), wrong[:3])


def expected_states(timeline: Timeline) -> list[Any]:
    """The state after each step, in the form of STATES: after an overwritten one, it is that of the one before."""
    states = timeline.states()
    found: list[Any] = []
    state: Any = [{}, [""], []]
    for step in timeline.steps:
        if not step.overwritten:
            one = next(states)
            state = [one.head, sorted(one.unknown), sorted(one.conflicts)]
        found.append(state)
    return found


async def assert_replayed(modules: Modules, timelines: dict[Any, Timeline], chance: random.Random) -> None:
    """Assert that the page computes exactly the states of timelines, whatever it is asked for first."""
    cases = []
    for timeline in timelines.values():
        order = [*range(len(timeline.steps))]
        chance.shuffle(order)
        cases.append([dumps(replay_data(timeline)).decode(), order])
    found = await modules.run({**JSON, "document/replay.js": "Replay"}, STATES, cases)
    for (name, timeline), text in zip(timelines.items(), found, strict=True):
        for index, (state, truth) in enumerate(zip(loads(text.encode()), expected_states(timeline), strict=True)):
            assert json_equal(state, truth), (name, index, state, truth)


@pytest.mark.parametrize("count", [100, pytest.param(5_000, marks=pytest.mark.soak)])
async def test_the_page_computes_the_states_of_the_library(modules: Modules, count: int) -> None:
    recorded = {name: Timeline(loads((DATA / f"{name}.json").read_bytes())) for name in RECORDED}
    await assert_replayed(modules, recorded, random.Random(1))
    for start in range(0, count, 100):
        made = {seed: random_timeline(seed) for seed in range(start, start + 100)}
        await assert_replayed(modules, made, random.Random(start))


APPENDED = """
return argument.map(([text, changes]) => {
  const replay = new Replay(parseJson(text));
  const fits = changes.map((one) => replay.append(parseJson(one)));
  const states = [...Array(replay.length).keys()].map((index) => replay.stateAt(index).head);
  return [fits, stringify(states), replay.indexOfOrdinal(replay.length - 1)];
});
"""


async def test_actions_are_appended_to_what_is_known(modules: Modules) -> None:
    """Whatever the page has of a session when it opens, it then knows the same states as if it had it all."""
    cases, expected = [], []
    for seed in range(40):
        life = Life(random.Random(seed), by_app=seed % 3 == 0)
        documents = [life.document]
        for _ in range(8):
            (life.app_update if seed % 3 == 0 else life.update)()
            documents.append(life.document)
        start = seed % 6
        payload = replay_data(Timeline(documents[start]))
        changes = []
        for before, after in pairwise(documents[start::2]):
            known, actions = len(before["history"]["actions"]), after["history"]["actions"]
            steps = [{"ordinal": at, "action": actions[at]} for at in range(known, len(actions))]
            changes.append(dumps({"steps": steps, "head": Timeline(after).head}).decode())
        cases.append([dumps(payload).decode(), changes])
        expected.append(expected_states(Timeline(documents[start::2][-1])))
    found = await modules.run({**JSON, "document/replay.js": "Replay"}, APPENDED, cases)
    for seed, ((fits, text, last), states) in enumerate(zip(found, expected, strict=True)):
        assert all(fits) and last == len(states) - 1
        for index, (head, (truth, *_)) in enumerate(zip(loads(text.encode()), states, strict=True)):
            assert_known(head, truth, (seed, index))


def assert_known(head: dict[str, Any], truth: dict[str, Any], what: Any) -> None:
    """Assert that a page knows at least what the library does: it has seen states that the library has to infer."""
    for key, value in truth.items():
        if key in ("history", "last_updated", "last_activity"):  # the library infers times to within milliseconds
            continue
        assert key in head, (what, key)
        if isinstance(value, dict) and isinstance(head[key], dict):
            assert_known(head[key], value, (what, key))
        else:
            assert json_equal(head[key], value), (what, key, head[key], value)


async def test_what_does_not_follow_is_refused(modules: Modules) -> None:
    timeline = Timeline(loads((DATA / "session_02_one_delta.json").read_bytes()))
    payload = dumps(replay_data(timeline)).decode()
    head = timeline.head
    steps = [{"ordinal": 3, "action": {}}]
    known = [{"ordinal": 1, "action": {"other": True}}]
    changes = [dumps({"steps": one, "head": head}).decode() for one in (steps, known)]
    [[fits, _, last]] = await modules.run({**JSON, "document/replay.js": "Replay"}, APPENDED, [[payload, changes]])
    assert fits == [False, True] and last == 1


#: Computes a state in the middle, and what changed there, with a delta that is nested `argument` levels deep.
NESTED = """
const deep = '{"a":'.repeat(argument) + "1" + "}".repeat(argument);
const action = (t, delta) => `{"t":${t},"action":"x","delta":${delta},"timestamp":"x"}`;
const steps = [0, 1, 2, 3].map((t) => `{"ordinal":${t},"action":${action(t, t % 2 ? deep : "{}")}}`);
const payload = `{"head":{"history":{}},"unknown":[],"fixed":[],"steps":[${steps}],"gaps":[],"breaks":[],
  "keyframes":[{"index":0,"head":{"a":{"b":2}},"unknown":[],"conflicts":[]}],"states_error":null}`;
const replay = new Replay(parseJson(payload));
const changed = [...replay.changesAt(1).keys()];
return [replay.stateAt(2).error ?? null, replay.stateAt(2).unknown.length, changed.length];
"""


async def test_any_nesting(modules: Modules) -> None:
    """A state that is nested too deeply is an error of its own, and nothing else breaks."""
    imports = {"document/json.js": "parseJson", "document/replay.js": "Replay"}
    assert await modules.run(imports, NESTED, 1_000) == [None, 0, 2]  # the time, too
    error, *_ = await modules.run(imports, NESTED, 200_000)
    assert "nested too deeply" in error
