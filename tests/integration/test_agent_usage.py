"""Usage of agents: what the app recorded, and what awictl's server counts without a write for each request."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from support.api import APP_SECRET, an_agent, client_of, registry_at, served
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, Unreachable
from awictl.agents import usage
from awictl.agents.records import AgentRecord, UsageSort, sorted_records
from awictl.agents.usage import Usage, UsageCounter, Use


async def test_counts_are_written_at_the_end(archive_settings: Settings) -> None:
    async with registry_at(archive_settings) as agents:
        made = await agents.register("x")
        assert (await agents.record("x")).row()["requests"] == 0
        for operation in ("state", "state", "update"):
            agents.count(made.key, operation)
        assert (await agents.record("x")).usage == Usage(), "nothing is written yet"
    for requests in (3, 4):
        async with registry_at(archive_settings) as agents:
            record = await agents.record("x")
            [listed] = await agents.records()
            assert record == listed and record.app_usage is None
            assert record.usage.requests == record.requests == requests
            assert record.last_used is not None and record.key.last_used_at == record.last_used
            assert record.usage.operations == {"state": requests - 1, "update": 1}
            agents.count(record.key, "state")
    async with registry_at(replace(archive_settings, read_only=True)) as agents:
        agents.count(made.key, "state")
    async with registry_at(archive_settings) as agents:
        assert (await agents.record("x")).requests == 5


async def test_nothing_is_written_to_the_keys_of_the_app(mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    [before] = mongo.raw["agentapikeys"].find()
    for _ in range(2):
        async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
            key = await agents.find(APP_SECRET)
            assert key is not None
            agents.count(key, "history")
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        record = await agents.record("BrowserUseAgent")
        assert [record] == await agents.records()
    [after] = mongo.raw["agentapikeys"].find()
    assert encode(before) == encode(after)
    assert record.app_usage is not None and record.app_usage.requests == 480
    assert (record.usage.requests, record.usage.operations, record.requests) == (2, {"history": 2}, 482)
    assert record.last_used == record.usage.last_used
    row = record.row()
    assert (row["reputation"], row["reputation_score"], row["violations"]) == ("normal", 50, 0)
    assert (row["violations_by_type"], row["suspensions"], row["operations_of_app"]) == ({}, [], {})


@pytest.mark.parametrize("wrong", ["x", 7, None, [1], {"totalRequests": "x", "lastUsed": 3, "totalViolations": {}}])
async def test_fields_of_other_types(mongo: MongoServer, wrong: Any) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    names = ("usage", "operationUsage", "securityMetrics", "reputation", "reputationScore")
    mongo.raw["agentapikeys"].update_one({}, {"$set": dict.fromkeys(names, wrong)})
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        [record] = await agents.records()
    assert record.requests == 0 and record.last_used is None
    for by in UsageSort:
        assert sorted_records([record], by) == [record]


async def test_a_table_of_an_earlier_version(tmp_path: Path) -> None:
    file = tmp_path / "archive.db"
    settings = Settings(archive_url=f"sqlite:///{file}")
    async with registry_at(settings) as agents:
        made = await agents.register("old")
    with closing(sqlite3.connect(file)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(agent_keys)")][8:]
        assert "suspended" in columns and "requests" in columns
        for name in columns:
            db.execute(f"ALTER TABLE agent_keys DROP COLUMN {name}")
        db.commit()
    async with registry_at(settings) as agents:
        assert await agents.all() == [made.key]
        assert (await agents.record("old")).row()["requests"] == 0
        assert await agents._usable([made.key]) == {made.key.agent_id}
        agents.count(made.key, "state")
    async with registry_at(settings) as agents:
        assert (await agents.record("old")).requests == 1
        await agents.suspend("old", reason="x")
        [entry] = (await agents.record("old")).suspensions
        assert entry["reason"] == "x"


# -- the counter


class Written:
    """Where a counter writes."""

    def __init__(self) -> None:
        self.writes: list[Sequence[Use]] = []
        self.error: Exception | None = None

    async def write(self, uses: Sequence[Use]) -> None:
        if self.error is not None:
            raise self.error
        self.writes.append(uses)


async def test_many_requests_are_one_write() -> None:
    written, now = Written(), 1_000.0
    counter = UsageCounter(written.write, clock=lambda: now)
    for number in range(1_000):
        counter.count(f"agent{number % 2}", "state" if number < 500 else "diff", of_app=number % 2 == 0)
    assert not written.writes
    await counter.flush()
    await counter.flush()
    at = datetime.fromtimestamp(1_000, UTC)
    expected = [Use(f"agent{one}", one == 0, 500, at, {"state": 250, "diff": 250}) for one in (0, 1)]
    assert written.writes == [expected], "the second time there is nothing to write"
    await counter.close()


async def test_counts_are_written_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FLUSH_SECONDS", 0.001)
    written = Written()
    counter = UsageCounter(written.write)
    for number in (1, 2):
        counter.count("a", "state", of_app=False)
        while len(written.writes) < number:
            await asyncio.sleep(0.001)
        assert counter._writer is not None
        await counter._writer
    await counter.close()
    assert [use.requests for [use] in written.writes] == [1, 1]


async def test_counts_that_cannot_be_written_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    written = Written()
    counter = UsageCounter(written.write)
    counter.count("a", "state", of_app=False)
    written.error = Unreachable("gone")
    await counter.flush()
    counter.count("a", "diff", of_app=False)
    await counter.flush()
    assert "gone" in caplog.text
    written.error = None
    await counter.close()
    [[use]] = written.writes
    assert use.operations == {"diff": 1, "state": 1}


async def test_the_number_of_agents_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usage, "MAX_AGENTS", 2)
    written = Written()
    counter = UsageCounter(written.write)
    for agent in ("a", "b", "c", "a"):
        counter.count(agent, "state", of_app=False)
    await counter.close()
    [uses] = written.writes
    assert {use.agent_id: use.requests for use in uses} == {"a": 2, "b": 1}
    assert "1 requests were not counted" in caplog.text


async def test_the_server_counts_what_it_serves(valkey: ValkeyServer, archive_settings: Settings) -> None:
    settings = valkey.settings(mongodb_uri=archive_settings.mongodb_uri, archive_url=archive_settings.archive_url)
    async with served(settings) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        for path in ("state", "state", "history"):
            assert (await agent.get(path)).status_code == 200
        assert (await client.get("/api/health")).status_code == 200
        await api.worker.agents.suspend(agent.agent_id, for_ms=60_000, reason="too fast")
        refused = await agent.get("state")
        assert refused.status_code == 403, "at once"
        body = refused.json()
        assert (body["errorCode"], body["suspensionReason"]) == ("AGENT_SUSPENDED", "too fast")
        assert body["suspendedUntil"].endswith("Z")
        await api.worker.agents.resume(agent.agent_id)
        assert (await agent.get("state")).status_code == 200
    async with registry_at(archive_settings) as agents:
        assert (await agents.record(agent.agent_id)).usage.operations == {"state": 3, "history": 1}


# -- sorting


def test_sorting(app_records: list[AgentRecord]) -> None:
    def names(by: UsageSort, *, reverse: bool = False) -> str:
        return "".join(one.key.name for one in sorted_records(app_records, by, reverse=reverse))

    assert names(UsageSort.REQUESTS) == "bac" and names(UsageSort.REQUESTS, reverse=True) == "cab"
    assert names(UsageSort.NAME) == "abc" and names(UsageSort.NAME, reverse=True) == "cba"
    assert names(UsageSort.SCORE) == "cab", "b has none"
    assert names(UsageSort.SCORE, reverse=True) == "acb"


@pytest.fixture
def app_records() -> list[AgentRecord]:
    from awictl import AgentKey

    def record(name: str, requests: int, score: Any) -> AgentRecord:
        return AgentRecord(AgentKey(name, name, (), None), Usage(requests), score=score)

    return [record("a", 5, 1), record("b", 9, "high"), record("c", 2, 7.5)]
