"""The names of actions that awictl chooses: the app's schema accepts all of them."""

from __future__ import annotations

from typing import Any

import pytest

from awictl.document.schema import APP_ACTIONS, SESSION_END, SESSION_START, cached_query, new_document
from awictl.document.update import Update, action_of, ending
from awictl.document.validation import checked_update
from awictl.server.middleware.record_action import app_action


@pytest.mark.parametrize(
    ("delta", "name"),
    [
        ({"page_state": {"filters": {"tag": "awi"}, "pagination": {"cursor": 1}}}, "filter"),
        ({"page_state": {"sort": {"key": "date"}}}, "sort"),
        ({"page_state": {"filters": {}, "sort": {"key": "date"}}}, "sort"),
        ({"page_state": {"pagination": {"cursor": 2}}, "action_state": {}}, "paginate"),
        ({"page_state": {"pagination": {"cursor": 2}, "route": "/posts?page=2"}}, "list_posts"),
        ({"page_state": {"route": "/posts"}, "current_url": "/posts"}, "list_posts"),
        ({"page_state": "odd"}, "list_posts"),
        ({"page_state": {"filters": "odd", "sort": 1}}, "list_posts"),
        ({}, "list_posts"),
    ],
)
def test_an_update_without_a_name_gets_one_of_the_app(delta: dict[str, Any], name: str) -> None:
    assert action_of(delta) == Update(delta).action == checked_update(delta, {}, 10_000)[0].action == name
    assert name in APP_ACTIONS


def test_the_name_that_the_caller_gives_is_kept() -> None:
    assert (
        checked_update({"page_state": {"sort": {"a": 1}}}, {"action": "state_update"}, 100)[0].action == "state_update"
    )


def test_the_app_knows_the_start_and_the_end_of_a_session() -> None:
    start = new_document("sess_a", "a", "A", "/", "2026-11-23T10:00:00.000Z")["history"]["actions"][0]
    assert {start["action"], ending().action} == {SESSION_START, SESSION_END} <= APP_ACTIONS


@pytest.mark.parametrize("name", ["cache_query_results", "filter", "sort", "list_posts"])
def test_cached_queries_are_recognized_under_their_old_name_too(name: str) -> None:
    query = {"filters": {"a": 1}, "sort": {}, "result_count": 2}
    assert cached_query({"action": name, "input": query}) == query


@pytest.mark.parametrize("action", [None, {"action": "filter", "input": {"filters": {}}}, {"input": []}, 1])
def test_other_actions_are_no_cached_queries(action: Any) -> None:
    assert cached_query(action) is None


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/api/agent/posts", "list_posts"),
        ("GET", "/posts/", "list_posts"),
        ("HEAD", "/posts/7", "get_post"),
        ("POST", "/posts", "create_post"),
        ("PATCH", "/posts/7", "update_post"),
        ("PUT", "/posts/7/comments/1", "update_comment"),
        ("DELETE", "/posts/7", "delete_post"),
        ("GET", "/posts/7/comments", "list_comments"),
        ("POST", "/posts/7/comments", "create_comment"),
        ("GET", "/posts/search", "search"),
        ("GET", "/posts/7/comments/1", None),
        ("OPTIONS", "/posts", None),
        ("GET", "/", None),
        ("GET", "", None),
        ("GET", "/posts/7/likes/1", None),
    ],
)
def test_requests_that_the_app_has_a_name_for(method: str, path: str, name: str | None) -> None:
    assert app_action(method, path) == name
    assert name is None or name in APP_ACTIONS
