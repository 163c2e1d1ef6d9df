"""Verification: sound sessions have no differences, and each damage is found, at the right place."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from bson import json_util
from hypothesis import given
from material import DATA, SESSIONS, load, raw
from support.damage import changed, other_value, stored, visible, without
from support.lives import SESSION_ID, Life, random_life
from trajectories import any_documents

from awictl.document.byte_layout import decode, encode
from awictl.document.history.fork import before_end, fork
from awictl.document.history.partial_state import ABSENT
from awictl.document.history.timeline import Timeline, steps_of
from awictl.document.json_codec import dumps
from awictl.document.rejoin import rejoined
from awictl.document.schema import APP_DOCUMENT_ID, FORKED_FROM
from awictl.document.verification.discrepancy import DamageKind, Discrepancy
from awictl.document.verification.quick import is_plainly_sound
from awictl.document.verification.verify import Verification, verify
from awictl.errors import InvalidData
from awictl.sessions.migration.from_app import converted

#: The full count of the issue is proved once, and a part of it in each run.
COUNTS = pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.soak)])


def verified(string: bytes, session_id: str = SESSION_ID, **others: Any) -> Verification:
    return verify(session_id, decode(string), raw=string, **others)


def life(seed: int = 1) -> Life:
    """A session that awictl created and updated a few times."""
    made = Life(random.Random(seed), by_app=False)
    for number in range(1, 4):
        made.update(delta={"page_state": {"pagination": {"cursor": number}}, "note": {"n": number}}, success=True)
    return made


def only(found: Verification) -> Discrepancy:
    [difference] = found.differences
    return difference


@pytest.mark.parametrize("name", SESSIONS)
def test_recorded_sessions_of_the_app_are_sound(name: str) -> None:
    found = verified(raw(name), load(name)["session_id"], diff=load("diff_02.json") if "02" in name else None)
    if "02" not in name:
        assert only(found).kind is DamageKind.DIFF  # null is no delta
    assert not verified(raw(name), load(name)["session_id"]).differences
    assert found.notes == (["actions 0 to 26 are missing"] if "100" in name else [])


@COUNTS
def test_sound_sessions_have_no_differences(count: int) -> None:
    quick = 0
    for seed in range(count):
        made = random_life(seed)
        found = verified(made.raw, steps=steps_of(made.document))  # without the short cut
        assert not found.differences, (seed, found.differences)
        quick += is_plainly_sound(SESSION_ID, made.document, made.raw)
    assert quick > count / 5, "many sessions should not need all checks"


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.soak)])
def test_forks_of_sound_sessions_are_sound(count: int) -> None:
    for seed in range(count):
        chance = random.Random(seed)
        document = random_life(seed).document
        timeline = Timeline(document)
        state = before_end(timeline, timeline.state_at(chance.randint(timeline.first, timeline.last)))
        if state is None:
            continue
        forked = fork(
            SESSION_ID, document, timeline, state, "sess_2", chance.choice([None, "other"]), chance.choice([5, 1000])
        )
        found = verified(encode(forked.document), "sess_2")
        assert not found.differences, (seed, state.ordinal, found.differences)


@COUNTS
def test_each_damage_is_found(count: int) -> None:
    for seed in range(count):
        chance = random.Random(seed)
        what, document = visible(random_life(seed).document, chance)
        string = stored(document, chance)
        assert verified(string).differences, (seed, what)
        assert not is_plainly_sound(SESSION_ID, decode(string), string), (seed, what)


@pytest.mark.parametrize("seed", range(5))
def test_the_short_cut_tells_nothing_but_the_truth(seed: int) -> None:
    """Whatever is damaged, also what nobody can see: if the short cut finds nothing, nor do all checks."""
    chance = random.Random(seed)
    made = life(seed).live(3, app=0.0).document
    actions = made["history"]["actions"]
    for index, action in enumerate(actions):
        for name in action:
            path = ("history", "actions", index, name)
            for document in (changed(made, path, other_value(action[name], chance)), without(made, path)):
                string = encode(document)
                if is_plainly_sound(SESSION_ID, decode(string), string):
                    assert not verified(string, steps=steps_of(document)).differences, path


# -- what is said of a damage


def test_a_field_that_an_action_set_otherwise() -> None:
    document = changed(life().document, ("page_state", "pagination", "cursor"), 7)
    found = only(verified(encode(document)))
    assert (found.kind, found.pointer, found.expected, found.found) == (
        DamageKind.STATE,
        "/page_state/pagination/cursor",
        3,
        7,
    )
    assert (found.ordinal, found.t) == (3, 3)
    assert found.text == "/page_state/pagination/cursor is 7, but action 3 set it to 3"
    assert found.row() == {
        "kind": "state", "pointer": "/page_state/pagination/cursor", "ordinal": 3, "t": 3, "expected": 3, "found": 7,
        "text": found.text,
    }  # fmt: skip


def test_fields_that_no_action_set() -> None:
    document = changed(life().document, ("permissions", "can_view_sensitive_info"), True)
    found = only(verified(encode(document)))
    assert (found.pointer, found.ordinal) == ("/permissions/can_view_sensitive_info", None)
    assert found.text.endswith("is true, but no action set it, and a new session has false")
    found = only(verified(encode(without(life().document, ("page_state", "sort", "order")))))
    assert (found.expected, found.found, "found" in found.row()) == ("desc", ABSENT, False)
    found = only(verified(encode(changed(life().document, ("extra",), 1))))
    assert found.text == "/extra is 1, but no action set it, and a new session does not have it"
    found = only(verified(encode(changed(life().document, ("current_url",), "/other"))))
    assert found.pointer == "/current_url"


@pytest.mark.parametrize("name", ["total_actions", "successful_actions", "failed_actions"])
def test_counts_that_are_not_those_of_the_trajectory(name: str) -> None:
    found = only(verified(encode(changed(life().document, ("statistics", name), 8))))
    assert (found.kind, found.pointer, found.found) == (DamageKind.STATISTICS, f"/statistics/{name}", 8)


def test_numbers_and_the_last_action() -> None:
    document = life().document
    found = verified(encode(changed(document, ("history", "actions", 2, "t"), 7))).differences
    assert (found[0].kind, found[0].pointer) == (DamageKind.NUMBER, "/history/actions/2/t")
    assert found[0].text == "/history/actions/2/t is 7, not 2: the one before has 1"
    found = verified(encode(changed(document, ("history", "last_action", "observation"), 7))).differences
    assert [(one.kind, one.pointer, one.ordinal) for one in found] == [
        (DamageKind.LAST_ACTION, "/history/last_action/observation", 3)
    ]
    twice = changed(document, ("history", "actions", 2, "op_id"), document["history"]["actions"][1]["op_id"])
    assert only(verified(encode(twice))).text.endswith("is also the op_id of action 1: one update was applied twice")


def test_the_session_of_another_key() -> None:
    assert only(verified(life().raw, "sess_2")).kind is DamageKind.IDENTITY


def test_the_last_delta() -> None:
    made = life()
    actions = made.document["history"]["actions"]
    diffs = [{"delta": one["delta"], "action": one} for one in actions]
    assert not verified(made.raw, diff=diffs[3]).differences
    earlier = verified(made.raw, diff=diffs[2])
    assert not earlier.differences and earlier.notes == ["AWI:DIFF is of an earlier action than the last one"]
    assert only(verified(made.raw, diff={**diffs[3], "delta": {}})).pointer == "/delta"
    assert only(verified(made.raw, diff={"delta": {}, "action": {}})).pointer == "/action"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"},\n{", b"}, {", "3 lines for 4 actions"),
        (b",\n", b"\n,", "lines for 4 actions"),
        (b"\n]}}", b"]\n}}", "the last line does not close"),
        (b'"actions":[', b'"actions" :[', "the first line is not everything but the actions"),
        (b'{"session_id"', b'\n{"session_id"', "the first line is not everything but the actions"),
    ],
)
def test_the_layout(old: bytes, new: bytes, why: str) -> None:
    string = life().raw
    assert not verified(string).differences
    assert old in string
    found = only(verified(string.replace(old, new, 1)))
    assert found.kind is DamageKind.LAYOUT and why in found.text
    assert not verified(dumps(life().document)).differences, "the app writes it on one line"


# -- what is not damage


def test_what_the_app_leaves_out_is_not_damage() -> None:
    document = life().document
    for action in document["history"]["actions"]:
        action.pop("op_id", None)
    document["history"]["last_action"] = document["history"]["actions"][-1]
    assert not verified(dumps(document)).differences
    late = changed(document, ("last_updated",), document["last_updated"][:-4] + "999Z")
    assert not verified(dumps(late)).differences, "the app reads the clock several times"


def test_a_copy_and_a_session_of_the_app_in_mongodb() -> None:
    forked = {**life().document, FORKED_FROM: {"session_id": "sess_0", "t": 1, "ordinal": 1}}
    assert not verified(encode(forked)).differences
    document = life().document
    for action in document["history"]["actions"]:
        action.pop("delta")
        action.pop("op_id", None)
    document["history"]["last_action"] = document["history"]["actions"][-1]
    document |= {APP_DOCUMENT_ID: "6b03", "page_state": {"route": "/x"}, "last_updated": "2026-11-24T00:00:00.000Z"}
    found = verified(encode(document))
    assert not found.differences
    assert found.notes == [
        "copied from the app's own session in MongoDB, which recorded no deltas: its state before the copy cannot be "
        "verified"
    ]


def test_a_session_that_was_copied_from_the_app_and_went_on() -> None:
    found = json_util.loads((DATA / "mongo_legacy_session.ejson").read_text())
    copied = converted(found, 1000, "test")
    made = Life(random.Random(1))
    made.raw = copied.raw
    for _ in range(6):
        assert not verified(made.raw, copied.session_id).differences
        made.update()
        made.app_update()
    damaged = changed(made.document, ("statistics", "total_actions"), 3)
    assert [one.pointer for one in verified(encode(damaged), copied.session_id).differences] == [
        "/statistics/total_actions"
    ]


def test_actions_that_the_app_overwrote_while_the_session_was_ended() -> None:
    made = life()
    mine, its = copy.copy(made), copy.copy(made)
    mine.update(delta={"mine": 1})
    its.app_update()
    found = verified(rejoined([mine.raw, its.raw]))
    assert (found.differences, found.notes) == ([], ["another writer overwrote 1 action"])
    damaged = changed(decode(rejoined([mine.raw, its.raw])), ("note", "n"), 7)
    assert next(one.kind for one in verified(encode(damaged)).differences) is DamageKind.NUMBER


def test_deep_values_are_not_damage() -> None:
    deep: Any = {}
    for _ in range(700):
        deep = {"a": deep}
    made = life()
    made.update(delta={"deep": deep})
    found = verified(made.raw)
    assert found.notes == ["its values are nested too deeply: the state could not be verified"]
    assert not found.differences


@given(any_documents)
def test_any_document_is_verified_or_no_session(document: dict[str, Any]) -> None:
    try:
        found = verified(encode(document))
    except InvalidData:
        return
    assert all(one.row()["text"] for one in found.differences)


def test_counts_that_a_fork_lacks_because_they_were_unknown() -> None:
    """The app cut the original, and a delta had overwritten its counts: those of the fork begin again."""
    document = load("session_04_over_100_actions.json")
    document["statistics"] |= {"total_actions": 1, "successful_actions": 1, "failed_actions": 0}
    damaged = verify(document["session_id"], document).differences
    assert [one.pointer for one in damaged] == ["/statistics/total_actions"]
    document[FORKED_FROM] = {"session_id": "sess_0", "t": 100, "ordinal": 126, "unknown": ["/statistics"]}
    assert verify(document["session_id"], document).differences == []
