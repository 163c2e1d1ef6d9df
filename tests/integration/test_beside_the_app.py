"""awictl beside the Express app on the same keys and collections: neither loses what the other wrote (issue 14)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest
from support.archives import stamp
from support.documents import AGENT_ID, SESSION_ID, assert_same, session_key
from support.express_app import AppEnd, ExpressApp
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.base import Archived
from awictl.archive.sweep import Swept

#: A margin above the TTL: the sweep archives every session.
EVERY_SESSION_MS = 2_000_000


@pytest.fixture
async def manager(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[StateManager]:
    """A manager with both servers."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as made:
        yield made


@pytest.fixture
def app(valkey: ValkeyServer, mongo: MongoServer) -> ExpressApp:
    """The app, with one session."""
    made = ExpressApp(valkey, mongo)
    made.start()
    made.create(SESSION_ID, stamp())
    return made


async def swept(manager: StateManager) -> Swept:
    """Archive every live session; none may fail."""
    sweeper = manager.sweeper(EVERY_SESSION_MS)
    done = await sweeper.sweep(await sweeper.candidates())
    assert (done.failed, done.stopped) == ({}, None)
    return done


async def archived(manager: StateManager) -> Archived:
    found = await manager.get_archived_session(SESSION_ID)
    assert found is not None, "lost"
    return found


def numbers(archived_session: Archived) -> list[Any]:
    """The inputs of the actions that the app recorded."""
    return [one["input"]["n"] for one in archived_session.document["history"]["actions"] if "n" in one["input"]]


def update(app: ExpressApp, first: int, count: int) -> None:
    """Record actions in the app, numbered from `first` on."""
    for n in range(first, first + count):
        app.update(SESSION_ID, stamp(n), input={"n": n}, action="list_posts")


# -- F1: the app's end fails if its schema rejects the name of an action


async def test_f1_the_app_can_save_a_session_in_which_awictl_recorded_actions(
    manager: StateManager, app: ExpressApp
) -> None:
    await manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"action": "get_post"})
    await manager.update_pagination(SESSION_ID, {"cursor": 2})
    await manager.cache_query_results(SESSION_ID, {"tags": ["awi"]}, None, [{"id": 1}])
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.SAVED


async def test_f1_a_session_that_the_app_cannot_save_is_in_the_archive_and_marked_as_vanished(
    manager: StateManager, app: ExpressApp
) -> None:
    update(app, 0, 3)
    await manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"action": "own_name", "input": {"n": 3}})
    await swept(manager)
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.INVALID
    assert numbers(await archived(manager)) == [0, 1, 2, 3]
    await swept(manager)
    found = await archived(manager)
    assert numbers(found) == [0, 1, 2, 3] and found.summary.gaps == ()
    assert found.summary.state.value == "vanished" and found.summary.ended_at is None
    assert found.summary.last_seen_at is not None


# -- F2: the app's end fails if awictl has a document of the session in the app's collection


async def test_f2_the_app_can_save_a_live_session_that_was_archived(manager: StateManager, app: ExpressApp) -> None:
    update(app, 0, 3)
    await swept(manager)
    update(app, 3, 2)
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.SAVED
    assert numbers(await archived(manager)) == [0, 1, 2], "the last snapshot"
    await swept(manager)
    found = await archived(manager)
    assert numbers(found) == [0, 1, 2] and found.summary.state.value == "ended"


async def test_f2_the_app_can_save_a_session_that_was_ended_and_restored(
    manager: StateManager, app: ExpressApp, mongo: MongoServer
) -> None:
    update(app, 0, 3)
    await manager.end_session(SESSION_ID)
    assert mongo.sessions.count_documents({"sessionId": SESSION_ID, "sessionActive": False}) == 1, "the app's view"
    await manager.restore_session(SESSION_ID)
    assert mongo.sessions.count_documents({}) == 0
    update(app, 3, 2)
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.SAVED
    [saved] = mongo.sessions.find()
    assert [one["action"] for one in saved["actionHistory"]].count("list_posts") == 5
    assert numbers(await archived(manager)) == [0, 1, 2]


async def test_f2_the_app_can_save_a_session_that_expired_and_was_restored(
    manager: StateManager, app: ExpressApp, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    update(app, 0, 3)
    await swept(manager)
    valkey.raw.delete(session_key())
    await swept(manager)
    await manager.restore_session(SESSION_ID)
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.SAVED


# -- F3: the app keeps its last 100 actions, the archive keeps all of them


async def test_f3_a_shorter_later_snapshot_does_not_replace_an_earlier_one(
    manager: StateManager, app: ExpressApp
) -> None:
    update(app, 0, 80)
    await swept(manager)
    update(app, 80, 100)
    await swept(manager)
    found = await archived(manager)
    assert [one["action"] for one in found.document["history"]["actions"]] == ["session_start"] + ["list_posts"] * 180
    assert numbers(found) == list(range(180)) and found.summary.gaps == ()


async def test_f3_what_no_snapshot_had_is_recorded_as_a_gap(manager: StateManager, app: ExpressApp) -> None:
    update(app, 0, 80)
    await swept(manager)
    update(app, 80, 150)
    await swept(manager)
    found = await archived(manager)
    assert numbers(found) == [*range(80), *range(130, 230)]
    assert [tuple(gap) for gap in found.summary.gaps] == [(81, 130)], "ordinals: session_start has the first"
    update(app, 230, 300)
    await manager.end_session(SESSION_ID)
    found = await archived(manager)
    assert numbers(found) == [*range(80), *range(130, 230), *range(430, 530)]
    assert [tuple(gap) for gap in found.summary.gaps] == [(81, 130), (231, 430)]


# -- F5: the app archived a session, and then wrote it back


async def test_f5_a_session_that_the_app_archived_and_wrote_back_is_swept(
    manager: StateManager, app: ExpressApp, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    update(app, 0, 3)
    late = app.read(SESSION_ID)
    assert late is not None
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.SAVED
    saved = bson.encode(mongo.sessions.find_one({}) or {})
    app.write(late)
    update(app, 3, 2)
    valkey.raw.expire(session_key(), 60)
    for _ in range(2):
        sweeper = manager.sweeper(EVERY_SESSION_MS)
        done = await sweeper.sweep(await sweeper.candidates())
        assert (done.archived, done.failed, done.held) == (1, {}, 0)
    assert 0 < valkey.raw.ttl(session_key()) <= 60, "it may expire"
    assert numbers(await archived(manager)) == [0, 1, 2, 3, 4]
    await manager.end_session(SESSION_ID)
    assert numbers(await archived(manager)) == [0, 1, 2, 3, 4]
    assert [bson.encode(one) for one in mongo.sessions.find()] == [saved], "the app's document stays as it is"


# -- F6: the defaults of the app's schema


async def test_f6_defaults_of_the_schema_are_not_facts(manager: StateManager, app: ExpressApp) -> None:
    update(app, 0, 3)
    assert app.end(SESSION_ID, stamp(9)) is AppEnd.SAVED
    found = await archived(manager)
    assert found.original is not None and found.original["currentState"]["currentRoute"] == "/api/agent/posts"
    assert found.summary.route is None and "current_url" not in found.document
    assert found.document["agent_id"] == AGENT_ID
    page = found.document.get("page_state", {})
    assert not any(page.get(name) for name in ("route", "pagination", "filters", "sort")), page
    assert_same(found.document["statistics"]["total_actions"], 3)
