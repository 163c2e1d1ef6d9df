"""Following a session on a real server: no event is lost or repeated, and nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.documents import LAYOUTS, SESSION_ID, Layout, action, compact, document, put
from support.monitor import monitored
from support.valkey import ValkeyServer

from awictl import InvalidData, NoSession, StateManager
from awictl.diagnostics.follow import Event, EventKind, Follower

INTERVAL = 0.005


async def changes(manager: StateManager, latest: int = 5) -> AsyncIterator[Event]:
    """All events but NOTHING."""
    follower = Follower(manager.store, manager.get_archived_session, SESSION_ID, INTERVAL)
    async with aclosing(follower.events(latest)) as events:
        async for event in events:
            if event.kind is not EventKind.NOTHING:
                yield event


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
async def test_each_change_is_reported_once(manager: StateManager, valkey: ValkeyServer, layout: Layout) -> None:
    put(valkey, layout(document([0] * 8)))
    events = changes(manager)
    first = await anext(events)
    assert (first.kind, first.total, [one["t"] for one in first.actions]) == (EventKind.SESSION, 8, [3, 4, 5, 6, 7])
    assert first.head["agent_name"] == "BrowserUseAgent" and "actions" not in first.head["history"]
    await manager.update_state_with_delta(SESSION_ID, {"page_state": {"route": "/x"}}, {"action": "go"})
    event = await anext(events)
    assert (event.kind, event.total) == (EventKind.CHANGE, 9)
    assert [one["action"] for one in event.actions] == ["go"] and not event.missed
    assert event.changes.delta["page_state"] == {"route": "/x"} and "history" not in event.changes.delta
    await manager.touch_session(SESSION_ID)
    await manager.update_state_with_delta(SESSION_ID, {})
    assert [one["t"] for one in (await anext(events)).actions] == [9], "a touch alone is not a change"


async def test_no_action_is_lost_or_repeated(manager: StateManager, valkey: ValkeyServer) -> None:
    """While another client writes fast and the trajectory is trimmed."""
    put(valkey, compact(document([0])))
    total = 400

    async def write() -> None:
        async with StateManager.open(valkey.settings(max_actions=100)) as writer:
            for _ in range(total):
                await writer.update_state_with_delta(SESSION_ID, {})

    writing = asyncio.create_task(write())
    seen: list[int] = []
    async for event in changes(manager):
        assert not event.missed
        seen += [one["t"] for one in event.actions]
        if seen[-1] == total:
            break
    await writing
    assert seen == list(range(total + 1))


async def test_actions_of_the_app_whose_t_sticks_at_100(manager: StateManager, valkey: ValkeyServer) -> None:
    actions = [action(min(t, 100)) | {"observation": f"step {t}"} for t in range(300)]

    def at(last: int) -> bytes:
        kept = actions[max(0, last - 100) : last]
        return compact(document() | {"history": {"actions": kept, "last_action": kept[-1]}})

    put(valkey, at(150))
    events = changes(manager, latest=1)
    assert [one["observation"] for one in (await anext(events)).actions] == ["step 149"]
    for last, known in ((151, 150), (200, 151), (290, 200)):
        put(valkey, at(last))
        seen = [one["observation"] for one in (await anext(events)).actions]
        assert seen == [f"step {t}" for t in range(known, last)]


async def test_actions_that_were_trimmed_between_two_polls_are_reported_as_missed(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, compact(document([0])))
    events = changes(manager)
    await anext(events)
    later = [action(t) for t in range(500, 600)]
    put(valkey, compact(document() | {"history": {"actions": later, "last_action": later[-1]}}))
    event = await anext(events)
    assert event.missed and len(event.actions) == 100


async def test_the_end_is_reported_with_the_last_actions(valkey: ValkeyServer, tmp_path: Path) -> None:
    put(valkey, compact(document([0])))
    async with StateManager.open(valkey.settings(archive_url=f"sqlite:///{tmp_path}/a.db")) as manager:
        events = changes(manager)
        await anext(events)
        await manager.update_state_with_delta(SESSION_ID, {}, {"action": "last"})
        await manager.end_session(SESSION_ID)
        names = []
        async for event in events:
            names += [one["action"] for one in event.actions]
        assert names == ["last", "session_end"]
        assert event.kind is EventKind.GONE and "archive" in event.message


async def test_a_session_that_expires(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    events = changes(manager)
    await anext(events)
    valkey.raw.delete(f"AWI:SESSION:{SESSION_ID}")
    found = [event async for event in events]
    assert [event.kind for event in found] == [EventKind.GONE] and "expired" in found[0].message


async def test_a_session_that_cannot_be_read_at_first(manager: StateManager, valkey: ValkeyServer) -> None:
    with pytest.raises(NoSession):
        await anext(changes(manager))
    put(valkey, b"{")
    with pytest.raises(InvalidData):
        await anext(changes(manager))


async def test_a_server_that_stops_and_restarts(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    put(server, compact(document([0])))
    async with StateManager.open(server.settings(timeout=1)) as manager:
        events = changes(manager)
        await anext(events)
        server.kill()
        away = await anext(events)
        assert away.kind is EventKind.AWAY and str(server.socket) in away.message
        server.start()
        put(server, compact(document([0, 0])))
        kinds: list[EventKind] = []
        actions: list[Any] = []
        async for event in events:  # the server may be back before the session is
            kinds.append(event.kind)
            actions += event.actions
            if event.kind in (EventKind.BACK, EventKind.GONE):
                break
        assert kinds[-1] is EventKind.BACK and [one["t"] for one in actions] == [1]


async def test_invalid_data_is_reported_and_following_goes_on(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    events = changes(manager)
    await anext(events)
    put(valkey, b"{")
    assert (await anext(events)).kind is EventKind.AWAY
    put(valkey, compact(document([0, 0])))
    event = await anext(events)
    assert event.kind is EventKind.BACK and [one["t"] for one in event.actions] == [1]


async def test_following_writes_nothing(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    follower = Follower(manager.store, manager.get_archived_session, SESSION_ID, INTERVAL)
    with monitored(valkey) as seen:
        async with aclosing(follower.events(5)) as events:
            for _ in range(3):
                await anext(events)
    assert set(seen.names) <= {"EVAL", "EVALSHA", "GETRANGE", "STRLEN", "PTTL"}
