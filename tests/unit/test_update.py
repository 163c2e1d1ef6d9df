"""Updates of a session document."""

from __future__ import annotations

from typing import Any

import pytest
from material import load

from awictl.document.byte_layout import encode
from awictl.document.json_codec import json_equal, loads
from awictl.document.schema import PROTECTED_FIELDS, new_document
from awictl.document.splice import base_from_string
from awictl.document.update import (
    Change,
    Update,
    actions_to_drop,
    apply_update,
    ending,
    page_delta,
    pagination_delta,
)
from awictl.errors import InvalidInput

NOW = "2026-11-23T07:09:41.403Z"
CREATED = load("session_01_created.json")


def changed(document: dict[str, Any], update: Update, now: str = NOW) -> Change:
    return apply_update(base_from_string(encode(document)), update, now)


def full(document: dict[str, Any], change: Change) -> dict[str, Any]:
    """The document after a change, without the byte layout, and without op_ids, which the app does not write."""
    action = {key: value for key, value in change.action.items() if key != "op_id"}
    actions = [*document["history"]["actions"], action]
    return {**change.head, "history": {**change.head["history"], "actions": actions, "last_action": action}}


def as_recorded(action: dict[str, Any]) -> Update:
    """The update for an action that the app recorded."""
    return Update(
        **{name: action[name] for name in ("delta", "action", "input", "success")},
        observation=action.get("observation"),
    )


def new(now: str = NOW) -> dict[str, Any]:
    return new_document("sess_1", "agent", "Agent", "/", now)


def test_an_update_gives_the_document_of_the_app() -> None:
    expected = load("session_02_one_delta.json")
    change = changed(CREATED, as_recorded(expected["history"]["actions"][-1]))
    assert json_equal(full(CREATED, change), expected)
    diff = loads(change.diff)
    assert diff["action"].pop("op_id").startswith("op_")
    assert json_equal(diff, load("diff_02.json"))


def test_replaying_the_actions_of_the_app_gives_its_document() -> None:
    expected = load("session_03_many.json")
    document = CREATED
    for action in expected["history"]["actions"][1:]:
        document = full(document, changed(document, as_recorded(action), action["timestamp"]))
    assert json_equal(document, expected)


def test_all_fields_of_an_action_are_recorded() -> None:
    update = Update({"a": {"b": 1}}, "click", [1], success=False, observation={"x": None}, op_id="op_1")
    change = changed(new(), update)
    assert list(change.action) == ["t", "action", "input", "delta", "timestamp", "success", "observation", "op_id"]
    assert list(change.action.values()) == [1, "click", [1], {"a": {"b": 1}}, NOW, False, {"x": None}, "op_1"]
    assert change.head["history"]["last_action"] == change.action
    assert change.head["a"] == {"b": 1}
    assert change.head["last_updated"] == NOW
    assert "actions" not in change.head["history"]


def test_an_update_without_observation_records_none_and_has_a_fresh_op_id() -> None:
    first, second = changed(new(), Update({})), changed(new(), Update({}))
    assert "observation" not in first.action
    assert (first.action["action"], first.action["input"], first.action["success"]) == ("list_posts", {}, True)
    assert first.action["op_id"] != second.action["op_id"]


@pytest.mark.parametrize("name", PROTECTED_FIELDS)
@pytest.mark.parametrize("value", [None, {}, "x"])
def test_a_delta_cannot_change_protected_fields(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=name):
        Update({"page_state": {}, name: value})


@pytest.mark.parametrize(
    ("statistics", "success", "expected"),
    [
        (
            {"total_actions": 5, "successful_actions": 3, "failed_actions": 2, "mine": 1},
            True,
            {"total_actions": 6, "successful_actions": 4, "failed_actions": 2, "mine": 1},
        ),
        ({"total_actions": 5, "failed_actions": 2}, False, {"total_actions": 6, "failed_actions": 3}),
        ({}, True, {"total_actions": 1, "successful_actions": 1}),
        (
            {"total_actions": "5", "successful_actions": None, "last_activity": "x"},
            True,
            {"total_actions": "5", "successful_actions": None},
        ),
        ({"total_actions": True, "failed_actions": 1.5}, False, {"total_actions": True, "failed_actions": 1.5}),
    ],
)
def test_statistics_are_counted(statistics: dict[str, Any], success: bool, expected: dict[str, Any]) -> None:
    head = changed({**new(), "statistics": statistics}, Update({}, success=success)).head
    assert json_equal(head["statistics"], {**expected, "last_activity": NOW})


@pytest.mark.parametrize("statistics", [None, [1], "x", 5])
def test_statistics_of_another_type_are_not_changed(statistics: Any) -> None:
    assert changed({**new(), "statistics": statistics}, Update({})).head["statistics"] == statistics


def test_missing_statistics_are_not_added() -> None:
    document = {key: value for key, value in new().items() if key != "statistics"}
    assert "statistics" not in changed(document, Update({})).head


def test_statistics_in_a_delta_are_merged_before_they_are_counted() -> None:
    head = changed(new(), Update({"statistics": {"total_actions": 40, "session_start": "x"}})).head
    assert (head["statistics"]["total_actions"], head["statistics"]["session_start"]) == (41, "x")


@pytest.mark.parametrize(
    ("kept", "limit", "left"), [(999, 1000, 999), (1000, 1000, 900), (1, 1, 0), (9, 3, 2), (10, 10, 9)]
)
def test_a_tenth_of_the_limit_is_dropped_at_once(kept: int, limit: int, left: int) -> None:
    assert kept - actions_to_drop(kept, limit) == left


# -- the end

BEFORE, AHEAD = "2026-11-23T06:09:41.403Z", "2026-11-23T07:09:41.404Z"


@pytest.mark.parametrize(
    ("now", "recorded"),
    [
        ("2026-11-23T07:09:41.402Z", AHEAD),
        (NOW, AHEAD),
        (AHEAD, AHEAD),
        (BEFORE, AHEAD),
        ("2026-11-24T00:00:00.000Z", "2026-11-24T00:00:00.000Z"),
        ("2026-11-20T00:00:00.000Z", "2026-11-20T00:00:00.000Z"),  # more than a day is not a clock that was set back
    ],
)
def test_the_end_is_later_than_the_last_update(now: str, recorded: str) -> None:
    change = changed(new(), ending(), now)
    assert change.action["timestamp"] == change.head["last_updated"] == recorded
    assert changed(new(), Update({}), now).action["timestamp"] == now, "other updates have the time of the clock"


@pytest.mark.parametrize("stored", [None, "x", 5, "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00+23:00"])
def test_the_end_of_a_session_whose_last_update_is_invalid(stored: Any) -> None:
    assert changed({**new(), "last_updated": stored}, ending()).action["timestamp"] == NOW


# -- pages


def test_pagination_gives_the_delta_of_the_app() -> None:
    recorded = load("session_03_many.json")["history"]["actions"][2]
    delta = pagination_delta(load("session_02_one_delta.json"), recorded["input"])
    assert json_equal(delta, recorded["delta"])
    assert delta["action_state"]["available_actions"] == ["list_posts", "search", "prev_page", "next_page"]
    assert delta["action_state"]["disabled_actions"] == []


@pytest.mark.parametrize(
    ("pagination", "available", "disabled"),
    [
        ({"cursor": 1, "total_pages": 3}, ["next_page"], ["prev_page"]),
        ({"cursor": 3, "total_pages": 3}, ["prev_page"], ["next_page"]),
        ({"cursor": 1, "total_pages": 1}, [], ["prev_page", "next_page"]),
        ({"cursor": 2}, ["prev_page", "next_page"], []),
        ({"total_pages": 2}, ["next_page"], ["prev_page"]),
        ({"cursor": None, "total_pages": "x"}, [], ["prev_page", "next_page"]),
    ],
)
def test_actions_available_on_a_page(pagination: dict[str, Any], available: list[str], disabled: list[str]) -> None:
    head = {
        "page_state": {"pagination": {"cursor": 1, "total_pages": 5}},
        "action_state": {"available_actions": ["next_page", "a"], "disabled_actions": ["b", "prev_page"]},
    }
    state = pagination_delta(head, pagination)["action_state"]
    assert state == {"available_actions": ["a", *available], "disabled_actions": ["b", *disabled]}


@pytest.mark.parametrize(
    "head", [{}, {"page_state": None, "action_state": []}, {"action_state": {"available_actions": 5}}]
)
def test_pagination_of_a_document_without_pagination(head: dict[str, Any]) -> None:
    assert pagination_delta(head, {"cursor": 2}) == {
        "page_state": {"pagination": {"cursor": 2}},
        "action_state": {"available_actions": ["prev_page"], "disabled_actions": ["next_page"]},
    }


def test_available_actions_that_are_not_strings_are_kept() -> None:
    head = {"action_state": {"available_actions": [{"name": "search"}, ["x"], None, "next_page"]}}
    state = pagination_delta(head, {"cursor": 1, "total_pages": 1})["action_state"]
    assert state["available_actions"] == [{"name": "search"}, ["x"], None]


def test_the_route_of_a_page_becomes_the_current_url() -> None:
    assert page_delta({"route": "/x", "filters": {}}) == {
        "page_state": {"route": "/x", "filters": {}},
        "current_url": "/x",
    }
    assert page_delta({"filters": {}}) == {"page_state": {"filters": {}}}
