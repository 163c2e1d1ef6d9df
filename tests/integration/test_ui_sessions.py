"""The list of sessions of the inspector: what is in it, in which order, and how it is kept up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.documents import compact, document, put
from support.mongo import MongoServer
from support.monitor import monitored
from support.proxy import Proxy
from support.ui_client import inspected, streamed
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.byte_layout import encode
from awictl.document.redaction.rules import parse_redaction
from awictl.ui.listing import listing, listings

PATH = "/api/sessions/events"


@pytest.fixture
def settings(valkey: ValkeyServer, tmp_path: Path) -> Settings:
    """Settings with an archive in a file."""
    return valkey.settings(archive_url=f"sqlite:///{tmp_path}/archive.db")


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with inspected(settings) as opened:
        yield opened


def stored(valkey: ValkeyServer, session_id: str, *, seconds: int | None = 500, **fields: Any) -> None:
    """Store a session of agent `agent`, on `route`, with `failed` of its `actions`, last active at `at`."""
    agent = fields.get("agent", "a")
    made = document([0] * fields.get("actions", 0), session_id, agent_id=fields.get("agent_id", f"id-{agent}"))
    made |= {"agent_name": agent, "padding": "x" * fields.get("size", 0)}
    made["page_state"]["route"] = fields.get("route", "/")
    made["statistics"] |= {"failed_actions": fields.get("failed", 0), "total_actions": fields.get("actions", 0)}
    made["statistics"]["last_activity"] = fields.get("at", "2026-11-20T10:00:00.000Z")
    put(valkey, encode(made), session_id, seconds=seconds)


async def end(manager: StateManager, agent: str) -> str:
    session_id: str = (await manager.initialize_session(agent, agent))["session_id"]
    await manager.end_session(session_id)
    return session_id


def ids(window: Any) -> list[str]:
    return [row["session_id"].removeprefix("sess_") for row in window["rows"]]


async def complete(client: httpx.AsyncClient, **params: Any) -> Any:
    """The first window with all sessions."""
    async with streamed(client, PATH, **params) as stream:
        return await stream.until(lambda window: window["complete"] and window["read"], "window")


async def test_live_and_archived_sessions(
    valkey: ValkeyServer, manager: StateManager, client: httpx.AsyncClient
) -> None:
    stored(valkey, "sess_one", agent="zed", route="/posts", actions=4, failed=1, size=100)
    ended = await end(manager, "old")
    put(valkey, b"{", "sess_broken")
    window = await complete(client, sort="id", order="asc")
    rows = {row["session_id"]: row for row in window["rows"]}
    assert (window["total"], window["read"], window["offset"]) == (3, 3, 0)
    assert (window["degraded"], window["problem"]) == (None, None)
    one = rows["sess_one"]
    assert 490_000 < one.pop("ttl_ms") <= 500_000 and one.pop("bytes") > 100
    assert one == {
        "session_id": "sess_one", "agent_id": "id-zed", "agent_name": "zed", "route": "/posts", "total_actions": 4,
        "failed_actions": 1, "last_activity": "2026-11-20T10:00:00.000Z", "state": "live", "place": "live",
        "error": None,
    }  # fmt: skip
    old = rows[ended]
    assert (old["place"], old["state"], old["agent_name"], old["ttl_ms"]) == ("archived", "ended", "old", None)
    broken = rows["sess_broken"]
    assert broken["state"] == "unreadable" and broken["error"] and broken["total_actions"] is None
    assert ids(await complete(client, archived="0")) == ["one", "broken"]


async def test_a_session_that_is_live_and_archived_is_listed_as_live(
    valkey: ValkeyServer, manager: StateManager, client: httpx.AsyncClient
) -> None:
    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    sweeper = manager.sweeper(86_400_000)
    await sweeper.sweep(await sweeper.candidates())
    await manager.update_state_with_delta(session_id, {"page_state": {"route": "/now"}})
    window = await complete(client)
    assert [(row["place"], row["route"]) for row in window["rows"]] == [("live", "/now")]
    # nor as archived, if only the archived version matches
    assert (await complete(client, where='route == "/"'))["rows"] == []


async def test_every_order(valkey: ValkeyServer, manager: StateManager, client: httpx.AsyncClient) -> None:
    stored(valkey, "sess_a", agent="n", route="/2", actions=9, failed=2, size=9_000, at="2026-11-20T10:00:00.003Z")
    stored(valkey, "sess_b", agent="m", route="/3", actions=7, failed=2, size=500, seconds=90)
    stored(valkey, "sess_c", agent="o", route="/1", actions=8, size=5_800, seconds=None, at="2026-11-20T10:00:00.005Z")
    stored(valkey, "sess_d", agent="m", route="/3", actions=11, failed=1, size=2_000, seconds=70)
    put(valkey, b"[]", "sess_e", seconds=80)
    expected = {
        "activity": "bdace", "ttl": "debac", "actions": "bcade", "failed": "cdabe", "bytes": "ebdca", "agent": "bdace",
        "route": "cabde", "state": "abcde", "id": "abcde",
    }  # fmt: skip
    # what is unknown is last, and equal sessions are in the order of their ids, in both directions
    reverse = {
        "activity": "cabde", "ttl": "abedc", "actions": "dacbe", "failed": "abdce", "bytes": "acdbe", "agent": "cabde",
        "route": "bdace", "state": "eabcd", "id": "edcba",
    }  # fmt: skip
    for order, orders in (("asc", expected), ("desc", reverse)):
        for sort, names in orders.items():
            window = await complete(client, sort=sort, order=order)
            assert "".join(ids(window)) == names, (sort, order)
    part = await complete(client, sort="id", order="asc", offset=1, limit=2)
    assert (ids(part), part["offset"], part["total"]) == (["b", "c"], 1, 5)


async def test_the_filter_is_that_of_the_command(valkey: ValkeyServer, client: httpx.AsyncClient) -> None:
    for number in range(3):
        stored(valkey, f"sess_{number}", agent=f"agent-{number}", failed=number)
    window = await complete(client, where="failed > 0 and agent != 'agent-2'")
    assert (ids(window), window["total"], window["read"]) == (["1"], 1, 3)
    assert (await complete(client, where='state.page_state.route == "/x"'))["total"] == 0
    response = await client.get(PATH, params={"where": "agnet == 'x'"})
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert response.json()["detail"] == "at column 1: there is no field agnet (did you mean agent?)"
    for wrong in (
        {"sort": "x"},
        {"order": "up"},
        {"offset": "-1"},
        {"limit": "201"},
        {"limit": "²"},
        {"archived": "2"},
    ):
        assert (await client.get(PATH, params=wrong)).status_code == 400


async def test_changes_appear(valkey: ValkeyServer, manager: StateManager, client: httpx.AsyncClient) -> None:
    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    async with streamed(client, PATH, sort="id", order="asc") as stream:
        await stream.until(lambda window: window["complete"] and window["total"] == 1)
        await manager.update_state_with_delta(session_id, {"page_state": {"route": "/new"}}, {"success": False})
        row = (await stream.until(lambda window: window["rows"][0]["route"] == "/new"))["rows"][0]
        assert (row["total_actions"], row["failed_actions"]) == (1, 1)
        stored(valkey, "sess_0")
        await stream.until(lambda window: window["total"] == 2 and ids(window)[0] == "0")
        await manager.end_session(session_id)
        row = (await stream.until(lambda window: window["rows"][1]["place"] == "archived"))["rows"][1]
        assert row["state"] == "ended"
        valkey.raw.delete("AWI:SESSION:sess_0")
        await stream.until(lambda window: window["total"] == 1)


async def test_pages_share_a_list(
    valkey: ValkeyServer, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCAN_PAUSE", 1e9)
    monkeypatch.setattr(listings, "MOST_LISTINGS", 2)
    stored(valkey, "sess_a")
    with monitored(valkey) as recorded:
        async with (
            streamed(client, PATH) as first,
            streamed(client, PATH, sort="route", order="asc") as second,
            streamed(client, PATH, where="failed == 0") as third,
        ):
            for stream in (first, second, third):
                await stream.until(lambda window: window["total"] == 1)
            async with streamed(client, PATH, where="failed == 1") as fourth:
                name, problem = await fourth.next()
                assert (name, problem["status"]) == ("problem", 503)
                assert "2 lists with different filters are open" in problem["detail"]
        # the lists that no page shows any more make room, and one is there again at once
        async with streamed(client, PATH, where="failed == 0") as again:
            assert (await again.next())[1]["total"] == 1
        assert (await complete(client, where="failed == 1"))["total"] == 0
    assert recorded.names.count("SCAN") == 3


async def test_redis_away_and_back(valkey: ValkeyServer, manager: StateManager, proxy: Proxy, tmp_path: Path) -> None:
    ended = await end(manager, "old")
    stored(valkey, "sess_a")
    settings = proxy.settings(archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with inspected(settings) as client, streamed(client, PATH, sort="id", order="desc") as stream:
        await stream.until(lambda window: window["total"] == 2 and window["complete"])
        await proxy.cut_off()
        window = await stream.until(lambda window: window["degraded"])
        assert window["total"] == 2 and "live sessions are as they were" in window["degraded"]
        # a page that is opened meanwhile shows what the archive has
        async with streamed(client, PATH, where="actions >= 0") as other:
            window = await other.until(lambda window: window["total"] == 1)
            assert window["rows"][0]["session_id"] == ended and str(proxy.port) in window["degraded"]
            proxy.refusing = False
            stored(valkey, "sess_b")
            await other.until(lambda window: window["total"] == 3 and not window["degraded"])
        await stream.until(lambda window: window["total"] == 3 and not window["degraded"])


async def test_an_app_document_on_the_page_is_read_again_only_if_it_changes(
    valkey: ValkeyServer, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCAN_PAUSE", 1e9)
    put(valkey, compact(document([1, 2], "sess_app")), "sess_app")
    async with streamed(client, PATH) as stream:
        size = (await stream.until(lambda window: window["complete"]))["rows"][0]["bytes"]
        with monitored(valkey) as recorded:
            put(valkey, compact(document([1, 2, 3], "sess_app")), "sess_app")
            await stream.until(lambda window: window["rows"][0]["bytes"] > size)
            valkey.raw.delete("AWI:SESSION:sess_app")
            await stream.until(lambda window: window["rows"][0]["state"] == "gone")
    assert "SCAN" not in recorded.names
    assert recorded.names.count("GETRANGE") <= 2


async def test_live_sessions_in_mongodb(mongo: MongoServer) -> None:
    settings = Settings(use_redis=False, mongodb_uri=mongo.uri)
    async with StateManager.open(settings) as manager, inspected(settings) as client:
        session_id = (await manager.initialize_session("a", "A"))["session_id"]
        async with streamed(client, PATH) as stream:
            window = await stream.until(lambda window: window["complete"] and window["total"])
            row = window["rows"][0]
            assert (row["session_id"], row["place"], window["degraded"]) == (session_id, "live", None)
            await manager.update_state_with_delta(session_id, {"page_state": {"route": "/new"}})
            await stream.until(lambda window: window["rows"][0]["route"] == "/new")
            await manager.end_session(session_id)
            await stream.until(lambda window: window["total"] and window["rows"][0]["place"] == "archived")


async def test_secrets_are_redacted(valkey: ValkeyServer, settings: Settings) -> None:
    stored(valkey, "sess_a", agent="someone@example.com", agent_id="id-1", route="/login?password=hunter22")
    secret = f"agent_{'0123456789abcdef' * 4}"
    stored(valkey, "sess_b", agent=secret)
    async with inspected(settings) as client:
        names = [row["agent_name"] for row in (await complete(client, sort="id", order="asc"))["rows"]]
        assert names[0] == "someone@example.com" and secret not in names[1]
    redaction = parse_redaction(["default", "/page_state/route", "/statistics/failed_actions"])
    async with inspected(settings, redaction=redaction) as client:
        rows = (await complete(client, sort="id", order="asc"))["rows"]
        assert "example.com" not in str(rows) and "hunter22" not in str(rows) and secret not in str(rows)
        assert [row["session_id"] for row in rows] == ["sess_a", "sess_b"]
        assert (rows[0]["route"], rows[0]["failed_actions"], rows[0]["total_actions"]) == ("<value-1>", None, 0)
    async with inspected(settings, redaction=parse_redaction(["/page_state", "/statistics", "/agent_id"])) as client:
        row = (await complete(client, sort="id", order="asc"))["rows"][0]
        assert "login" not in str(row) and "id-" not in str(row)
        assert (row["agent_name"], row["total_actions"], row["last_activity"]) == ("someone@example.com", None, None)
