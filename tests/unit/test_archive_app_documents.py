"""Converting the app's own documents to sessions: no field is lost, and no missing field is invented."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, DatetimeMS, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp, json_util
from hypothesis import given
from hypothesis import strategies as st
from material import DATA, stored_values
from support.documents import AGENT_ID

from awictl.archive.base import Shape
from awictl.archive.mongo.app_documents import archived, session_document, summary
from awictl.archive.mongo.values import as_datetime, to_json
from awictl.archive.trajectory import ActionCount
from awictl.document.json_codec import dumps, loads

NAMES = ("archived", "legacy")


def read(name: str) -> dict[str, Any]:
    """Return a document of the app as pymongo returns it."""
    found: dict[str, Any] = json_util.loads((DATA / f"mongo_{name}_session.ejson").read_text())
    return found


def test_the_summary_of_an_archived_session() -> None:
    found = summary(read("archived"))
    assert (found.session_id, found.agent_id) == ("sess_1d921b557fb54766a6fb4f1a4add6392", AGENT_ID)
    assert (found.agent_name, found.route) == ("BrowserUseAgent", None), "the route is a default of the app's schema"
    assert found.started_at == datetime.fromtimestamp(1795417781.747, UTC).replace(microsecond=747_000)
    assert found.ended_at == found.started_at.replace(microsecond=752_000)
    assert found.last_activity_at == found.started_at.replace(microsecond=764_000)
    assert (found.active, found.shape, found.bytes) == (False, Shape.APP, None)
    assert (found.total_actions, found.successful_actions, found.failed_actions) == (1, 1, 0)
    assert found.action_counts == {"list_posts": ActionCount(1, 0)}, (
        "the start and the end of a session are not counted"
    )
    assert found.duration_ms == 17


def test_the_summary_of_a_legacy_session() -> None:
    found = summary(read("legacy"))
    assert (found.session_id, found.agent_id) == ("sess_54e212d38eff4db897aea579350674e7", AGENT_ID)
    assert (found.active, found.ended_at, found.shape) == (True, None, Shape.APP)
    assert (found.total_actions, found.successful_actions, found.failed_actions) == (2, 2, 0)
    assert found.action_counts == {"list_posts": ActionCount(1, 0)}


def test_the_document_of_an_archived_session() -> None:
    document = session_document(read("archived"))
    assert document["session_id"] == "sess_1d921b557fb54766a6fb4f1a4add6392"
    assert document["agent_id"] == AGENT_ID
    assert [(one["t"], one["action"]) for one in document["history"]["actions"]] == [
        (0, "session_start"),
        (1, "list_posts"),
        (2, "session_end"),
    ]
    assert document["history"]["actions"][1] == {
        "t": 1, "action": "list_posts", "timestamp": "2026-11-23T07:09:41.750Z", "success": True,
    }  # fmt: skip
    assert document["history"]["last_action"] == document["history"]["actions"][-1]
    assert document["statistics"]["session_end"] == "2026-11-23T07:09:41.752Z"
    assert document.keys() == {
        "session_id", "agent_id", "agent_name", "history", "statistics", "last_updated",
    }, "fields that are missing, or have their default in the app's schema, are left out"  # fmt: skip
    assert "last_activity" not in document["statistics"], "the time at which the app archived it, after its end"


def test_the_document_of_a_legacy_session() -> None:
    document = session_document(read("legacy"))
    assert document["page_state"]["pagination"] == {"cursor": 2, "total_pages": 16, "page_size": 10, "total_items": 157}
    assert document["page_state"].keys() == {"pagination", "filters"}, "route and order have their defaults"
    assert document["page_state"]["filters"] == {"tags": ["awi"], "category": "tech"}
    assert document["statistics"]["last_activity"] == "2026-11-23T07:09:41.860Z"
    assert document["action_state"]["available_actions"] == ["previous_page", "next_page", "create_post"]
    last = document["history"]["last_action"]
    assert (last["input"], last["observation"]) == ({"page": 2}, "Retrieved 10 posts (page 2)")
    assert (last["method"], last["endpoint"], last["statusCode"]) == ("GET", "/api/agent/posts?page=2", 200)
    assert last["stateSnapshot"]["pagination"]["totalPages"] == 16
    assert "session_end" not in document["statistics"]


FACTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"currentRoute": "/api/agent/comments"}, {"route": "/api/agent/comments"}),
    ({"currentPage": 2}, {"pagination": {"cursor": 2}}),
    ({"pagination": {"currentPage": 3, "itemsPerPage": 10}}, {"pagination": {"cursor": 3, "page_size": 10}}),
    ({"pagination": {"currentPage": 1, "itemsPerPage": 20}}, {"pagination": {"cursor": 1, "page_size": 20}}),
    ({"activeFilters": {"tags": [], "search": "awi"}}, {"filters": {"search": "awi"}}),
    ({"sortBy": {"field": "createdAt", "order": "asc"}}, {"sort": {"key": "createdAt", "order": "asc"}}),
    ({"currentRoute": None, "pagination": {}, "activeFilters": {}, "sortBy": {"order": "desc"}}, {}),
]


@pytest.mark.parametrize(("changed", "wanted"), FACTS, ids=str)
def test_a_value_that_differs_from_its_default_is_a_fact(changed: dict[str, Any], wanted: dict[str, Any]) -> None:
    document = read("archived")
    document["currentState"] |= changed
    assert session_document(document).get("page_state", {}) == wanted
    assert summary(document).route == wanted.get("route")
    assert archived(document).original["currentState"] == document["currentState"], "complete"  # type: ignore[index]


@pytest.mark.parametrize("name", NAMES)
def test_documents_of_the_app_become_json_without_raw_bytes(name: str) -> None:
    found = archived(read(name))
    assert found.raw is None and found.summary.shape is Shape.APP
    for value in (found.document, found.original, found.summary.row()):
        assert loads(dumps(value)) == json.loads(json.dumps(value)) == value
    assert found.original is not None and found.original["_id"] == str(read(name)["_id"])
    assert found.original["actionHistory"][0]["timestamp"].endswith("Z")
    assert found.original.keys() == read(name).keys(), "complete"


@pytest.mark.parametrize("name", NAMES)
def test_each_field_may_be_missing_or_of_another_type(name: str) -> None:
    for field in (*read(name), "sessionEndedAt"):
        for odd in (None, 5, "x", [], {}, [None, 5, "x", {}], {"x": 1}, ObjectId(), True, float("nan")):
            document = read(name)
            document[field] = odd
            found = archived(document)
            json.dumps([found.document, found.original, found.summary.row()])
        document = read(name)
        document.pop(field, None)
        json.dumps([archived(document).document, archived(document).summary.row()])


VALUES = [
    (datetime(2026, 1, 2, 3, 4, 5, 678_999), "2026-01-02T03:04:05.678Z"),
    (datetime(2026, 1, 2, 3, 4, 5, 678_999, UTC), "2026-01-02T03:04:05.678Z"),
    (ObjectId(AGENT_ID), AGENT_ID),
    (Int64(2**62), 2**62),
    (b"\0\xff", base64.b64encode(b"\0\xff").decode()),
    (Binary(b"ab", 4), base64.b64encode(b"ab").decode()),
    (Decimal128("1.10"), "1.10"),
    (True, True),
    (None, None),
    (1.5, 1.5),
    ({"a": [ObjectId(AGENT_ID), {"b": Int64(1)}]}, {"a": [AGENT_ID, {"b": 1}]}),
]


@pytest.mark.parametrize(("value", "wanted"), VALUES, ids=ascii)
def test_bson_values_become_json(value: Any, wanted: Any) -> None:
    found = to_json(value)
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize("value", [Regex("a"), MaxKey(), Timestamp(1, 2)], ids=repr)
def test_other_bson_values_become_strings(value: Any) -> None:
    assert isinstance(to_json(value), str)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_not_exported(value: float) -> None:
    """Exports must be valid JSON."""
    document = read("legacy")
    document["actionHistory"][1]["parameters"] = {"x": value}
    text = dumps(archived(document).document).decode()
    assert "NaN" not in text and "Infinity" not in text


@given(stored_values)
def test_json_values_are_unchanged(value: Any) -> None:
    assert to_json(value) == value


def test_dates_get_a_time_zone() -> None:
    assert as_datetime(datetime(2026, 1, 1)) == datetime(2026, 1, 1, tzinfo=UTC)
    assert [as_datetime(odd) for odd in (None, "2026-01-01", 5, {})] == [None] * 4


@given(st.integers(0, 9))
def test_actions_are_numbered_by_their_position(count: int) -> None:
    document = read("archived") | {"actionHistory": [{"action": f"a{n}"} for n in range(count)]}
    assert [one["t"] for one in session_document(document)["history"]["actions"]] == list(range(count))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (1_000_000_000_000_000, "+033658-09-27T01:46:40.000Z"),
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
        (-62_198_755_200_000, "-000001-01-01T00:00:00.000Z"),
        (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
    ],
)
def test_dates_of_any_year_are_printed_as_javascript_does(milliseconds: int, text: str) -> None:
    assert to_json({"at": DatetimeMS(milliseconds)}) == {"at": text}
