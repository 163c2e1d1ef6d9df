"""The app and the archive: the app's query finds sessions archived by awictl; its own documents are never changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import ObjectId
from support.archives import NOW, ended, listed, mark_expired, overdue, saved, session, snapshot
from support.documents import AGENT_ID, APP_FILES, SESSION_ID, assert_same, compact, put
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.base import Archive, ArchiveQuery, Shape
from awictl.archive.chunks import Chunk
from awictl.archive.stats import ArchiveStats
from awictl.errors import NotFound, Refused

OTHER_AGENT = "5f0000000000000000000001"


@pytest.fixture
async def manager(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[StateManager]:
    """A manager with both servers."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as made:
        yield made


@pytest.fixture
def archive(manager: StateManager) -> Archive:
    return manager.required_archive()


def query_of_the_app(mongo: MongoServer, agent_id: str = AGENT_ID) -> list[dict[str, Any]]:
    """Run the app's query for an agent's ended sessions."""
    wanted = {"agentId": ObjectId(agent_id), "sessionActive": False}
    fields = {"currentState": 1, "actionHistory": 1, "statistics": 1, "sessionId": 1}
    return list(mongo.sessions.find(wanted, fields))


# -- documents of awictl


async def test_the_app_finds_sessions_archived_by_awictl(manager: StateManager, mongo: MongoServer) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", "/posts", session_id=SESSION_ID)
    await manager.initialize_session(OTHER_AGENT, "Other", session_id="sess_other")
    filters = {"tags": ["awi"], "price.max": 5, "$odd": None}
    await manager.update_state_with_delta(
        SESSION_ID,
        {"page_state": {"filters": filters, "pagination": {"cursor": 2, "total_pages": 16, "total_items": 157}}},
        {"action": "list_posts", "input": {"page": 2}, "observation": "Retrieved 10 posts"},
    )
    await manager.update_state_with_delta(SESSION_ID, {}, {"action": "search", "success": False})
    assert query_of_the_app(mongo) == []
    done = await manager.end_session(SESSION_ID)
    await manager.end_session("sess_other")

    [found] = query_of_the_app(mongo)
    assert found["sessionId"] == SESSION_ID
    state = found["currentState"]
    assert (state["currentRoute"], state["currentPage"]) == ("/posts", 2)
    pagination = {"currentPage": 2, "itemsPerPage": 10, "totalItems": 157, "totalPages": 16}
    assert state["pagination"] == pagination | {"hasNextPage": True, "hasPrevPage": True}
    assert state["activeFilters"]["tags"] == ["awi"] and len(state["activeFilters"]) == 3
    assert state["sortBy"] == {"field": "createdAt", "order": "desc"}
    history = found["actionHistory"]
    assert [one["action"] for one in history] == ["session_start", "list_posts", "search", "session_end"]
    assert all(isinstance(one["timestamp"], datetime) for one in history)
    assert history[1]["parameters"] == {"page": 2} and history[1]["observationSummary"] == "Retrieved 10 posts"
    assert [one.get("success") for one in history] == [None, True, False, None]
    assert found["statistics"] == {"totalActions": 2, "successfulActions": 1, "failedActions": 1}

    [whole] = mongo.sessions.find({"sessionId": SESSION_ID})
    assert (whole["agentName"], whole["sessionActive"]) == ("Agent", False)
    assert whole["sessionEndedAt"] == history[-1]["timestamp"] == datetime.fromisoformat(str(done.ended_at))
    assert whole["sessionStartedAt"] == history[0]["timestamp"] < whole["lastActivityAt"].replace(tzinfo=UTC)
    by_its_filter = mongo.sessions.find_one({"currentState.activeFilters.tags": "awi"}, {"sessionId": 1})
    assert by_its_filter is not None and by_its_filter["sessionId"] == SESSION_ID


@pytest.mark.parametrize("file", APP_FILES, ids=lambda file: file.stem)
async def test_the_app_finds_sessions_that_it_wrote_to_redis(
    manager: StateManager, valkey: ValkeyServer, mongo: MongoServer, file: Any
) -> None:
    document = json.loads(file.read_bytes())
    put(valkey, file.read_bytes(), document["session_id"])
    await manager.end_session(document["session_id"])
    [found] = query_of_the_app(mongo, document["agent_id"])
    names = [one["action"] for one in document["history"]["actions"]]
    assert [one["action"] for one in found["actionHistory"]] == [*names, "session_end"]
    assert found["currentState"]["currentRoute"] == document["page_state"]["route"]
    assert found["statistics"]["totalActions"] == document["statistics"]["total_actions"]


async def test_a_session_that_may_be_live_is_active_in_the_view(archive: Archive, mongo: MongoServer) -> None:
    await saved(archive, snapshot(session(2), ttl_ms=60_000))
    assert query_of_the_app(mongo) == []
    await archive.publish([SESSION_ID])
    assert mongo.sessions.count_documents({}) == 0, "the app may still want to save it there"
    [expired] = await overdue(archive, datetime(2027, 1, 1, tzinfo=UTC))
    assert await mark_expired(archive, [expired]) == 1
    assert [one async for one in archive.unpublished()] == [SESSION_ID]
    for _ in range(2):
        await archive.publish([SESSION_ID])
        [found] = query_of_the_app(mongo)
        assert found["sessionId"] == SESSION_ID
        assert [one async for one in archive.unpublished()] == []
    [view] = mongo.sessions.find()
    assert view["sessionEndedAt"] == expired.expires_at


async def test_a_view_is_taken_back(archive: Archive, mongo: MongoServer) -> None:
    """When the session is restored, or seen in Redis again: the app could not save its own document beside it."""
    done = snapshot(ended(session(2)))
    for again in (True, False):
        await saved(archive, done)
        await archive.publish([SESSION_ID])
        assert len(query_of_the_app(mongo)) == 1
        if again:
            await archive.withdraw([SESSION_ID])
            assert [one async for one in archive.unpublished()] == [SESSION_ID]
        else:
            await saved(archive, snapshot(session(5), ttl_ms=60_000))
            assert [one async for one in archive.unpublished()] == []
        assert mongo.sessions.count_documents({}) == 0


async def test_a_newer_version_replaces_the_view(archive: Archive, mongo: MongoServer) -> None:
    for updates, overwritten in ((2, 0), (5, 1)):
        await saved(archive, snapshot(ended(session(updates))))
        await archive.publish([SESSION_ID])
        [view] = query_of_the_app(mongo)
        assert len(view["actionHistory"]) == updates + 1 + overwritten, "the first end was overwritten"


async def test_a_document_of_the_app_is_not_replaced_by_a_view(archive: Archive, mongo: MongoServer) -> None:
    await saved(archive, snapshot(ended(session(2))))
    mongo.sessions.insert_one({"sessionId": SESSION_ID, "sessionActive": False, "sessionEndedAt": NOW})
    before = stored(mongo)
    await archive.publish([SESSION_ID])
    assert [one async for one in archive.unpublished()] == []
    await archive.withdraw([SESSION_ID])
    assert stored(mongo) == before
    assert await archive.ended_by_app([SESSION_ID, "sess_other"]) == {SESSION_ID: NOW}
    [listed_once] = await listed(archive)
    assert listed_once.shape is Shape.AWICTL, "what awictl archived has everything"
    found = await archive.load(SESSION_ID)
    assert found is not None and found.raw is not None


async def test_the_view_includes_trimmed_actions(valkey: ValkeyServer, mongo: MongoServer) -> None:
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri, max_actions=5)) as manager:
        await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
        for n in range(12):
            await manager.update_state_with_delta(SESSION_ID, {"n": n})
        await manager.end_session(SESSION_ID)
    [found] = query_of_the_app(mongo)
    assert [one["t"] for one in found["actionHistory"]] == list(range(14))


async def test_documents_of_both_programs_are_found(
    manager: StateManager, archive: Archive, mongo: MongoServer
) -> None:
    theirs = mongo.put_app_documents()
    await saved(archive, snapshot(ended(session(3))))
    await archive.publish([SESSION_ID])
    assert {one["sessionId"] for one in query_of_the_app(mongo)} == {
        SESSION_ID,
        "sess_1d921b557fb54766a6fb4f1a4add6392",
    }
    assert {one.session_id for one in await listed(archive)} == {SESSION_ID, *theirs}


# -- documents of the app


@pytest.fixture
def theirs(mongo: MongoServer) -> dict[str, bytes]:
    """The encoded documents of the app, by session id."""
    mongo.put_app_documents()
    return stored(mongo)


def stored(mongo: MongoServer) -> dict[str, bytes]:
    return {one["sessionId"]: bson.encode(one) for one in mongo.sessions.find().sort("sessionId", 1)}


async def test_documents_of_the_app_are_loaded_and_listed(archive: Archive, theirs: dict[str, bytes]) -> None:
    summaries = {one.session_id: one for one in await listed(archive)}
    assert summaries.keys() == theirs.keys()
    for session_id, summary in summaries.items():
        assert summary.shape is Shape.APP and summary.agent_id == AGENT_ID
        found = await archive.load(session_id)
        assert found is not None and found.summary == summary and found.raw is None
        assert found.document["session_id"] == session_id
        assert found.original is not None and found.original["sessionId"] == session_id
    assert [one.active for one in await listed(archive)] == [True, False], "the latest activity first"


async def test_documents_of_the_app_are_found_by_agent(archive: Archive, theirs: dict[str, bytes]) -> None:
    for agent in (AGENT_ID, "BrowserUseAgent"):
        assert {one.session_id for one in await listed(archive, ArchiveQuery(agent=agent))} == theirs.keys()
    assert await listed(archive, ArchiveQuery(agent=OTHER_AGENT)) == []
    assert await listed(archive, ArchiveQuery(failed=True)) == []


async def test_documents_of_the_app_are_in_the_statistics(archive: Archive, theirs: dict[str, bytes]) -> None:
    stats = ArchiveStats()
    async for summary in archive.find(ArchiveQuery(), action_counts=True):
        stats.add(summary)
    row = stats.row(5)
    assert (row["sessions"], row["active"], row["actions"], row["success_rate"]) == (2, 1, 3, 1.0)
    assert row["most_used_actions"] == [{"action": "list_posts", "count": 2, "failed": 0}]
    assert row["days"] == [{"day": "2026-11-23", "sessions": 2, "actions": 3, "failed_actions": 0}]


async def test_documents_of_the_app_are_found_by_the_manager(manager: StateManager, theirs: dict[str, bytes]) -> None:
    for session_id in theirs:
        found = await manager.find_session(session_id)
        assert found.stored is None and found.archived is not None
        live = found.archived.summary.active
        by = "a session of the app in MongoDB, which" if live else "archived by the app, which"
        assert f"{by} kept only a part of it" in found.origin
        page, _ = await manager.find_history(session_id, 2)
        assert page.total == len(found.document["history"]["actions"]) >= 2
        assert_same(page.trajectory, found.document["history"]["actions"][::-1][:2])


Writing = Callable[[StateManager, str], Coroutine[Any, Any, Any]]
WRITES: dict[str, Writing] = {
    "update": lambda manager, session_id: manager.update_state_with_delta(session_id, {"x": 1}),
    "page": lambda manager, session_id: manager.update_page_state(session_id, {"route": "/x"}),
    "pagination": lambda manager, session_id: manager.update_pagination(session_id, {"cursor": 1}),
    "touch": lambda manager, session_id: manager.touch_session(session_id),
    "end": lambda manager, session_id: manager.end_session(session_id),
    "restore": lambda manager, session_id: manager.restore_session(session_id),
    "restore, dry": lambda manager, session_id: manager.restore_session(session_id, dry_run=True),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_writing_to_documents_of_the_app_is_refused(
    manager: StateManager, mongo: MongoServer, valkey: ValkeyServer, theirs: dict[str, bytes], write: Writing
) -> None:
    for session_id in theirs:
        with pytest.raises(Refused, match="read-only") as raised:
            await write(manager, session_id)
        assert session_id in str(raised.value) and raised.value.exit_code == 4
        assert not isinstance(raised.value, NotFound)
    assert stored(mongo) == theirs
    assert list(valkey.raw.scan_iter()) == []


async def test_a_live_session_is_archived_beside_a_document_of_the_app(
    manager: StateManager, mongo: MongoServer, valkey: ValkeyServer, theirs: dict[str, bytes]
) -> None:
    """The app archived a session and then wrote it back to Redis: it can be ended, and nothing is lost."""
    for session_id in theirs:
        live = session(3, session_id)
        put(valkey, compact(live), session_id)
        await manager.end_session(session_id)
        assert valkey.raw.exists(f"AWI:SESSION:{session_id}") == 0
        found = await manager.get_archived_session(session_id)
        assert found is not None and len(found.document["history"]["actions"]) == 4
    assert stored(mongo) == theirs
    assert {one.shape for one in await listed(manager.required_archive())} == {Shape.AWICTL}


async def test_documents_of_the_app_are_never_marked_as_ended(
    archive: Archive, theirs: dict[str, bytes], mongo: MongoServer
) -> None:
    assert [one async for one in archive.live("")] == []
    assert stored(mongo) == theirs


async def test_trimmed_actions_under_the_same_id_do_not_change_documents_of_the_app(
    archive: Archive, theirs: dict[str, bytes], mongo: MongoServer
) -> None:
    for session_id in theirs:
        await archive.save_trimmed_actions(session_id, "x", Chunk(0, [{"t": 0}]))
        found = await archive.load(session_id)
        assert found is not None and len(found.document["history"]["actions"]) >= 2
    assert stored(mongo) == theirs
