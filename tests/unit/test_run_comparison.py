"""Two runs compared: what is aligned, where they part, and how their states differed just before."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import stored_values
from support.documents import DATA, SESSION_ID

from awictl.cli.session.compare_view import summary
from awictl.document.history.alignment import align
from awictl.document.history.run_comparison import Aligned, Divergence, RunComparison, compare_runs
from awictl.document.history.timeline import Step, Timeline
from awictl.document.json_codec import dumps, json_equal, loads
from awictl.document.merge import DocumentDifference, compare, merge, pointer
from awictl.document.schema import OWN_FIELDS, new_document
from awictl.errors import InvalidData

NOW = "2026-11-23T07:09:41.403Z"


def did(name: str, delta: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """An action without its number and time."""
    return {"action": name, "input": {}, "delta": delta or {}, "success": True} | fields


def run(*actions: dict[str, Any], session_id: str = SESSION_ID, trimmed: int = 0) -> Timeline:
    """The timeline of a session after these actions, of which the first ones, with the start, may be trimmed."""
    document = new_document(session_id, f"agent of {session_id}", "Agent", "/", NOW)
    history = document.pop("history")
    for t, action in enumerate(actions, 1):
        document = merge(document, action["delta"])
        document["statistics"] = document["statistics"] | {
            "total_actions": t,
            "successful_actions": document["statistics"]["successful_actions"] + action["success"],
            "failed_actions": document["statistics"]["failed_actions"] + (not action["success"]),
        }
        history["actions"].append({"t": t, "timestamp": NOW, **action})
        history["last_action"] = history["actions"][-1]
    if trimmed:
        history |= {"actions": history["actions"][trimmed:], "trimmed_actions": trimmed}
    return Timeline({**document, "history": history})


def kinds(found: RunComparison) -> str:
    """The kinds of the rows: equal, outcome, first and second, by their initials."""
    return "".join(one.kind.value[0] for one in found.rows)


def parted(found: RunComparison) -> Divergence:
    assert found.divergence is not None
    return found.divergence


FILTER = did("filter", {"page_state": {"filters": {"tag": "news"}}})


def test_two_equal_runs() -> None:
    found = compare_runs(run(FILTER, did("search")), run(FILTER, did("search"), session_id="sess_other"))
    assert found.equal and found.exact
    assert (found.divergence, found.other_outcome) == (None, None)
    assert found.counts() == {"equal": 3, "outcome": 0, "first": 0, "second": 0}


def test_actions_are_the_same_if_name_and_input_are_the_same_json() -> None:
    first = [did("a", input={"x": 1, "y": [1.0, {"z": None}]}), did("b", input={"x": True})]
    second = [did("a", input={"y": [1, {"z": None}], "x": 1.0}), did("b", input={"x": 1})]
    assert kinds(compare_runs(run(*first), run(*second))) == "eefs"


def test_the_same_action_with_another_outcome_is_marked_and_is_no_divergence() -> None:
    first = run(FILTER, did("search", {"n": 1}, observation="3 posts"), did("open"))
    second = run(FILTER, did("search", {"n": 2}, success=False), did("open"))
    found = compare_runs(first, second)
    assert kinds(found) == "eeoe" and not found.equal
    assert found.divergence is None
    assert found.other_outcome is not None
    assert found.other_outcome.differs == ("success", "delta", "observation")


def test_the_numbers_of_a_delta_are_compared_as_json() -> None:
    assert compare_runs(run(did("a", {"n": 1, "m": 2})), run(did("a", {"m": 2.0, "n": 1.0}))).equal


def test_the_first_divergence_has_the_actions_of_both_and_the_states_before() -> None:
    first = run(FILTER, did("open", {"current_url": "/posts/1"}), did("search", input={"q": "a"}), did("end"))
    second = run(FILTER, did("open", {"current_url": "/posts/2"}), did("sort"), did("search"), did("end"))
    found = compare_runs(first, second)
    assert kinds(found) == "eeofsse"
    place = parted(found)
    assert place.first is not None and place.second is not None
    assert (place.first.ordinal, place.first.action["action"]) == (3, "search")
    assert (place.second.ordinal, place.second.action["action"]) == (3, "sort")
    assert place.states is not None
    assert place.states.difference.delta == {"current_url": "/posts/2"}, "and not its own fields, such as statistics"
    assert (place.states.difference.removed, place.states.unknown) == ([], ())


def test_a_run_that_goes_on_when_the_other_one_has_no_more() -> None:
    place = parted(compare_runs(run(FILTER), run(FILTER, did("search"))))
    assert place.first is None and place.second is not None and place.second.ordinal == 2
    assert place.states is not None and not place.states.difference


def test_runs_that_differ_from_the_first_action_on_have_no_states_before() -> None:
    place = parted(compare_runs(run(did("a"), did("b"), trimmed=1), run(did("b"), did("c"), trimmed=1)))
    assert place.states is None


def test_what_is_unknown_in_one_of_them_is_not_a_difference() -> None:
    """The beginning of the second run is missing, so it is unknown whether its state had a filter at that time."""
    sort, search, other = did("sort"), did("search"), did("other", {"page_state": {"filters": {"tag": "sports"}}})
    first = Timeline(run(FILTER, sort, search).head, run(sort, search).steps[1:])
    second = run(did("start"), FILTER, sort, other, trimmed=3)
    place = parted(compare_runs(first, second))
    assert place.states is not None
    assert place.states.difference.delta == {} and place.states.difference.removed == []
    assert "/page_state/filters" in place.states.unknown or "/page_state/filters/tag" in place.states.unknown


def test_an_overwritten_action_is_aligned_and_is_not_a_state() -> None:
    original = run(FILTER, did("search"))
    lost = Step(2, {"t": 2, **did("lost", {"current_url": "/lost"})}, overwritten=True)
    first = Timeline(original.head | {"history": {}}, [*original.steps[:2], lost, original.steps[2]])
    second = Timeline(original.head | {"history": {}}, [*original.steps[:2], lost])
    found = compare_runs(first, second)
    assert kinds(found) == "eeef"
    assert parted(found).states is not None
    assert found.rows[2].row()["first"]["overwritten"] is True


def test_what_is_no_action_is_compared_as_it_is() -> None:
    document = new_document(SESSION_ID, "agent", "Agent", "/", NOW)
    odd = [Step(0, None), Step(1, 1), Step(2, [True])]
    found = compare_runs(Timeline(document, odd), Timeline(document, [Step(0, None), Step(1, 1.0), Step(2, [1])]))
    assert kinds(found) == "eefs"
    assert found.rows[1].row()["second"] == {"action": 1.0, "ordinal": 1}


def test_states_that_are_nested_too_deeply_are_named() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}
    document = new_document(SESSION_ID, "agent", "Agent", "/", NOW) | {"deep": deep}
    timelines = [Timeline(document, [*run(FILTER).steps, Step(2, did(name))]) for name in "ab"]
    with pytest.raises(InvalidData, match="nested too deeply"):
        compare_runs(*timelines)


@pytest.mark.parametrize("name", ["session_03_many.json", "session_04_over_100_actions.json"])
def test_a_session_of_the_app_is_equal_to_itself(name: str) -> None:
    document = loads((DATA / name).read_bytes())
    assert compare_runs(Timeline(document), Timeline(document)).equal


actions = st.builds(
    did, st.sampled_from("ab"), input=st.sampled_from([{}, {"n": 1}]), success=st.booleans(), observation=stored_values
)


@given(st.lists(actions, max_size=8), st.lists(actions, max_size=8))
def test_every_action_is_in_the_result_once_and_pairs_are_the_same_actions(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    one, other = run(*first), run(*second)
    found = compare_runs(one, other)
    assert [row.first for row in found.rows if row.first is not None] == one.steps
    assert [row.second for row in found.rows if row.second is not None] == other.steps
    pairs = [row for row in found.rows if row.first is not None and row.second is not None]
    assert (
        len(pairs) == len(align(*([(a["action"], str(a["input"])) for a in run] for run in (first, second))).pairs) + 1
    )
    for row in pairs:
        assert row.first is not None and row.second is not None
        mine, its = row.first.action, row.second.action
        assert mine["action"] == its["action"] and json_equal(mine["input"], its["input"])
        same = all(json_equal(mine.get(name), its.get(name)) for name in ("success", "delta", "observation"))
        assert (row.kind is Aligned.EQUAL) is same
    assert (found.divergence is None) is (not set(kinds(found)) & set("fs"))
    assert json_equal(loads(dumps(found.row())), found.row())


def test_an_alignment_that_is_not_exact_is_said_to_be_none() -> None:
    first, second = (run(*[did("ab"[(number * step) % 7 % 2]) for number in range(9)]) for step in (2, 3))
    assert "too long" not in summary(compare_runs(first, second))
    found = compare_runs(first, second, max_cells=0)
    assert "too long to be aligned exactly" in summary(found) and found.row()["exact"] is False


@pytest.mark.soak
@pytest.mark.parametrize("kinds", [5, 10**9])
def test_two_sessions_of_5_000_actions(kinds: int) -> None:
    """It takes about a second; the bound is for a slow machine that does other things, too."""

    def made(seed: int) -> Timeline:
        chance = random.Random(seed)
        actions = [did(chance.choice("abc"), input={"id": chance.randrange(kinds)}) for _ in range(4_999)]
        return run(*actions)

    first, second = made(1), made(2)
    tracemalloc.start()
    started = time.monotonic()
    found = compare_runs(first, second)
    took, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.exact and len(found.rows) >= 5_000
    assert took < 60 and peak < 64 * 1024 * 1024


fields = st.dictionaries(st.sampled_from("ab"), st.sampled_from([1, 2, {"a": 1}, {"b": {"a": 2}}]), max_size=2)
deltas = fields | st.builds(lambda inner: {"page_state": {"filters": inner}}, fields)


@given(st.data(), st.integers(0, 3), st.integers(0, 3))
def test_the_states_before_a_divergence_claim_nothing_that_is_not_so(
    data: st.DataObject, first_trimmed: int, second_trimmed: int
) -> None:
    """Compared with the states of the two runs that nobody has trimmed; their deltas differ, their actions do not."""
    common = data.draw(st.integers(max(first_trimmed, second_trimmed, 1), 5))
    made = [[did(str(at), data.draw(deltas)) for at in range(common)] for _ in range(2)]
    later = [[did("first"), *data.draw(st.lists(st.builds(did, st.just("x"), deltas), max_size=3))], [did("second")]]
    runs = [one + more for one, more in zip(made, later, strict=True)]
    found = compare_runs(run(*runs[0], trimmed=first_trimmed), run(*runs[1], trimmed=second_trimmed))
    place = found.divergence
    assert place is not None and place.first is not None and place.second is not None
    if place.states is None:
        return
    # the runs part at an action of each; what both did until then may begin at different places
    truths = []
    for side, actions in ((place.first, runs[0]), (place.second, runs[1])):
        state = new_document(SESSION_ID, "agent", "Agent", "/", NOW)
        for action in actions[: side.ordinal - 1]:
            state = merge(state, action["delta"])
        truths.append({name: value for name, value in state.items() if name not in OWN_FIELDS})
    truth = compare(*truths)
    wrong = places(place.states.difference) - places(truth)
    assert not wrong
    if not place.states.unknown:
        assert places(place.states.difference) == places(truth)


def places(difference: DocumentDifference) -> set[str]:
    """JSON pointers to the values that a difference sets, and to those that it removes."""

    def leaves(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from leaves(item, pointer(path, key))
        else:
            yield path

    return {*leaves(difference.delta, ""), *difference.removed} - {""}
