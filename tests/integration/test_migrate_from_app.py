"""`migrate --from-app`: the app's own live sessions in MongoDB become sessions; its documents stay as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.decision import ArchivedState
from awictl.diagnostics.doctor.examine import examine
from awictl.diagnostics.doctor.report import Status
from awictl.errors import InvalidData
from awictl.sessions.migration.result import MigrationResult

LEGACY, AGENT = "sess_54e212d38eff4db897aea579350674e7", "69639c869d21a04f2375aa8b"


@pytest.fixture(params=["redis", "mongo"])
async def manager(
    request: pytest.FixtureRequest, valkey: ValkeyServer, mongo: MongoServer
) -> AsyncIterator[StateManager]:
    """A manager that uses the target, Redis or MongoDB."""
    settings = valkey.settings(mongodb_uri=mongo.uri)
    async with StateManager.open(replace(settings, use_redis=request.param == "redis")) as opened:
        yield opened


async def migrate(manager: StateManager, **options: Any) -> MigrationResult:
    to_redis = manager.settings.use_redis
    async with manager.migration(to_redis=to_redis, from_app=True, **options) as migration:
        return await migration.run()


def put_legacy(mongo: MongoServer, idle: timedelta = timedelta(minutes=1), **fields: Any) -> dict[str, Any]:
    """Insert the app's live session, last used some time ago; it expires 24 hours after its start."""
    documents = mongo.put_app_documents(last_active=datetime.now(UTC) - idle)
    mongo.sessions.update_one({"sessionId": LEGACY}, {"$set": fields} if fields else {"$set": {"agentName": "Agent"}})
    return documents[LEGACY]


def in_app(mongo: MongoServer) -> list[bytes]:
    return sorted(bson.encode(one) for one in mongo.sessions.find({"awi": {"$exists": False}}))


async def test_an_active_session_of_the_app_goes_on(manager: StateManager, mongo: MongoServer) -> None:
    put_legacy(mongo)
    before = in_app(mongo)
    dry = await migrate(manager, dry_run=True)
    assert dry.counts.from_app == 1 and await manager.get_session_state(LEGACY) is None
    done = await migrate(manager)
    assert (done.counts.from_app, done.counts.found, done.exceptions) == (1, 0, [])

    document = await manager.get_session_state(LEGACY)
    assert document is not None
    assert (document["session_id"], document["agent_id"], document["agent_name"]) == (LEGACY, AGENT, "Agent")
    assert document["current_url"] == "/api/agent/posts"
    page = document["page_state"]
    assert page["filters"] == {"tags": ["awi"], "category": "tech"}
    assert page["pagination"] == {"cursor": 2, "total_pages": 16, "page_size": 10, "total_items": 157}
    assert document["action_state"]["available_actions"] == ["previous_page", "next_page", "create_post"]
    actions = document["history"]["actions"]
    assert [(one["t"], one["action"], one["success"]) for one in actions] == [
        (0, "session_start", True), (1, "list_posts", True),
    ]  # fmt: skip
    assert actions[1]["input"] == {"page": 2} and actions[1]["statusCode"] == 200  # the app's own fields stay
    assert document["statistics"]["total_actions"] == 2 and document["permissions"] and document["query_cache"]
    found = await manager.find_session_for_agent(AGENT)
    assert found == LEGACY
    [listed] = await manager.store.list([LEGACY])
    day_ms = 24 * 3_600_000
    assert listed.error is None and day_ms - 600_000 < (listed.ttl_ms or 0) < day_ms

    # it can be used, ended and archived like any other
    updated = await manager.apply(LEGACY, {"n": 1}, {"action": "filter"})
    assert updated.action is not None and updated.action["t"] == 2
    assert (await manager.end_session(LEGACY)).actions == 4
    archived = await manager.get_archived_session(LEGACY)
    assert archived is not None and archived.raw is not None and archived.summary.state is ArchivedState.ENDED
    assert in_app(mongo) == before

    # it is not copied again
    again = await migrate(manager)
    assert again.counts.from_app == 0 and again.counts.skipped == 1
    [one] = again.exceptions
    assert (one.session_id, one.outcome, one.error) == (LEGACY, "skipped", None) and mongo.uri in (one.reason or "")
    assert await manager.get_session_state(LEGACY) is None


async def test_a_session_that_is_live_already_is_skipped(manager: StateManager, mongo: MongoServer) -> None:
    put_legacy(mongo)
    await migrate(manager)
    await manager.apply(LEGACY, {"n": 1})
    raw = await manager.store.read(LEGACY)
    again = await migrate(manager)
    assert [(one.session_id, one.outcome) for one in again.exceptions] == [(LEGACY, "skipped")]
    after = await manager.store.read(LEGACY)
    assert raw is not None and after is not None and after.raw == raw.raw


async def test_only_active_sessions_are_copied(manager: StateManager, mongo: MongoServer) -> None:
    put_legacy(mongo, timedelta(hours=25))  # expired
    [template] = mongo.sessions.find({"sessionId": LEGACY})
    now = datetime.now(UTC)
    cases: dict[str, dict[str, Any]] = {
        "sess_ended": {"sessionActive": False, "expiresAt": now + timedelta(hours=1)},
        "sess_no_expiry": {"expiresAt": None},
        "sess_soon": {"expiresAt": now + timedelta(minutes=1)},
        "sess_of_awictl": {"expiresAt": now + timedelta(hours=1), "awi": {"format": 1}},
        "not a session": {"expiresAt": now + timedelta(hours=1)},
    }
    for name, fields in cases.items():
        del template["_id"]
        template |= {"sessionId": name, "sessionActive": True}
        mongo.sessions.insert_one({**template, **fields})
        template["_id"] = None
    done = await migrate(manager)
    assert done.counts.from_app == 2 and done.counts.failed == 1
    [wrong] = [one for one in done.exceptions if one.outcome == "failed"]
    assert isinstance(wrong.error, InvalidData) and "not a session" in str(wrong.error)
    ttls = {one.session_id: one.ttl_ms or 0 for one in await manager.store.lifetimes(["sess_no_expiry", "sess_soon"])}
    assert 0 < ttls["sess_soon"] <= 60_000 < ttls["sess_no_expiry"] <= manager.settings.session_ttl_ms
    assert await manager.store.lifetimes([LEGACY, "sess_ended", "sess_of_awictl"]) == []


async def test_the_latest_session_becomes_the_current_one(manager: StateManager, mongo: MongoServer) -> None:
    put_legacy(mongo)
    [latest] = mongo.sessions.find({"sessionId": LEGACY})
    for minutes in (30, 10, 20):
        older = {**latest, "lastActivityAt": latest["lastActivityAt"] - timedelta(minutes=minutes)}
        del older["_id"]
        mongo.sessions.insert_one({**older, "sessionId": f"sess_{minutes}"})
    done = await migrate(manager)
    assert done.counts.from_app == 4
    assert {(one.session_id, one.outcome, one.agent_session) for one in done.exceptions} == {
        (f"sess_{minutes}", "mapped", LEGACY) for minutes in (10, 20, 30)
    }
    assert await manager.find_session_for_agent(AGENT) == LEGACY


@pytest.mark.parametrize("manager", ["redis"], indirect=True)
async def test_doctor_warns_that_the_app_cannot_end_it(manager: StateManager, mongo: MongoServer) -> None:
    """The app deletes it from Redis, and then cannot insert a second document of it."""
    put_legacy(mongo)
    await migrate(manager)
    report, _ = await examine(manager)
    [check] = [one for one in report.checks if one.name == "end by the app"]
    assert check.status is Status.WARN
    assert any(LEGACY in one and "copied from a document of the app" in one for one in check.examples)
