"""Sessions that are selected by an expression: what is found, and that only what still matches ends."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.documents import LAYOUTS, SESSION_ID, document, put
from support.mongo import MongoServer
from support.valkey import ValkeyServer, free_port

from awictl import Settings, StateManager, Unreachable, UpdateConflict
from awictl.document.byte_layout import encode
from awictl.sessions.end import MAX_VERSIONS
from awictl.sessions.where.fields import Place
from awictl.sessions.where.grammar import parse
from awictl.store.base import Stored
from awictl.util.batched import batched

UNTAGGED = parse("state.tag == null")


@pytest.fixture(params=["redis", "mongo"])
async def manager(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StateManager]:
    """A manager of each kind of live store, with an archive in a file."""
    archive = f"sqlite:///{tmp_path}/archive.db"
    if request.param == "mongo":
        mongo: MongoServer = request.getfixturevalue("mongo")
        settings = Settings(use_redis=False, mongodb_uri=mongo.uri, archive_url=archive)
    else:
        valkey: ValkeyServer = request.getfixturevalue("valkey")
        settings = valkey.settings(archive_url=archive)
    async with StateManager.open(settings) as opened:
        yield opened


async def create(manager: StateManager, agent: str = "agent") -> str:
    created: str = (await manager.initialize_session(agent, agent))["session_id"]
    return created


async def selected(manager: StateManager, where: str | None = None, **options: Any) -> dict[str, Place]:
    """The ids of what is found, each once, and where."""
    found: list[tuple[str, Place]] = []
    async for batch in manager.selection.find(parse(where) if where is not None else None, **options):
        found += [(one.summary.session_id, batch.place) for one in batch.sessions]
    assert len(found) == len(dict(found))
    return dict(found)


async def sweep(manager: StateManager) -> None:
    """Archive all live sessions, which stay live."""
    sweeper = manager.sweeper(86_400_000)
    await sweeper.sweep(await sweeper.candidates())


def after_reading(manager: StateManager, *meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Await one of `meanwhile` after each read of a session, as long as there are any."""
    read, pending = manager.store.read, list(meanwhile)

    async def and_then(session_id: str) -> Stored | None:
        stored = await read(session_id)
        if pending:
            await pending.pop(0)()
        return stored

    manager.store.read = and_then  # type: ignore[method-assign]


async def test_a_session_that_stops_matching_before_it_is_taken_does_not_end(manager: StateManager) -> None:
    session_id = await create(manager)

    async def tag() -> None:
        await manager.update_state_with_delta(session_id, {"tag": "kept"})

    after_reading(manager, tag)
    assert await manager.selection.end(session_id, UNTAGGED) is None
    state = await manager.get_session_state(session_id)
    assert state is not None and state["tag"] == "kept" and state["history"]["last_action"]["action"] != "session_end"
    assert await manager.store.endings.ids() == []
    assert await manager.get_archived_session(session_id) is None
    assert await manager.find_session_for_agent("agent") == session_id


async def test_a_session_that_changes_and_still_matches_ends_in_its_last_version(manager: StateManager) -> None:
    session_id = await create(manager)

    async def update() -> None:
        await manager.update_state_with_delta(session_id, {"n": 1}, {"action": "filter"})

    after_reading(manager, update, update)
    ended = await manager.selection.end(session_id, UNTAGGED)
    assert ended is not None and ended.actions == 4
    archived = await manager.get_archived_session(session_id)
    assert archived is not None
    names = [one["action"] for one in archived.document["history"]["actions"]]
    assert names == ["session_start", "filter", "filter", "session_end"]
    assert await manager.get_session_state(session_id) is None
    assert await manager.selection.end(session_id, UNTAGGED) is None, "it is not live any more"


async def test_a_session_that_never_stops_changing_is_left_alone(manager: StateManager) -> None:
    session_id = await create(manager)

    async def update() -> None:
        await manager.update_state_with_delta(session_id, {"n": 1})

    after_reading(manager, *[update] * (2 * MAX_VERSIONS))
    with pytest.raises(UpdateConflict, match="keeps changing, so it was not ended"):
        await manager.selection.end(session_id, UNTAGGED)
    assert await manager.get_session_state(session_id) is not None and await manager.store.endings.ids() == []


async def test_a_session_that_stops_matching_is_not_discarded(manager: StateManager) -> None:
    kept, gone = await create(manager, "kept"), await create(manager, "gone")

    async def tag() -> None:
        await manager.update_state_with_delta(kept, {"tag": "kept"})

    after_reading(manager, tag)
    assert await manager.selection.discard(kept, UNTAGGED) is None
    discarded = await manager.selection.discard(gone, UNTAGGED)
    assert discarded is not None and discarded.archive is None
    assert await selected(manager) == {kept: Place.LIVE}
    assert await manager.selection.discard(gone, UNTAGGED) is None


async def test_an_end_whose_reply_is_lost_is_finished(manager: StateManager) -> None:
    """The session was taken, and the request is repeated: there is nothing left to take, but something was taken."""
    session_id = await create(manager)
    take = manager.store.endings.take

    async def twice(session_id: str, only: bytes | None = None) -> Any:
        await take(session_id, only)
        return await take(session_id, only)

    manager.store.endings.take = twice  # type: ignore[method-assign]
    ended = await manager.selection.end(session_id, UNTAGGED)
    assert ended is not None and ended.actions == 2 and await manager.store.endings.ids() == []


@pytest.mark.parametrize("place", [Place.LIVE, Place.ARCHIVED])
async def test_a_session_that_ends_during_the_listing_is_not_missed(
    manager: StateManager, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    """It is not live any more when the keys are scanned, and archived only after the archive was listed, or later."""
    session_id = await create(manager)
    archive = manager.required_archive()
    assert (await manager.store.endings.take(session_id)).added
    listed = archive.find

    async def find(query: Any) -> AsyncIterator[Any]:
        rows = [one async for one in listed(query)]
        if place is Place.ARCHIVED:
            await manager.finish_ends()
        for one in rows:
            yield one

    other = await create(manager, "other")
    await manager.end_session(other)
    monkeypatch.setattr(archive, "find", find)
    assert await selected(manager, archived=True) == {session_id: place, other: Place.ARCHIVED}


async def test_live_and_archived_sessions_are_found_once(manager: StateManager) -> None:
    ended, both, live = [await create(manager, name) for name in ("ended", "both", "live")]
    await manager.update_state_with_delta(ended, {"tag": "x"})
    await manager.end_session(ended)
    await sweep(manager)
    everything = {ended: Place.ARCHIVED, both: Place.LIVE, live: Place.LIVE}
    assert await selected(manager, archived=True) == everything
    assert await selected(manager, "started > 1h ago", archived=True) == everything
    assert await selected(manager, 'state.tag == "x"', archived=True) == {ended: Place.ARCHIVED}
    assert await selected(manager, 'state.tag == "x"') == {}
    assert await selected(manager, 'state.tag == null and agent != "live"', archived=True) == {both: Place.LIVE}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_every_field_is_the_same_live_and_archived(valkey: ValkeyServer, tmp_path: Path, layout: str) -> None:
    made = document((0,) * 4, extra={"list": [1, {"key": "value"}]})
    put(valkey, LAYOUTS[layout](made))
    agent = made["agent_name"]
    where = (
        f'agent == "{agent}" and failed == 0 and total == 3 and started == "{made["statistics"]["session_start"]}" '
        f'and last_activity <= 0s ago and route == "{made["page_state"]["route"]}" and '
        'state.extra.list.1.key == "value" and state.history.actions == null and session ~ "^sess_"'
    )
    async with StateManager.open(valkey.settings(archive_url=f"sqlite:///{tmp_path}/a.db")) as manager:
        assert await selected(manager, where, archived=False) == {SESSION_ID: Place.LIVE}
        await sweep(manager)
        valkey.raw.flushall()
        assert await selected(manager, where, archived=True) == {SESSION_ID: Place.ARCHIVED}


async def test_the_archive_is_found_while_redis_is_unreachable(
    valkey: ValkeyServer, settings: Settings, tmp_path: Path
) -> None:
    with_archive = replace(settings, archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with StateManager.open(with_archive) as manager:
        session_id = await create(manager)
        await manager.end_session(session_id)
    away = replace(with_archive, redis_socket=None, redis_host="127.0.0.1", redis_port=free_port())
    async with StateManager.open(away) as manager:
        batches = [batch async for batch in manager.selection.find(archived=True)]
        assert [one.summary.session_id for batch in batches for one in batch.sessions] == [session_id]
        assert all(isinstance(batch.degraded, Unreachable) for batch in batches)
        with pytest.raises(Unreachable):
            _ = [batch async for batch in manager.selection.find()]
    empty = replace(away, archive_url=f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "other.db").touch()
    async with StateManager.open(empty) as manager:
        [batch] = [batch async for batch in manager.selection.find(archived=True)]
        assert batch.degraded is not None and not batch.sessions


@pytest.mark.soak
async def test_many_sessions_end_in_one_pass_and_in_bounded_memory(valkey: ValkeyServer, tmp_path: Path) -> None:
    """10,000 sessions of two agents, half of which match: exactly those end, while more and more keys are deleted."""
    count = 10_000
    raw = encode(document((0,) * 20, "sess_00000", agent_name="agent 0"))
    for start in range(0, count, 1_000):
        with valkey.raw.pipeline(transaction=False) as pipe:
            for number in range(start, start + 1_000):
                name = b"sess_%05d" % number
                made = raw.replace(b"sess_00000", name).replace(b"agent 0", b"agent %d" % (number % 2))
                pipe.set(f"AWI:SESSION:{name.decode()}", made, ex=100_000)
            pipe.execute()
    where = parse('agent_name == "agent 1" and state.page_state != null')
    async with StateManager.open(valkey.settings(archive_url=f"sqlite:///{tmp_path}/archive.db")) as manager:
        ended, peaks = 0, []
        tracemalloc.start()
        async for batch in manager.selection.find(where):
            for some in batched(batch.sessions, 8):
                done = await asyncio.gather(*(manager.selection.end(one.summary.session_id, where) for one in some))
                ended += sum(one is not None for one in done)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
        assert ended == count // 2
        early, late = max(peaks[2 : len(peaks) // 2]), max(peaks[len(peaks) // 2 :])
        assert late < early * 1.25, (early, late)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        assert len(await selected(manager, archived=True)) == count
        used = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        print(f"ending: peak {early:,} then {late:,} bytes; listing all: {used:,} bytes")
        assert used < 16_000_000, "a fingerprint of each, and what the test itself keeps"
        left = await selected(manager, where.text)
        assert left == {}
        assert set((await selected(manager, archived=True)).values()) == {Place.LIVE, Place.ARCHIVED}
