"""`manager.verifier` on real servers: live and archived sessions, and what differs between the two."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from support.damage import anywhere, changed, stored
from support.documents import app_update, diff_key, put, session_key
from support.documents import stored as string_of
from support.lives import random_life
from support.valkey import ValkeyServer

from awictl import NotFound, Settings, StateManager
from awictl.archive.snapshot import Snapshot
from awictl.document.byte_layout import decode, encode
from awictl.document.keys import ENDING_KEY
from awictl.document.timestamps import timestamp
from awictl.document.verification.discrepancy import DamageKind
from awictl.sessions.verify import Verified

COUNTS = pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.soak)])


@pytest.fixture
async def manager(archived: Settings) -> AsyncIterator[StateManager]:
    async with StateManager.open(archived) as opened:
        yield opened


async def a_session(manager: StateManager, updates: int = 3) -> str:
    made = await manager.initialize_session("agent", "Agent", "/posts")
    for number in range(updates):
        await manager.update_state_with_delta(made["session_id"], {"page_state": {"pagination": {"cursor": number}}})
    return str(made["session_id"])


async def archive(manager: StateManager, session_id: str) -> None:
    """Archive a session as it is now."""
    found = await manager.read_session(session_id)
    assert (await manager.required_archive().save([Snapshot.parse(session_id, found.raw)])) == {session_id: None}


def texts(found: Verified) -> list[str]:
    return [one.text for one in found.differences]


async def every(manager: StateManager, rate: float | None = None) -> dict[str, Verified]:
    return {one.session_id: one async for batch in manager.verifier.verify_all(rate) for one in batch}


async def test_live_archived_and_both(manager: StateManager, valkey: ValkeyServer) -> None:
    both, live, ended = [await a_session(manager) for _ in range(3)]
    await archive(manager, both)
    await manager.update_state_with_delta(both, {"page_state": {"filters": {"tag": "x"}}}, {"success": False})
    await manager.end_session(ended)
    put(valkey, b"{", "sess_broken")
    found = await every(manager)
    assert {name: one.where for name, one in found.items()} == {
        both: "both", live: "live", ended: "archived", "sess_broken": "live"
    }  # fmt: skip
    assert [found[one].is_sound for one in (both, live, ended, "sess_broken")] == [True, True, True, False]
    assert found[both].actions == 5 and found[ended].actions == 5
    [broken] = found["sess_broken"].differences
    assert broken.kind is DamageKind.UNREADABLE and "not valid JSON" in broken.text
    for session_id, one in found.items():
        assert await manager.verifier.verify(session_id) == one
    assert (await every(manager, rate=10_000)).keys() == found.keys()
    with pytest.raises(NotFound):
        await manager.verifier.verify("sess_missing")


async def test_reading_changes_nothing(manager: StateManager, valkey: ValkeyServer) -> None:
    session_id = await a_session(manager)
    await archive(manager, session_id)
    before = valkey.raw.dump(session_key(session_id)), valkey.raw.pttl(session_key(session_id))
    await every(manager)
    assert valkey.raw.dump(session_key(session_id)) == before[0]
    assert valkey.raw.pttl(session_key(session_id)) <= before[1]


async def test_the_last_delta(manager: StateManager, valkey: ValkeyServer) -> None:
    session_id = await a_session(manager)
    valkey.raw.set(diff_key(session_id), b'{"delta":{},"action":{"t":1}}', ex=100)
    [difference] = (await manager.verifier.verify(session_id)).differences
    assert difference.kind is DamageKind.DIFF
    valkey.raw.set(diff_key(session_id), b"{", ex=100)
    [difference] = (await manager.verifier.verify(session_id)).differences
    assert difference.text.startswith("AWI:DIFF is unreadable")


@COUNTS
async def test_any_damage_is_found_with_a_copy(manager: StateManager, valkey: ValkeyServer, count: int) -> None:
    """The archived copy may be an earlier version: then what was there when it was archived is compared."""
    for seed in range(count):
        chance = random.Random(seed)
        life = random_life(seed)
        session_id = f"sess_{seed}"
        document = {**life.document, "session_id": session_id}
        put(valkey, stored(document, chance), session_id)
        await archive(manager, session_id)
        assert texts(await manager.verifier.verify(session_id)) == [], seed
        what, damaged = anywhere(document, chance)
        put(valkey, stored(damaged, chance), session_id)
        assert (await manager.verifier.verify(session_id)).differences, (seed, what)


async def test_damage_to_an_earlier_version(manager: StateManager, valkey: ValkeyServer) -> None:
    session_id = await a_session(manager)
    await archive(manager, session_id)
    await manager.update_state_with_delta(session_id, {"page_state": {"filters": {"tag": "x"}}})
    app_update(valkey, "2126-11-23T07:09:41.403Z", session_id)
    assert texts(await manager.verifier.verify(session_id)) == []
    document = decode(string_of(valkey, session_id))
    expected: list[tuple[tuple[Any, ...], str]] = [
        (("agent_name",), '/agent_name is "x", but no action set it, and the archived version has "Agent"'),
        (("history", "actions", 1, "input"), "/history/actions/1/input is not as in the archived copy"),
        (("agent_id",), "/agent_id is another agent than that of the archived session"),
    ]
    for path, text in expected:
        put(valkey, encode(changed(document, path, "x")), session_id)
        assert texts(await manager.verifier.verify(session_id)) == [text]


async def test_actions_that_redis_lost(manager: StateManager, valkey: ValkeyServer) -> None:
    session_id = await a_session(manager)
    before = string_of(valkey, session_id)
    await manager.update_state_with_delta(session_id, {"note": 1})
    await archive(manager, session_id)
    put(valkey, before, session_id)
    valkey.raw.delete(diff_key(session_id))
    found = await manager.verifier.verify(session_id)
    assert texts(found) == ["The archived copy has 1 later action, from number 4 on"]
    put(valkey, before, session_id)
    app_update(valkey, "2126-11-23T07:09:41.403Z", session_id)
    assert "another writer overwrote that one" in texts(await manager.verifier.verify(session_id))[0]
    await archive(manager, session_id)
    assert texts(await manager.verifier.verify(session_id)) == [], "the archive has noted that it was overwritten"


async def test_trimmed_actions(archived: Settings, valkey: ValkeyServer) -> None:
    async with StateManager.open(replace(archived, max_actions=5)) as manager:
        session_id = await a_session(manager, 12)
        found = await manager.verifier.verify(session_id)
        assert (found.differences, found.notes) == ([], []), "the archive has the first ones"
        await archive(manager, session_id)
        found = await manager.verifier.verify(session_id)
        assert (found.differences, found.notes) == ([], [])
        document = decode(string_of(valkey, session_id))
        put(valkey, encode(changed(document, ("permissions", "can_view_sensitive_info"), True)), session_id)
        assert len(texts(await manager.verifier.verify(session_id))) == 1, "the beginning is known from the archive"
        await manager.update_state_with_delta(session_id, {"note": 1})
        await manager.update_state_with_delta(session_id, {"note": 2})
        valkey.raw.delete(session_key(session_id))
        found = await manager.verifier.verify(session_id)
        assert found.where == "archived" and not found.differences


async def test_a_damaged_number_costs_neither_time_nor_memory(manager: StateManager, valkey: ValkeyServer) -> None:
    """By the number of its first action, millions of millions before it are missing."""
    session_id = await a_session(manager)
    document = decode(string_of(valkey, session_id))
    for number, action in enumerate(document["history"]["actions"], 2**52):
        action |= {"t": number, "action": "next_page"}
    put(valkey, encode(document), session_id)
    await archive(manager, session_id)
    assert "actions 0 to 4503599627370495 are missing" in (await manager.verifier.verify(session_id)).notes


@pytest.mark.parametrize("rounds", [8, pytest.param(200, marks=pytest.mark.soak)])
async def test_sessions_that_change_meanwhile_are_sound(archived: Settings, valkey: ValkeyServer, rounds: int) -> None:
    """Updates, trims, snapshots, ends and writes of the app go on while all sessions are verified again and again."""
    async with StateManager.open(replace(archived, max_actions=12)) as manager:
        ids = [await a_session(manager) for _ in range(8)]
        running = True

        async def busy(number: int, session_id: str) -> None:
            for step in range(100_000):
                if not running:
                    return
                if step % 7 == 3:
                    await archive(manager, session_id)
                if step % 23 == 9 + number:
                    await manager.end_session(session_id)
                    session_id = await a_session(manager)
                await manager.update_state_with_delta(session_id, {"page_state": {"filters": {"step": step}}})
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(busy(number, one)) for number, one in enumerate(ids)]
        for _ in range(rounds):
            for one in (await every(manager)).values():
                assert texts(one) == [], one
        running = False
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("seeds", [3, pytest.param(100, marks=pytest.mark.soak)])
async def test_a_session_of_both_is_sound_with_any_copy(archived: Settings, valkey: ValkeyServer, seeds: int) -> None:
    """awictl and the app update a session, awictl trims and archives it: at any time, it and its copy are sound."""
    for seed in range(seeds):
        chance = random.Random(seed)
        limit = chance.choice([5, 15, 120])
        async with StateManager.open(replace(archived, max_actions=limit)) as manager:
            session_id = await a_session(manager, 0)
            for number in range(60 if limit < 100 else 260):
                kind = chance.random()
                if kind < 0.5:
                    page = {chance.choice("abc"): chance.choice([1, None, {"x": number}])}
                    await manager.update_state_with_delta(session_id, {"page_state": {"filters": page}})
                elif kind < 0.9:
                    app_update(valkey, timestamp(), session_id)
                else:
                    await archive(manager, session_id)
                if chance.random() < 0.2:
                    found = await manager.verifier.verify(session_id)
                    assert texts(found) == [], (seed, number)


async def test_actions_that_the_archive_lost(archived: Settings, valkey: ValkeyServer) -> None:
    async with StateManager.open(replace(archived, max_actions=5)) as manager:
        session_id = await a_session(manager, 12)
        await archive(manager, session_id)
        url = str(manager.settings.archive_url).removeprefix("sqlite:///")
        with closing(sqlite3.connect(url)) as database, database:
            table = next(name for (name,) in database.execute("SELECT name FROM sqlite_master") if "action" in name)
            database.execute(f"DELETE FROM {table}")  # noqa: S608
        found = await manager.verifier.verify(session_id)
        assert texts(found) == [
            "The archive lacks 8 earlier actions that it once had, from number 0 on: deleted, or damaged"
        ]
        valkey.raw.delete(session_key(session_id))
        assert texts(await manager.verifier.verify(session_id)) == texts(found)


async def test_a_session_that_is_being_ended(manager: StateManager, valkey: ValkeyServer) -> None:
    session_id = await a_session(manager)
    raw = string_of(valkey, session_id)
    valkey.raw.hset(ENDING_KEY, session_id, raw)
    valkey.raw.delete(session_key(session_id))
    found = await manager.verifier.verify(session_id)
    assert (found.where, found.differences, found.notes) == ("live", [], ["it is being ended"])
    assert await every(manager) == {session_id: found}
