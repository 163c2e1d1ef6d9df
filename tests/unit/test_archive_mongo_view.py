"""The app's view of an archived session: MongoDB can store and query it, whatever the session document contains."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from material import SESSIONS, json_values, load, nested, raw, stored_texts
from support.archives import NOW, ended, incompressible, session, snapshot
from support.documents import AGENT_ID

from awictl.archive.compression import compress, decompress
from awictl.archive.merged_trajectory import MergedTrajectory
from awictl.archive.mongo.app_view import app_agent_id, app_view
from awictl.archive.mongo.documents import INLINE_BYTES, PART_BYTES, document_of
from awictl.archive.mongo.stored_bytes import part_names
from awictl.archive.snapshot import Snapshot
from awictl.archive.values import parse_datetime
from awictl.document.json_codec import dumps

MAX_BSON = 16 * 1024 * 1024
#: Maximum nesting of a MongoDB document.
MAX_DEPTH = 100


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a session, without its parts, as it would be read from MongoDB."""
    taken = snapshot(document, raw=dumps(document))
    made, parts = document_of(taken, MergedTrajectory(counts=taken.action_counts), NOW)
    encoded = bson.encode(made | {"view": app_view(taken)})
    assert len(bson.encode(made)) < MAX_BSON and len(bson.encode(app_view(taken))) < MAX_BSON
    for part in parts:
        assert len(bson.encode(part._doc)) < MAX_BSON  # type: ignore[union-attr, arg-type]
    found: dict[str, Any] = bson.decode(encoded)
    assert all("." not in name and not name.startswith("$") and "\0" not in name for name in names(found))
    assert depth_of(found) <= MAX_DEPTH
    packed = found.get("packed") or b"".join(part._doc["packed"] for part in parts)  # type: ignore[union-attr]
    assert decompress(packed, found["digest"], "") == taken.raw
    view: dict[str, Any] = found.pop("view")
    return found | view


def names(value: Any) -> Iterator[str]:
    """Iterate over all keys in a document, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from names(item)
    elif isinstance(value, list):
        for item in value:
            yield from names(item)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


# -- the fields of the app


@pytest.mark.parametrize("name", SESSIONS)
def test_the_view_of_documents_that_the_app_wrote(name: str) -> None:
    document = load(name)
    found = stored(document)
    page, statistics = document["page_state"], document["statistics"]
    assert found["sessionId"] == document["session_id"]
    assert found["agentId"] == ObjectId(AGENT_ID)
    assert found["agentName"] == document["agent_name"]
    assert (found["sessionActive"], found["sessionEndedAt"]) == (True, None)
    state = found["currentState"]
    assert (state["currentRoute"], state["currentPage"]) == (page["route"], page["pagination"]["cursor"])
    assert state["pagination"]["totalItems"] == page["pagination"]["total_items"]
    assert state["activeFilters"] == page["filters"]
    assert state["sortBy"] == {"field": page["sort"]["key"], "order": page["sort"]["order"]}
    assert found["statistics"] == {
        "totalActions": statistics["total_actions"],
        "successfulActions": statistics["successful_actions"],
        "failedActions": statistics["failed_actions"],
    }
    assert [one["action"] for one in found["actionHistory"]] == [
        one["action"] for one in document["history"]["actions"]
    ]
    assert [one["t"] for one in found["actionHistory"]] == [one["t"] for one in document["history"]["actions"]]
    enabled = [one["action"] for one in found["availableActions"] if one["enabled"]]
    assert enabled == document["action_state"]["available_actions"]


def test_timestamps_become_dates() -> None:
    document = ended(session(3))
    view = app_view(snapshot(document))
    assert view["sessionStartedAt"] == parse_datetime(document["statistics"]["session_start"])
    assert view["lastActivityAt"] == parse_datetime(document["last_updated"])
    assert view["sessionEndedAt"] == view["actionHistory"][-1]["timestamp"] == parse_datetime(document["last_updated"])
    assert view["sessionActive"] is False


def test_actions_have_parameters_and_observations() -> None:
    document = session(1)
    document["history"]["actions"][0] |= {"input": {"a.b": 1}, "observation": {"$set": 2}, "success": False}
    [shown] = app_view(snapshot(document))["actionHistory"]
    assert (shown["parameters"], shown["observationSummary"]) == ({"a．b": 1}, {"＄set": 2})
    assert shown["success"] is False


@pytest.mark.parametrize(
    ("agent_id", "shown"),
    [
        (AGENT_ID, ObjectId(AGENT_ID)),
        (AGENT_ID.upper(), ObjectId(AGENT_ID)),
        (AGENT_ID[:-1], AGENT_ID[:-1]),
        (AGENT_ID + "\n", AGENT_ID + "\n"),
        ("٣" * 24, "٣" * 24),
        ("x" * 12, "x" * 12),
        ("", ""),
        (None, None),
        ("\ud800", "?"),
    ],
    ids=ascii,
)
def test_agent_ids(agent_id: str | None, shown: ObjectId | str | None) -> None:
    assert app_agent_id(agent_id) == shown


# -- any content

texts = stored_texts | st.sampled_from(["", ".", "a.b", "$", "$set", "$$ROOT", "\0", "a\0b", "__proto__", "_id", "0"])
anything = json_values(texts)
FIELDS = ("agent_id", "agent_name", "page_state", "action_state", "statistics", "last_updated", "user_id", "a.b")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    made = session(2)
    for name in draw(st.lists(st.sampled_from(FIELDS), unique=True)):
        made[name] = draw(anything)
    for name in ("route", "filters", "sort", "pagination"):
        if isinstance(made["page_state"], dict) and draw(st.booleans()):
            made["page_state"][name] = draw(anything)
    for name in ("cursor", "total_pages", "page_size"):
        if isinstance(made["page_state"], dict) and isinstance(made["page_state"].get("pagination"), dict):
            made["page_state"]["pagination"][name] = draw(anything)
    made["history"]["actions"] += draw(st.lists(anything, max_size=2))
    for name in ("input", "observation", "success", "action", "timestamp", "t", "delta"):
        if draw(st.booleans()):
            made["history"]["actions"][0][name] = draw(anything)
    if isinstance(made["action_state"], dict):
        made["action_state"]["available_actions"] = draw(anything | st.lists(anything, max_size=3))
    if isinstance(made["statistics"], dict):
        made["statistics"]["session_start"] = draw(anything)
    return made


@settings(max_examples=80)
@given(documents())
def test_any_document_can_be_stored(document: dict[str, Any]) -> None:
    stored(document)


@pytest.mark.parametrize(
    "value",
    [
        2**64 - 1, 2**63, 2**63 - 1, -(2**63), 1.7976931348623157e308, 5e-324, -0.0, 1e300,
        "\ud800", "\0", "😀" * 10, {"": {"": {"": 1}}}, {"\0": 1, "␀": 2}, {"a.b": 1, "a．b": 2}, {"$oid": "x"},
        {"$date": 5}, nested(200), nested(200, {"a.b": {"$c": "\ud800"}}), nested(600), {"_id": [1], "_bsontype": "x"},
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_values_that_bson_cannot_represent_directly(value: Any) -> None:
    document = session(2, agent_name=value)
    document["page_state"] |= {"route": value, "filters": value, "sort": {"key": value, "order": value}}
    document["page_state"]["pagination"] = {"cursor": value, "total_pages": value, "x": value}
    document["history"]["actions"][0] |= {"input": value, "observation": value, "action": value, "success": value}
    document["history"]["actions"].append(value)
    stored(document)


def test_numbers_are_exact_to_64_bits() -> None:
    document = session(1)
    document["page_state"]["filters"] = {"max": 2**63 - 1, "min": -(2**63), "more": 2**64 - 1, "yes": True}
    filters = stored(document)["currentState"]["activeFilters"]
    assert filters == {"max": 2**63 - 1, "min": -(2**63), "more": float(2**64 - 1), "yes": True}
    assert isinstance(filters["more"], float) and filters["yes"] is True


def test_deeply_nested_values_become_json_strings() -> None:
    document = session(1)
    document["page_state"]["filters"] = nested(200, "inmost")
    value = stored(document)["currentState"]["activeFilters"]
    while isinstance(value, list):
        [value] = value
    assert isinstance(value, str) and '"inmost"' in value


# -- any size

BIG = 17_000_000


def hexes(size: int, seed: int = 1) -> str:
    return random.Random(seed).randbytes(size // 2).hex()


BIG_FIELDS: dict[str, dict[str, Any]] = {
    "agent_name": {"agent_name": "x" * BIG},
    "agent_id": {"agent_id": "x" * BIG},
    "route": {"page_state": {"route": "x" * BIG}},
    "filters": {"page_state": {"filters": {"a": "x" * BIG}}},
    "filters of small values": {"page_state": {"filters": [0] * 1_500_000}},
    "sort": {"page_state": {"sort": {"key": "x" * BIG, "order": "y" * BIG}}},
    "cursor": {"page_state": {"pagination": {"cursor": "x" * BIG, "total_pages": "y" * BIG}}},
    "an available action": {"action_state": {"available_actions": ["x" * BIG]}},
    "many available actions": {"action_state": {"available_actions": ["x"] * 400_000}},
    "large available actions": {"action_state": {"available_actions": ["x" * 20_000] * 1_000}},
    "unknown": {"unknown": {"x" * BIG: "y" * BIG}},
}


@pytest.mark.parametrize("others", BIG_FIELDS.values(), ids=BIG_FIELDS.keys())
def test_big_fields(others: dict[str, Any]) -> None:
    stored(session(2, **others))


BIG_ACTIONS: dict[str, list[Any]] = {
    "an input": [{"t": 0, "action": "a", "input": {"text": "x" * BIG}}],
    "an observation": [{"t": 0, "action": "a", "observation": "x" * BIG}],
    "a name": [{"t": 0, "action": "x" * BIG}],
    "a timestamp": [{"t": 0, "action": "a", "timestamp": "x" * BIG}],
    "no object": ["x" * BIG],
    "many": [{"t": t, "action": "a"} for t in range(30_000)],
    "many with names": [{"t": t, "action": f"{t}" + "🙂" * 150} for t in range(5_000)],
    "many that are no objects": [0] * 60_000,
}


@pytest.mark.parametrize("actions", BIG_ACTIONS.values(), ids=BIG_ACTIONS.keys())
def test_big_trajectories(actions: list[Any]) -> None:
    document = session(0)
    document["history"]["actions"] = actions
    found = stored(document)
    assert [one["action"] for one in found["actionHistory"][-1:]] != []


def test_a_long_trajectory_is_cut_to_its_newest_actions() -> None:
    document = incompressible(100, 80_000)
    history = stored(document)["actionHistory"]
    shown = [one["t"] for one in history]
    assert shown == list(range(100 - len(shown), 100)) and 20 < len(shown) < 100
    assert history[-1]["parameters"] == document["history"]["actions"][-1]["input"]


@pytest.mark.soak
def test_all_parts_of_a_document_at_their_maximum_size() -> None:
    """The bytes and the action counts share the 16 MiB of one document."""
    room = 520_000
    chance = random.Random(2)
    names = ["".join(chr(chance.randrange(0x10000, 0x10400)) for _ in range(200)) for _ in range(1_000)]
    actions: list[Any] = [{"t": t, "action": name} for t, name in enumerate(names)]
    actions += [{"t": 1_000 + t, "action": "a", "input": hexes(100_000, t)} for t in range(60)]
    document = session(0)
    document["history"] = {"actions": actions, "last_action": actions[-1]}
    document["page_state"] = {
        "route": hexes(room, 101),
        "filters": hexes(room, 102),
        "sort": {"key": hexes(room, 103)},
        "pagination": {"cursor": hexes(room, 104)},
    }
    size = len(compress(dumps(document)))
    blob = base64.b85encode(chance.randbytes(INLINE_BYTES)).decode()
    document["unknown"] = blob[: int((INLINE_BYTES - size - 10_000) * 1.2)]
    packed = stored(document).get("packed", b"")
    assert INLINE_BYTES * 0.95 < len(packed) <= INLINE_BYTES, "this tests the largest document that is not split"


@pytest.mark.soak
def test_large_incompressible_bytes_are_split() -> None:
    taken = snapshot(incompressible(170, 100_000))
    made, parts = document_of(taken, MergedTrajectory(), NOW)
    assert "packed" not in made and made["parts"] == len(parts) >= 2
    assert [part._doc["_id"] for part in parts] == part_names(taken.session_id, taken.digest, len(parts))  # type: ignore[union-attr]
    assert all(len(part._doc["packed"]) == PART_BYTES for part in parts[:-1])  # type: ignore[union-attr]


def test_creating_the_view_does_not_change_the_snapshot() -> None:
    taken = Snapshot.parse(load(SESSIONS[2])["session_id"], raw(SESSIONS[2]))
    app_view(taken)
    assert taken.document == json.loads(taken.raw)
