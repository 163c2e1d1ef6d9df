"""`doctor` on live sessions in MongoDB: what it reports about the server, and repairs that compare again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.mongo import MongoServer

from awictl import Settings, StateManager
from awictl.diagnostics.doctor import Check, RepairPlan, Status, examine, mongo_checks
from awictl.errors import AccessDenied
from awictl.store.mongo.connection import MongoConnection

GONE = "sess_" + "0" * 32


@pytest.fixture
async def manager(mongo: MongoServer) -> AsyncIterator[StateManager]:
    async with StateManager.open(Settings(use_redis=False, mongodb_uri=mongo.uri)) as opened:
        yield opened


async def examined(manager: StateManager) -> tuple[dict[str, Check], RepairPlan]:
    report, plan = await examine(manager, rate=None)
    return {one.name: one for one in report.checks}, plan


async def damage(manager: StateManager, mongo: MongoServer) -> str:
    """A session, a mapping, a string and a counter without a TTL; a lost mapping, and one to nothing."""
    session_id: str = (await manager.initialize_session("a", "A"))["session_id"]
    await manager.initialize_session("lost", "L")
    await manager.store.strings.put({"AWI:CACHE:LIST:" + "0" * 32: b"[]"}, 60_000)
    mongo.raw["awi_live_sessions"].update_one({"_id": session_id}, {"$set": {"expires_at": None}})
    mongo.raw["awi_live_strings"].update_many({}, {"$set": {"expires_at": None}})
    mongo.raw["awi_live_agents"].update_one({"_id": "a"}, {"$set": {"expires_at": None}})
    mongo.raw["awi_live_agents"].delete_one({"_id": "lost"})
    mongo.raw["awi_live_agents"].insert_one({"_id": "dangling", "session_id": GONE, "expires_at": None})
    mongo.raw["awi_live_counters"].insert_one({"_id": "RATELIMIT:a:state", "count": 3, "expires_at": None})
    return session_id


async def test_faults_are_found_and_repaired(manager: StateManager, mongo: MongoServer) -> None:
    session_id = await damage(manager, mongo)
    checks, plan = await examined(manager)
    assert checks["expiries"].evidence.startswith("5 keys without a TTL")
    assert checks["agent mappings"].evidence.startswith("1 ")
    assert checks["agents in a session"].evidence.startswith("1 ")
    assert plan.summary() == "set TTL 4, delete 1, restore mapping 1"
    assert await plan.apply() == [True] * 6
    checks, plan = await examined(manager)
    assert plan.repairs == [] and checks["expiries"].status is Status.PASS
    lifetimes = await manager.get_expiries(session_id, "a")
    assert all(ttl_ms is not None and ttl_ms <= 1_800_000 for ttl_ms in lifetimes.values()) and len(lifetimes) == 2
    assert await manager.find_session_for_agent("lost") is not None
    assert await manager.get_agent_session("dangling") is None


async def test_what_has_changed_since_is_not_repaired(manager: StateManager, mongo: MongoServer) -> None:
    session_id = await damage(manager, mongo)
    _, plan = await examined(manager)
    await manager.update_state_with_delta(session_id, {"n": 1})
    await manager.store.strings.put({"AWI:CACHE:LIST:" + "0" * 32: b"[1]"}, 60_000)
    await manager.initialize_session("lost", "L")
    mongo.raw["awi_live_agents"].update_one({"_id": "dangling"}, {"$set": {"session_id": session_id}})
    mongo.raw["awi_live_agents"].delete_one({"_id": "a"})
    mongo.raw["awi_live_counters"].delete_many({})
    before = {name: list(mongo.raw[name].find()) for name in mongo.raw.list_collection_names()}
    assert set(await plan.apply()) == {False}
    assert {name: list(mongo.raw[name].find()) for name in mongo.raw.list_collection_names()} == before


@pytest.mark.parametrize(
    ("hello", "status", "evidence"),
    [
        ({}, Status.WARN, "one server without replicas"),
        ({"setName": "rs", "hosts": ["a:1"]}, Status.WARN, "one server without replicas"),
        ({"setName": "rs", "hosts": ["a:1", "b:1"], "isWritablePrimary": True}, Status.WARN, "with 2 members"),
        ({"setName": "rs", "hosts": ["a:1", "b:1", "c:1"], "isWritablePrimary": True}, Status.PASS, "with 3 members"),
        ({"setName": "rs", "hosts": ["a:1", "b:1", "c:1"]}, Status.FAIL, "it has no primary"),
        ({"msg": "isdbgrid"}, Status.PASS, "a sharded cluster"),
    ],
)
async def test_replication(
    manager: StateManager, monkeypatch: pytest.MonkeyPatch, hello: dict[str, Any], status: Status, evidence: str
) -> None:
    original = MongoConnection.command

    async def command(self: MongoConnection, name: str) -> dict[str, Any]:
        reply = await original(self, name)
        return hello | {"localTime": reply["localTime"]} if name == "hello" else reply

    monkeypatch.setattr(MongoConnection, "command", command)
    checks, _ = await examined(manager)
    assert checks["replication"].status is status and evidence in checks["replication"].evidence


async def test_a_user_who_may_not_ask_and_an_engine_in_memory(
    manager: StateManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MongoConnection.command
    engine: dict[str, Any] = {"name": "inMemory", "persistent": False}

    async def command(self: MongoConnection, name: str) -> dict[str, Any]:
        if name == "serverStatus" and not engine:
            raise AccessDenied("not authorized")
        return {"storageEngine": engine} if name == "serverStatus" else await original(self, name)

    monkeypatch.setattr(MongoConnection, "command", command)
    checks, _ = await examined(manager)
    assert checks["persistence"].status is Status.FAIL and "inMemory keeps nothing" in checks["persistence"].evidence
    engine.clear()
    checks, _ = await examined(manager)
    assert checks["persistence"].status is Status.WARN and "serverStatus" in checks["persistence"].evidence


@pytest.mark.parametrize(
    ("uri", "tls", "authentication"),
    [
        ("mongodb://localhost/awi", Status.PASS, Status.PASS),
        ("mongodb://db.example.com/awi", Status.WARN, Status.WARN),
        ("mongodb://me@db.example.com,db2.example.com/awi?TLS=true", Status.PASS, Status.PASS),
        ("mongodb+srv://me@db.example.com/awi", Status.PASS, Status.PASS),
        ("mongodb+srv://me@db.example.com/awi?tls=false", Status.WARN, Status.PASS),
    ],
)
def test_encryption_and_authentication(uri: str, tls: Status, authentication: Status) -> None:
    assert mongo_checks._encryption(uri).status is tls
    assert mongo_checks._authentication(uri, "db").status is authentication
