"""The events of the page of a session: what happened, nothing twice, and recovery from everything."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from support.cli import unchanged
from support.documents import AGENT_ID, SESSION_ID, action, compact, document, put
from support.fallback_site import Site
from support.mongo import MongoServer
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.byte_layout import encode
from awictl.document.json_codec import loads
from awictl.document.redaction.rules import parse_redaction
from awictl.sessions.whole_session import WholeSession
from awictl.store import breaker
from awictl.ui.api import session_events
from awictl.ui.api.session_events import SessionEvents
from awictl.ui.api.session_payload import session_payload

Open = Callable[..., "Watched"]


class Watched:
    """The page of a session."""

    def __init__(self, manager: StateManager, redaction: Any = None) -> None:
        self._events = SessionEvents(manager, SESSION_ID, redaction, asyncio.Semaphore(1)).events()

    async def next(self) -> tuple[str, Any]:
        name, value = await asyncio.wait_for(anext(self._events), 60)
        return name, loads(value) if isinstance(value, bytes) else value

    async def names(self, count: int) -> list[str]:
        return [(await self.next())[0] for _ in range(count)]

    async def close(self) -> None:
        await self._events.aclose()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_events, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(session_events, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(session_events, "REFRESH_SECONDS", 0.05)


@pytest.fixture
def archiving(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    return valkey.settings(mongodb_uri=mongo.uri)


@pytest.fixture
async def writer(archiving: Settings) -> AsyncIterator[StateManager]:
    async with StateManager.open(archiving) as manager:
        yield manager


@pytest.fixture
async def watch(archiving: Settings) -> AsyncIterator[Open]:
    """Opens pages, whose manager is read-only."""
    pages: list[Watched] = []
    async with StateManager.open(replace(archiving, read_only=True)) as manager:

        def opened(redaction: Any = None) -> Watched:
            pages.append(Watched(manager, redaction))
            return pages[-1]

        yield opened
        for page in pages:
            await page.close()


async def test_an_open_page_does_not_keep_its_session_in_memory(
    watch: Open, writer: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[weakref.ref[WholeSession]] = []

    def payload(whole: WholeSession, redaction: Any) -> Any:
        found.append(weakref.ref(whole))
        return session_payload(whole, redaction)

    monkeypatch.setattr(session_events, "session_payload", payload)
    put(valkey, encode(document([0] * 4)))
    page = watch()
    assert (await page.next())[0] == "session"
    await writer.update_state_with_delta(SESSION_ID, {"a": 1})
    assert (await page.next())[0] == "change"
    gc.collect()
    assert [one() for one in found] == [None]


async def test_a_session_that_begins_again_within_what_is_archived_is_read_anew(
    watch: Open, writer: StateManager, valkey: ValkeyServer
) -> None:
    """Its actions, as Redis has them, do not follow the newest ones that the page shows, which only the archive has."""
    put(valkey, encode(document([0] * 12)))
    await writer.end_session(SESSION_ID)
    earlier = document([0] * 6)
    del earlier["history"]["actions"][:2]
    put(valkey, encode(earlier))
    page = watch()
    name, payload = await page.next()
    assert (name, payload["place"]) == ("session", "live")
    assert payload["steps"][-1]["ordinal"] > 5
    await writer.update_state_with_delta(SESSION_ID, {"a": 1})
    name, payload = await page.next()
    assert name == "session"
    assert payload["head"]["a"] == 1


async def test_each_change_is_an_event(watch: Open, writer: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0] * 4)))
    page = watch()
    name, payload = await page.next()
    assert (name, payload["place"], [one["ordinal"] for one in payload["steps"]]) == ("session", "live", [0, 1, 2, 3])
    await writer.touch_session(SESSION_ID, ttl_ms=900_000)
    name, ttl = await page.next()
    assert name == "ttl" and 890_000 < ttl["ttl_ms"] <= 900_000 and ttl["now"] > payload["now"]
    for number in range(2):
        await writer.update_state_with_delta(SESSION_ID, {"n": number}, {"action": f"go {number}"})
    found: list[Any] = []
    while len(found) < 2:
        name, change = await page.next()
        assert name == "change"
        found += change["steps"]
    assert [(one["ordinal"], one["action"]["action"]) for one in found] == [(4, "go 0"), (5, "go 1")]
    stored = await writer.get_session_state(SESSION_ID)
    assert stored is not None
    assert change["head"] == {**stored, "history": {"last_action": stored["history"]["last_action"]}}
    assert change["bytes"] == len(valkey.raw.get(f"AWI:SESSION:{SESSION_ID}")) and change["ttl_ms"] > 1_700_000


async def test_no_action_is_lost_or_repeated_while_the_session_is_trimmed(
    watch: Open, valkey: ValkeyServer, archiving: Settings
) -> None:
    put(valkey, encode(document([0])))
    page, total = watch(), 150
    ordinals = [one["ordinal"] for one in (await page.next())[1]["steps"]]

    async def write() -> None:
        async with StateManager.open(replace(archiving, max_actions=40)) as writer:
            for number in range(total):
                await writer.update_state_with_delta(SESSION_ID, {"n": number})

    writing = asyncio.create_task(write())
    while ordinals[-1] < total:
        name, value = await page.next()
        assert name == "change"
        ordinals += [one["ordinal"] for one in value["steps"]]
        assert value["head"]["n"] == value["steps"][-1]["ordinal"] - 1
    await writing
    assert ordinals == list(range(total + 1))


async def test_what_another_writer_overwrote_is_read_anew(watch: Open, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0] * 6)))
    page = watch()
    await page.next()
    other = document([0] * 3)
    other["history"]["actions"].append(action(3) | {"action": "of the app"})
    put(valkey, compact(other))
    name, payload = await page.next()
    assert name == "session" and [one["action"]["action"] for one in payload["steps"]][-1] == "of the app"
    assert payload["head"] == {**other, "history": {"last_action": other["history"]["last_action"]}}


async def test_the_end_and_the_return_of_a_session(watch: Open, writer: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0] * 3)))
    page = watch()
    await page.next()
    await writer.end_session(SESSION_ID)
    name, value = await page.next()
    while name in ("change", "session"):  # its end may be seen before it has been archived
        assert value.get("place") != "archived"
        name, value = await page.next()
    assert name == "gone" and "archive" in value["message"]
    name, payload = await page.next()
    assert (name, payload["place"]) == ("session", "archived")
    assert payload["steps"][-1]["action"]["action"] == "session_end"
    await writer.restore_session(SESSION_ID)
    assert await page.names(1) == ["back"]
    name, payload = await page.next()
    assert (name, payload["place"], len(payload["steps"])) == ("session", "live", 4)
    await writer.discard_session(SESSION_ID)
    page_of_archive = watch()
    assert (await page_of_archive.next())[1]["place"] == "archived"
    await writer.restore_session(SESSION_ID)
    name, payload = await page_of_archive.next()
    assert (name, payload["place"]) == ("session", "live")


async def test_a_session_that_expires_and_is_created_again(watch: Open, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0])))
    page = watch()
    await page.next()
    valkey.raw.delete(f"AWI:SESSION:{SESSION_ID}")
    name, value = await page.next()
    assert name == "gone" and "expired" in value["message"]
    put(valkey, encode(document([0, 0])))
    assert await page.names(1) == ["back"]
    assert len((await page.next())[1]["steps"]) == 2


async def test_sessions_that_cannot_be_shown_at_first(watch: Open, valkey: ValkeyServer) -> None:
    page = watch()
    name, problem = await page.next()
    assert (name, problem["status"]) == ("unreadable", 404)
    assert "`awictl session list -o ids`" in problem["detail"], "it is explained"
    put(valkey, b'{"session_id":')
    name, problem = await page.next()
    assert (name, problem["status"]) == ("unreadable", 422) and "not valid JSON" in problem["detail"]
    put(valkey, encode(document([0])))
    assert await page.names(1) == ["session"]
    put(valkey, b"[]")
    name, value = await page.next()
    assert name == "away" and "cannot be read" in value["message"]
    put(valkey, encode(document([0, 0])))
    assert await page.names(2) == ["back", "session"]


async def test_redis_goes_away_and_comes_back(
    valkey: ValkeyServer, proxy: Proxy, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", (0.02,))
    put(valkey, encode(document([0])))
    settings = proxy.settings(mongodb_uri=mongo.uri, timeout=0.3)
    async with StateManager.open(settings) as manager:
        page = Watched(manager)
        assert await page.names(1) == ["session"]
        await proxy.cut_off()
        name, value = await page.next()
        assert name == "away" and "127.0.0.1" in value["message"]
        await asyncio.sleep(0.05)
        proxy.refusing = False
        assert await page.names(2) == ["back", "session"]
        await proxy.cut_off()
        assert await page.names(1) == ["away"]
        valkey.raw.delete(f"AWI:SESSION:{SESSION_ID}")
        proxy.refusing = False
        name, value = await page.next()
        assert name == "gone" and "there is no session" in value["message"]
        await page.close()


async def test_an_archived_session_while_redis_is_away(site: Site) -> None:
    """Redis may have a newer state, which the page says."""
    await site.manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await site.manager.end_session(SESSION_ID)
    page = Watched(site.manager)
    name, payload = await page.next()
    assert (name, payload["place"], payload["degraded"]) == ("session", "archived", False)
    await site.redis_away()
    name, payload = await page.next()
    assert (name, payload["place"], payload["degraded"]) == ("session", "archived", True)
    assert "may have a newer state" in payload["origin"]
    await site.redis_back()
    name, payload = await page.next()
    assert (name, payload["place"], payload["degraded"]) == ("session", "archived", False)
    await page.close()


async def test_what_the_journal_has_while_redis_is_away(site: Site) -> None:
    """The page goes on with what is recorded in MongoDB, and with what Redis has when it is back."""
    await site.manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    page = Watched(site.manager)
    assert await page.names(1) == ["session"]
    await site.redis_away()
    await site.manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"action": "meanwhile"})
    name, _ = await page.next()
    while name != "away":
        name, _ = await page.next()
    name, payload = await page.next()
    assert (name, payload["degraded"]) == ("session", True) and payload["origin"]
    await site.manager.update_state_with_delta(SESSION_ID, {"n": 2}, {"action": "meanwhile"})
    while payload["head"].get("n") != 2:
        name, payload = await page.next()
        assert (name, payload["degraded"]) == ("session", True)
    await site.redis_back()
    await site.manager.bring_home()
    name, payload = await page.next()
    while name != "back":
        name, payload = await page.next()
    name, payload = await page.next()
    assert (name, payload["degraded"]) == ("session", False)
    await page.close()


async def test_with_redaction_the_whole_session_is_sent_again(
    watch: Open, writer: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, encode(document([0], note="mail mira@example.com")))
    page = watch(parse_redaction(["default", "/page_state/filters"]))
    sent = [await page.next()]
    await writer.update_state_with_delta(
        SESSION_ID, {"page_state": {"filters": {"q": "hidden words"}}, "x": "a@b.example"}
    )
    sent.append(await page.next())
    assert [name for name, _ in sent] == ["session", "session"] and len(sent[1][1]["steps"]) == 2
    text = json.dumps(sent)
    assert not [secret for secret in ("mira@", "hidden words", "a@b.example") if secret in text]


async def test_nothing_is_written(watch: Open, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0] * 3)))
    with unchanged(valkey):
        page = watch()
        await page.next()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(page.next(), 0.05)


async def test_an_archived_session_is_read_again_until_the_archive_is_back(
    valkey: ValkeyServer, new_mongo: Callable[[], MongoServer]
) -> None:
    server = new_mongo()
    put(valkey, encode(document([0])))
    async with StateManager.open(valkey.settings(mongodb_uri=server.uri, timeout=0.3)) as manager:
        await manager.end_session(SESSION_ID)
        server.kill()
        page = Watched(manager)
        name, problem = await page.next()
        assert (name, problem["status"]) == ("unreadable", 503)
        server.start()
        while (name := (await page.next())[0]) == "unreadable":
            pass
        assert name == "session"
        await page.close()
