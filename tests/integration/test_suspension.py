"""Suspended means suspended: what is written, that nothing else changes, and how soon servers notice it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import encode
from support.api import APP_ID, APP_SECRET, an_agent, client_of, registry_at, served
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import InvalidInput, NotFound, ReadOnly, Refused, Settings
from awictl.agents.api_keys import KeyState


@pytest.fixture
def app_key(mongo: MongoServer) -> dict[str, Any]:
    """A key that the app created, with a field that nobody knows."""
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    mongo.raw["agentapikeys"].update_one({}, {"$set": {"unknown": {"a": [1, 2.5, None]}}})
    found: dict[str, Any] = mongo.raw["agentapikeys"].find_one({})  # type: ignore[assignment]
    return found


def stored_app_key(mongo: MongoServer) -> dict[str, Any]:
    [found] = mongo.raw["agentapikeys"].find()
    return found


async def test_suspend_resume_and_revoke(archive_settings: Settings) -> None:
    async with registry_at(archive_settings) as agents, registry_at(archive_settings) as other:
        made = await agents.register("x")
        suspended = await agents.suspend("x", for_ms=3_600_000, reason="too fast")
        assert suspended.state() is KeyState.SUSPENDED and suspended.suspension_reason == "too fast"
        assert suspended.suspended_until is not None
        assert timedelta(minutes=59) < suspended.suspended_until - datetime.now(UTC) <= timedelta(hours=1)
        assert await other.get("x") == suspended == await other.find(made.secret)
        assert suspended.row()["suspension_reason"] == "too fast"
        again = await agents.suspend("x")
        assert await agents.get("x") == again and again.suspended_until is again.suspension_reason is None
        assert await agents.resume("x") == made.key == await agents.get(made.key.agent_id)
        assert await agents.resume("x") == made.key, "again"
        await agents.suspend("x")
        revoked = await agents.revoke("x")
        assert revoked.state() is KeyState.REVOKED
        for change in (agents.suspend("x"), agents.resume("x")):
            with pytest.raises(Refused, match="revoked"):
                await change


async def test_invalid_suspensions(archive_settings: Settings) -> None:
    async with registry_at(archive_settings) as agents:
        made = await agents.register("x")
        for wrong in ({"for_ms": 0}, {"for_ms": -1}, {"reason": ""}, {"reason": "x" * 501}, {"reason": "\ud800"}):
            with pytest.raises(InvalidInput):
                await agents.suspend("x", **wrong)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await agents.suspend("nobody")
        gone = replace(made.key, agent_id="0" * 24)
        for change in (agents.suspend(gone), agents.resume(replace(gone, suspended=True)), agents.revoke(gone)):
            with pytest.raises(NotFound, match="any more"):
                await change
        assert await agents.all() == [made.key]
        far = await agents.suspend("x", for_ms=10**15)
        assert far == await agents.get("x")
    async with registry_at(replace(archive_settings, read_only=True)) as reader:
        for refused in (reader.suspend("x"), reader.resume("x"), reader.revoke("x")):
            with pytest.raises(ReadOnly):
                await refused


# -- the app's keys: the rest of a document stays the same, byte for byte


async def test_an_app_key_gets_exactly_the_fields_of_a_suspension(mongo: MongoServer, app_key: dict[str, Any]) -> None:
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        key = await agents.suspend("BrowserUseAgent", for_ms=7_200_000, reason="spam")
        stored = stored_app_key(mongo)
        [entry] = stored["securityMetrics"]["suspensionHistory"]
        assert stored["suspended"] is True and stored["suspensionReason"] == entry["reason"] == "spam"
        assert stored["suspendedUntil"] == entry["suspendedUntil"] == key.suspended_until
        assert entry["suspendedUntil"] - entry["suspendedAt"] == timedelta(hours=2)
        assert set(entry) == {"reason", "suspendedAt", "suspendedUntil"}
        await agents.suspend(APP_ID)
        stored = stored_app_key(mongo)
        assert "suspendedUntil" not in stored and "suspensionReason" not in stored and stored["suspended"] is True
        assert len(stored["securityMetrics"]["suspensionHistory"]) == 2
        await agents.resume(APP_ID)
        stored = stored_app_key(mongo)
        stored["securityMetrics"]["suspensionHistory"] = []
        assert encode(stored) == encode(app_key), "in this order too"
        await agents.revoke(APP_ID)
        stored = stored_app_key(mongo)
        stored["securityMetrics"]["suspensionHistory"] = []
        assert encode(stored) == encode(app_key | {"active": False})


@pytest.mark.parametrize("metrics", [{"suspensionHistory": "none"}, "none", None, {}])
async def test_an_app_key_whose_history_is_of_another_type_is_suspended_too(
    mongo: MongoServer, app_key: dict[str, Any], metrics: Any
) -> None:
    mongo.raw["agentapikeys"].update_one({}, {"$set": {"securityMetrics": metrics}})
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        await agents.suspend(APP_ID, reason="x")
        found = await agents.find(APP_SECRET)
    assert found is not None and found.state() is KeyState.SUSPENDED
    stored = stored_app_key(mongo)
    if metrics == {}:
        assert len(stored["securityMetrics"]["suspensionHistory"]) == 1
    else:
        assert stored["securityMetrics"] == metrics


async def test_what_the_app_writes_meanwhile_is_not_lost(mongo: MongoServer, app_key: dict[str, Any]) -> None:
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        key = await agents.get(APP_ID)
        mongo.raw["agentapikeys"].update_one({}, {"$inc": {"usage.totalRequests": 1}, "$set": {"reputation": "bad"}})
        await agents.suspend(key)
    stored = stored_app_key(mongo)
    assert (stored["usage"]["totalRequests"], stored["reputation"], stored["suspended"]) == (481, "bad", True)


async def test_a_suspension_that_is_over_counts_nowhere(mongo: MongoServer, app_key: dict[str, Any]) -> None:
    over = {"suspended": True, "suspendedUntil": datetime(2020, 1, 1, tzinfo=UTC), "suspensionReason": "x"}
    mongo.raw["agentapikeys"].update_one({}, {"$set": over})
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        key = await agents.get(APP_ID)
        row = key.row()
        assert (row["state"], row["suspended_until"], row["suspension_reason"]) == ("active", None, None)
        assert await agents._usable([key]) == {APP_ID}


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"suspended": True}, False),
        ({"suspended": True, "suspendedUntil": None}, False),
        ({"suspended": True, "suspendedUntil": datetime(2999, 1, 1, tzinfo=UTC)}, False),
        ({"suspended": "yes"}, False),
        ({"suspended": None}, True),
        ({"active": False}, False),
        ({"active": "yes"}, False),
    ],
)
async def test_the_check_agrees_with_the_state_of_a_key(
    mongo: MongoServer, app_key: dict[str, Any], change: dict[str, Any], usable: bool
) -> None:
    if change:
        mongo.raw["agentapikeys"].update_one({}, {"$set": change})
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        key = await agents.get(APP_ID)
        assert (key.state() is KeyState.ACTIVE) is usable
        assert (await agents._usable([key]) == {APP_ID}) is usable


async def test_the_check_of_both_archives(archive_settings: Settings) -> None:
    async with registry_at(archive_settings) as agents:
        keys = [(await agents.register(name)).key for name in ("good", "suspended", "for a moment", "revoked")]
        await agents.suspend("suspended")
        await agents.suspend("for a moment", for_ms=1)
        await agents.revoke("revoked")
        await asyncio.sleep(0.005)
        assert await agents._usable(keys) == {keys[0].agent_id, keys[2].agent_id}
        assert await agents._usable([]) == set()


# -- the server


async def test_no_request_is_served_once_the_process_has_suspended_its_agent(
    archive_settings: Settings, valkey: ValkeyServer
) -> None:
    """With other requests under way all the time."""
    settings = valkey.settings(mongodb_uri=archive_settings.mongodb_uri, archive_url=archive_settings.archive_url)
    async with served(settings) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        order = 0
        done: list[tuple[int, int]] = []
        stopped = False

        async def requests() -> None:
            nonlocal order
            while not stopped:
                order += 1
                number = order
                done.append((number, (await agent.get("state")).status_code))

        async def until(count: int) -> None:
            while len(done) < count:
                await asyncio.sleep(0)

        clients = [asyncio.create_task(requests()) for _ in range(4)]
        try:
            for _ in range(3):
                await until(len(done) + 20)
                await api.worker.agents.suspend(agent.agent_id)
                suspended_at = order
                first = len(done)
                await until(first + 20)
                sent_after = [status for number, status in done[first:] if number > suspended_at]
                assert sent_after and set(sent_after) == {403}
                await api.worker.agents.resume(agent.agent_id)
                resumed_at = order
                first = len(done)
                await until(first + 20)
                sent_after = [status for number, status in done[first:] if number > resumed_at]
                assert sent_after and set(sent_after) == {200}
        finally:
            stopped = True
            await asyncio.gather(*clients)
