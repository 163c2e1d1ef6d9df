"""The inspector's `/api/health`: the doctor's findings and the statistics of keys, with one scan for all pages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.documents import compact, document, put
from support.monitor import monitored
from support.proxy import Proxy
from support.ui_client import inspected
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.diagnostics.doctor import examine
from awictl.ui.api import health
from awictl.ui.results import shared_scan

HOSTILE = "sess_<script>alert(1)</script>\u202e"
#: Commands that only read; the monitor records those that scripts send, too.
READS = {
    *("ACL", "CLIENT", "COMMAND", "CONFIG", "DBSIZE", "EVALSHA", "EVALSHA_RO", "EXISTS", "GET", "GETRANGE", "HELLO"),
    *("HKEYS", "INFO", "MEMORY", "MGET", "PING", "PTTL", "SCAN", "SCRIPT", "STRLEN", "TIME", "TTL", "TYPE"),
}


async def settled(client: httpx.AsyncClient, path: str) -> Any:
    """The response to a request once the scans are over."""
    for _ in range(100):
        answer = (await client.get(path)).raise_for_status().json()
        if not any(one["running"] for one in (answer.get("servers", answer), answer.get("data", answer))):
            return answer
    raise AssertionError("the scan does not end")


def checks_of(answer: Any) -> dict[str, Any]:
    return {one["check"]: one for part in ("servers", "data") for one in answer[part]["checks"] or ()}


async def test_the_findings_are_those_of_the_doctor(settings: Settings, valkey: ValkeyServer, tmp_path: Path) -> None:
    archived = replace(settings, archive_url=f"sqlite:///{tmp_path}/archive.db")
    put(valkey, compact(document([1])))
    valkey.raw.set(f"AWI:SESSION:{HOSTILE}", b"{")
    valkey.raw.set("AWI:DIFF:sess_gone", b"{}")
    before = {key: valkey.raw.dump(key) for key in sorted(valkey.raw.scan_iter())}
    async with StateManager.open(archived) as manager:
        report, plan = await examine(manager)
    assert plan.repairs
    async with inspected(archived) as client:
        with monitored(valkey) as recorded:
            answer = await settled(client, "/api/health")
    assert {name: one["status"] for name, one in checks_of(answer).items()} == {
        one.name: one.status for one in report.checks
    }
    assert HOSTILE in checks_of(answer)["documents"]["examples"][0]
    assert "awictl doctor --fix" in checks_of(answer)["diffs"]["remedy"]
    assert {key: valkey.raw.dump(key) for key in sorted(valkey.raw.scan_iter())} == before, "nothing is repaired"
    assert set(recorded.names) <= READS


async def test_pages_share_the_scans(settings: Settings, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([1])))
    async with inspected(settings) as client:
        with monitored(valkey) as recorded:
            paths = ["/api/health", "/api/health/keys", "/api/health?again=1", "/api/health/keys?again=1"] * 5
            answers = await asyncio.gather(*map(client.get, paths))
            assert all(one.status_code == 200 for one in answers)
            await settled(client, "/api/health?again=1")
            await settled(client, "/api/health/keys?again=1")
    assert recorded.names.count("SCAN") == 2, "one for the data, one for the statistics"
    assert recorded.names.count("PING") <= 10, "the latency is measured once"


async def test_the_statistics_of_keys(settings: Settings, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([1])), seconds=20)
    put(valkey, compact(document([1], "sess_b")), "sess_b", seconds=1_000)
    valkey.raw.set("AWI:CACHE:LIST:" + "0" * 32, b"[]")
    async with inspected(settings) as client:
        answer = await settled(client, "/api/health/keys")
    kinds = {one["kind"]: one for one in answer["kinds"]}
    assert (kinds["session"]["count"], kinds["cache"]["without_ttl"], answer["size"]) == (2, 1, 3)
    assert {one["below_ms"]: one["count"] for one in kinds["session"]["left"] if one["count"]} == {
        60_000: 1,
        1_200_000: 1,
    }
    assert kinds["session"]["memory_bytes"] > kinds["session"]["bytes"] > 0


async def test_a_managed_server_leaves_blanks(settings: Settings, valkey: ValkeyServer) -> None:
    valkey.raw.acl_setuser(
        "guest", enabled=True, nopass=True, keys=["*"], categories=["+@all"],
        commands=["-info", "-config", "-dbsize", "-memory", "-acl"],
    )  # fmt: skip
    try:
        put(valkey, compact(document([1])))
        async with inspected(replace(settings, redis_username="guest", redis_password="x")) as client:
            keys = await settled(client, "/api/health/keys")
            assert (keys["kinds"][0]["memory_bytes"], keys["size"], keys["problem"]) == (None, None, None)
            checks = checks_of(await settled(client, "/api/health"))
            assert checks["memory"]["evidence"] == "not permitted: INFO"
            assert checks["documents"]["status"] == "pass"
    finally:
        valkey.raw.acl_deluser("guest")


async def test_redis_away_and_back(valkey: ValkeyServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scan, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(shared_scan, "REST_FACTOR", 0)
    monkeypatch.setattr(health, "SERVERS_REST_SECONDS", 0.0)
    put(valkey, compact(document([1])))
    async with inspected(proxy.settings()) as client:
        before = await settled(client, "/api/health")
        keys = await settled(client, "/api/health/keys")
        await proxy.cut_off()
        away = await settled(client, "/api/health")
        assert [one["status"] for one in away["servers"]["checks"] if one["check"] == "reachable"] == ["fail"]
        assert str(proxy.port) in away["data"]["problem"]
        assert (away["data"]["checks"], away["data"]["at"]) == (before["data"]["checks"], before["data"]["at"])
        keys_away = await settled(client, "/api/health/keys")
        assert keys_away["problem"] and [one["count"] for one in keys_away["kinds"]] == [1]
        assert keys_away["at"] == keys["at"]
        proxy.refusing = False
        back = await settled(client, "/api/health")
        assert back["data"]["problem"] is None and checks_of(back)["reachable"]["status"] == "pass"


async def test_scans_take_turns_and_end_with_the_inspector(
    settings: Settings, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "WAIT_SECONDS", 0.01)
    with valkey.raw.pipeline() as pipe:
        for number in range(3_000):
            pipe.set(f"AWI:DIFF:sess_{number}", b"{}", px=600_000)
        pipe.execute()
    async with inspected(settings, rate=100) as client:
        answer = (await client.get("/api/health")).json()
        assert answer["data"]["running"] and answer["data"]["checks"] is None
        for _ in range(5):  # it waits for its turn: together, both would scan at twice the rate
            waiting = (await client.get("/api/health/keys")).json()
            assert (waiting["running"], waiting["visited"], waiting["kinds"]) == (True, 0, None)
        tasks = len(asyncio.all_tasks())
    assert len(asyncio.all_tasks()) < tasks and len(asyncio.all_tasks()) == 1
