"""Filters of actions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.documents import action

from awictl.document.history.action_filter import ActionFilter

#: The time of the actions below, and a minute later.
AT, LATER = datetime(2026, 11, 23, 7, 9, 41, 403_000, UTC), datetime(2026, 11, 23, 7, 10, tzinfo=UTC)
#: An action that failed, with texts in each field.
FAILED = action(7) | {
    "action": "search",
    "success": False,
    "input": {"q": 'say "Hi"', "Größe": 1},
    "delta": {"page_state": {"filters": {"tag": "news"}}},
    "observation": "not\tfound",
}


def test_no_condition_matches_every_action() -> None:
    assert ActionFilter().matches_all
    assert all(map(ActionFilter().matches, [FAILED, {}, None, 1, {"action": 1}]))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ActionFilter(names=["search"]), True),
        (ActionFilter(names=["next_page", "se*"]), True),
        (ActionFilter(names=["sear", "Search"]), False),
        (ActionFilter(failed=True), True),
        (ActionFilter(since=AT), True),
        (ActionFilter(since=LATER), False),
        (ActionFilter(until=LATER), True),
        (ActionFilter(until=AT), False),
        (ActionFilter(since=AT, until=AT), False),
        (ActionFilter(text="news"), True),
        (ActionFilter(text='"tag":"news"'), True),
        (ActionFilter(text='say "Hi"'), True),
        (ActionFilter(text="Größe"), True),
        (ActionFilter(text="not\tfound"), True),
        (ActionFilter(text="hi"), False),
        (ActionFilter(text="hi", ignore_case=True), True),
        (ActionFilter(text="GRÖSSE", ignore_case=True), True),
        (ActionFilter(text="search"), False),  # the name is not searched
        (ActionFilter(text="2026"), False),  # nor is the time
        (ActionFilter(names=["search"], failed=True, since=AT, text="news"), True),
        (ActionFilter(names=["search"], failed=True, since=AT, text="olds"), False),
    ],
)
def test_conditions(wanted: ActionFilter, expected: bool) -> None:
    assert not wanted.matches_all
    assert wanted.matches(FAILED) is expected


@pytest.mark.parametrize(
    "wanted", [ActionFilter(names=["*"]), ActionFilter(failed=True), ActionFilter(since=AT), ActionFilter(text="1")]
)
@pytest.mark.parametrize("stored", [None, 1, [], {}, {"action": 1, "success": 0, "timestamp": 1, "input": []}])
def test_values_of_another_type_fulfil_no_condition(wanted: ActionFilter, stored: Any) -> None:
    assert not wanted.matches(stored)
