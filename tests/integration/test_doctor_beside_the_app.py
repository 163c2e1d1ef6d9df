"""What the doctor says of sessions that the Express app works on, too."""

from __future__ import annotations

from typing import Any

import bson.json_util
import pytest
from support.cli import Cli
from support.documents import AGENT_ID, DATA, SESSION_ID, agent_key, compact, document, put, session_key
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import InvalidData, StateManager
from awictl.diagnostics.doctor import Check, Status, app_end, examine
from awictl.document.byte_layout import encode


async def checks_of(manager: StateManager) -> dict[str, Check]:
    report, _ = await examine(manager)
    return {one.name: one for one in report.checks}


def named(names: list[Any], session_id: str, **others: Any) -> dict[str, Any]:
    """A session document whose actions have these names."""
    made = document([0] * len(names), session_id, **others)
    for one, name in zip(made["history"]["actions"], names, strict=True):
        one["action"] = name
        one["input"] = {"action": "not the name"}
    return made


@pytest.fixture
async def beside(valkey: ValkeyServer, mongo: MongoServer) -> Any:
    """A manager whose archive is in the MongoDB into which the app saves."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as opened:
        yield opened


async def test_live_sessions_that_the_app_would_lose_are_named_with_the_reason(
    beside: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, compact(named(["session_start", "search", "paginate"], "sess_kept")), "sess_kept")
    put(valkey, encode(named(["list_posts", "next_page", "next_page", "a", "b", "c"], "sess_a")), "sess_a")
    put(valkey, compact(named(["filter"], "sess_b", agent_id="browser-1")), "sess_b")
    put(valkey, compact(named(["filter", 5], "sess_c")), "sess_c")
    check = (await checks_of(beside))["end by the app"]
    assert check.status is Status.WARN
    assert check.evidence.startswith("3 of 4 live sessions would be lost if the app ended them")
    assert sorted(check.examples) == [
        "sess_a: the app has no action 'next_page', 'a', 'b' and 1 more",
        "sess_b: its agent_id is not an ObjectId",
        "sess_c: the app has no action 5",
    ]
    assert "session end" in check.remedy and "sweep --watch" in check.remedy


async def test_what_is_read_is_limited(
    beside: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        raw = compact(named(["search"], f"sess_{number}"))
        put(valkey, raw, f"sess_{number}")
    monkeypatch.setattr(app_end, "MAX_BYTES", 2 * len(raw) + 10)
    monkeypatch.setattr(app_end, "BATCH_BYTES", len(raw))
    check = (await checks_of(beside))["end by the app"]
    assert check.status is Status.PASS
    assert "2 live sessions checked" in check.evidence and "1 more session not read" in check.evidence


async def test_nothing_is_checked_without_mongodb(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(named(["next_page"], "sess_a")), "sess_a")
    assert "end by the app" not in await checks_of(manager)


async def test_agents_with_several_live_sessions_are_named(manager: StateManager, valkey: ValkeyServer) -> None:
    """One mapping points to the second session; of another agent, it has expired; a third has one session."""
    for session_id, agent_id in [("sess_1", "a"), ("sess_2", "a"), ("sess_3", "b"), ("sess_4", "b"), ("sess_5", "c")]:
        made = document([0], session_id, agent_id=agent_id)
        made["statistics"]["last_activity"] = f"2026-11-23T10:00:0{session_id[-1]}.000Z"
        put(valkey, encode(made), session_id)
    valkey.raw.set(agent_key("a"), "sess_2", ex=1000)
    valkey.raw.set(agent_key("c"), "sess_5", ex=1000)
    check = (await checks_of(manager))["sessions per agent"]
    assert (check.status, sorted(check.examples)) == (Status.WARN, ["a: sess_1", "b: sess_3"])
    assert check.evidence.startswith("2 agents ")
    await manager.store.delete("sess_1", None, None)
    await manager.store.delete("sess_3", None, None)
    assert (await checks_of(manager))["sessions per agent"].status is Status.PASS


async def test_an_end_that_was_interrupted_is_reported(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await manager.store.endings.take(SESSION_ID)
    check = (await checks_of(manager))["ended sessions"]
    assert (check.status, check.examples) == (Status.WARN, [f"AWI:ENDING: {SESSION_ID}"])


async def test_a_document_with_another_session_id_is_reported_and_not_ended(
    beside: StateManager, valkey: ValkeyServer
) -> None:
    raw = compact(document([0], "sess_other"))
    put(valkey, raw, SESSION_ID)
    check = (await checks_of(beside))["session ids"]
    assert (check.status, check.examples) == (Status.WARN, [f"{session_key()}: 'sess_other'"])
    with pytest.raises(InvalidData, match=rf"another session_id.*session end --discard --yes {SESSION_ID}"):
        await beside.end_session(SESSION_ID)
    assert valkey.raw.get(session_key()) == raw and valkey.raw.pttl(session_key()) > 0


def test_the_remedy_for_another_session_id_works(valkey: ValkeyServer, home: Cli) -> None:
    raw = compact(document([0], "sess_other"))
    put(valkey, raw, SESSION_ID)
    shown = home.ok("session", "show", SESSION_ID)
    assert shown.json["session_id"] == "sess_other" and "has another session_id: 'sess_other'" in shown.err
    assert home.ok("session", "show", "-o", "raw", SESSION_ID).out == raw
    home.ok("session", "end", "--discard", "--yes", SESSION_ID)
    assert valkey.raw.keys("AWI:*") == []


@pytest.fixture
def home(valkey: ValkeyServer, tmp_path: Any) -> Cli:
    return Cli.at(tmp_path / "home").having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))


async def test_the_advice_for_a_session_that_the_app_archived_and_wrote_back_works(
    beside: StateManager, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    """It expires soon. A sweep archives it beside the app's document, which stays as it is."""
    app_document = bson.json_util.loads((DATA / "mongo_archived_session.ejson").read_text())
    mongo.sessions.insert_one(app_document)
    session_id = app_document["sessionId"]
    before = list(mongo.sessions.find())
    put(valkey, compact(document([0, 0], session_id)), session_id, seconds=60)
    check = (await checks_of(beside))["expiring sessions"]
    assert check.status is Status.WARN and "archive sweep" in check.remedy
    sweeper = beside.sweeper(120_000)
    swept = await sweeper.sweep(await sweeper.candidates())
    assert (swept.archived, swept.failed, swept.held) == (1, {}, 0)
    assert valkey.raw.pttl(session_key(session_id)) <= 60_000, "it may expire: it is archived"
    assert (await beside.end_session(session_id)).actions == 3
    assert valkey.raw.exists(session_key(session_id)) == 0
    assert list(mongo.sessions.find()) == before
