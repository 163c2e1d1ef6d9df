"""The inspector's `/api/caches`: what is cached, its results, and why a query is not."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from support.documents import compact, document, put
from support.monitor import monitored
from support.proxy import Proxy
from support.ui_client import inspected
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.redaction.rules import parse_redaction
from awictl.query_cache.cache_key import cache_key
from awictl.ui.api import caches
from awictl.ui.results import cached_queries, shared_scan

QUERY = {"filters": {"tag": "awi", "page": 2}, "sort": {"key": "date", "order": "desc"}}
KEY = cache_key(*QUERY.values())
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[2J"


async def settled(client: httpx.AsyncClient, path: str) -> Any:
    """The response to a request once the scan is over."""
    for _ in range(100):
        answer = (await client.get(path)).raise_for_status().json()
        if not answer["running"]:
            return answer
    raise AssertionError("the scan does not end")


async def test_the_list_names_sessions_and_queries(
    settings: Settings, manager: StateManager, valkey: ValkeyServer
) -> None:
    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    await manager.cache_query_results(session_id, *QUERY.values(), [{"id": 1}, {"id": 2}])
    put(valkey, compact(document([1], "sess_other", query_cache={"active_cache_key": KEY})), "sess_other")
    valkey.raw.set("AWI:CACHE:LIST:" + HOSTILE, b"[1]")
    valkey.raw.set("AWI:CACHE:LIST:" + "0" * 32, b"[1", px=60_000)
    async with inspected(settings) as client:
        found = await settled(client, "/api/caches")
        rows = {row["cache_key"]: row for row in found["entries"]}
        assert (found["total"], found["bytes"], found["problem"]) == (
            3,
            sum(row["bytes"] for row in rows.values()),
            None,
        )
        row = rows[KEY]
        assert 0 < row.pop("ttl_ms") <= 300_000
        assert sorted(row.pop("sessions")) == sorted([session_id, "sess_other"])
        assert row.pop("cache_key") == KEY and row.pop("has_page")
        assert row == {"bytes": 19, "count": 2, "error": None, "session_count": 2, "query": QUERY}
        assert (rows[HOSTILE]["has_page"], rows[HOSTILE]["ttl_ms"]) == (False, None)
        assert "not valid JSON" in rows["0" * 32]["error"] and rows["0" * 32]["count"] is None
        assert found["entries"][0]["cache_key"] == HOSTILE, "what never expires is first"

        one = (await client.get(f"/api/caches/{KEY}")).raise_for_status().json()
        assert (one["results"], one["query"], one["session_count"], one["problem"]) == (
            [{"id": 1}, {"id": 2}],
            QUERY,
            2,
            None,
        )
        broken = (await client.get(f"/api/caches/{'0' * 32}")).raise_for_status().json()
        assert broken["results"] is None and "not valid JSON" in broken["problem"]
        missing = await client.get(f"/api/caches/{'1' * 32}")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert (await client.get("/api/caches/nothing")).status_code == 400


async def test_pages_share_one_scan(settings: Settings, valkey: ValkeyServer) -> None:
    valkey.raw.set(f"AWI:CACHE:LIST:{KEY}", b"[]", px=60_000)
    async with inspected(settings) as client:
        with monitored(valkey) as recorded:
            answers = await asyncio.gather(*(client.get("/api/caches") for _ in range(20)))
            await client.get("/api/caches?again=1")
    assert all(len(one.json()["entries"]) == 1 for one in answers)
    assert recorded.names.count("SCAN") == 2, "one for the entries, one for the sessions"


async def test_large_caches_and_results_are_bounded(
    settings: Settings, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_queries, "MAX_ENTRIES", 3)
    monkeypatch.setattr(caches, "MAX_SHOWN_BYTES", 9)
    for number in range(8):
        valkey.raw.set(f"AWI:CACHE:LIST:{number:032x}", b"[%d]" % number, px=60_000 * (number + 1))
    valkey.raw.set(f"AWI:CACHE:LIST:{KEY}", b"[1,2,3,4,5,6]", px=1_000)
    async with inspected(settings) as client:
        found = await settled(client, "/api/caches")
        assert [int(row["cache_key"], 16) for row in found["entries"]] == [7, 6, 5]
        assert found["total"] == 9
        one = (await client.get(f"/api/caches/{KEY}")).raise_for_status().json()
        assert one["results"] is None and "awictl cache show" in one["problem"] and one["bytes"] == 13


async def test_why_a_query_is_not_cached(settings: Settings, manager: StateManager) -> None:
    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    await manager.cache_query_results(session_id, *QUERY.values(), [1])
    async with inspected(settings) as client:
        asked = {"filters": '{"page":2,"tag":"awi"}', "sort": '{"key":"date","order":"desc"}'}
        miss = (await client.get("/api/caches/diagnose", params=asked)).raise_for_status().json()
        expected = await manager.diagnose_query({"page": 2, "tag": "awi"}, QUERY["sort"])
        assert not miss["hit"] and miss["verdict"] == expected.verdict
        assert [one["cache_key"] for one in miss["near"]] == [KEY] and miss["near"][0]["difference"] == "order"
        assert list(miss["query"]["filters"]) == ["page", "tag"], "the order of the keys matters"
        hit = (await client.get("/api/caches/diagnose", params={"session": session_id})).raise_for_status().json()
        assert (hit["hit"], hit["cache_key"], hit["query"]) == (True, KEY, QUERY)
        empty = (await client.get("/api/caches/diagnose")).raise_for_status().json()
        assert empty["cache_key"] == cache_key({}, {})
        for wrong in ({"filters": "{"}, {"session": "sess_no"}, {"session": session_id, "sort": "{}"}):
            answer = await client.get("/api/caches/diagnose", params=wrong)
            assert answer.status_code == (404 if wrong == {"session": "sess_no"} else 400)
            assert answer.json()["detail"]


async def test_redis_away_and_back(valkey: ValkeyServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scan, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(shared_scan, "REST_FACTOR", 0)
    valkey.raw.set(f"AWI:CACHE:LIST:{KEY}", b"[]", px=600_000)
    async with inspected(proxy.settings()) as client:
        before = await settled(client, "/api/caches")
        await proxy.cut_off()
        away = await settled(client, "/api/caches")
        assert str(proxy.port) in away["problem"]
        assert (away["total"], away["at"]) == (1, before["at"]), "the last result stays, and says how old it is"
        assert (await client.get(f"/api/caches/{KEY}")).status_code == 503
        assert (await client.get("/api/caches/diagnose")).status_code == 503
        proxy.refusing = False
        assert (await settled(client, "/api/caches"))["problem"] is None


async def test_redaction(settings: Settings, manager: StateManager) -> None:
    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    filters = {"author": "mira@example.org"}
    key = await manager.cache_query_results(session_id, filters, {}, [{"contact": "mira@example.org"}])
    async with inspected(settings, redaction=parse_redaction(["default"])) as client:
        found = await settled(client, "/api/caches")
        one = await client.get(f"/api/caches/{key}")
        why = await client.get("/api/caches/diagnose", params={"session": session_id})
    assert (found["entries"][0]["cache_key"], found["entries"][0]["sessions"]) == (key, [session_id])
    assert found["entries"][0]["ttl_ms"] > 0 and one.json()["results"][0]["contact"]
    assert why.json()["hit"]
    assert not [text for text in (str(found), one.text, why.text) if "mira@example.org" in text]
