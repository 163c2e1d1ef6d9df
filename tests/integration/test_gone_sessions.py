"""What a sweep records of archived sessions that are gone from Redis: ended by the app, expired, or vanished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from support.archives import Backend, MongoBackend, SqliteBackend, listed, session, stamp
from support.documents import AGENT_ID, compact, session_key, stored
from support.express_app import AppEnd, ExpressApp
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive import gone as gone_module
from awictl.archive import sweep as sweep_module
from awictl.archive import watcher as watcher_module
from awictl.archive.base import ArchivedSummary
from awictl.archive.decision import ArchivedState, ArchivedVersion
from awictl.archive.gone import GoneFinder
from awictl.archive.sweep import Sweeper, Swept

#: TTL of the sessions, in milliseconds. The sweeps of these tests archive all of them.
TTL_MS, MARGIN_MS = 1_800_000, 3_600_000
ID = "sess_a"


@pytest.fixture
async def manager(valkey: ValkeyServer, backend: Backend) -> AsyncIterator[StateManager]:
    put(valkey, ID)
    async with open_manager(valkey, backend) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the app no time to save a session after it deleted it; spread no pass."""
    monkeypatch.setattr(gone_module, "APP_SAVE_SECONDS", 0)
    monkeypatch.setattr(watcher_module, "SPREAD", 0)


def open_manager(valkey: ValkeyServer, backend: Backend) -> Any:
    archive = {"mongodb_uri": backend.settings.mongodb_uri, "archive_url": backend.settings.archive_url}
    return StateManager.open(valkey.settings(**archive))


def put(valkey: ValkeyServer, session_id: str, updates: int = 1, px: int | None = TTL_MS) -> None:
    valkey.raw.set(session_key(session_id), compact(session(updates, session_id)), px=px)


async def sweep(sweeper: Sweeper, due: bool = True, stop: Callable[[], bool] = lambda: False) -> Swept:
    """Run a sweep, which must succeed. `due`: archive the live sessions, too."""
    swept = await sweeper.sweep(await sweeper.candidates() if due else [], stop=stop)
    assert (swept.failed, swept.stopped) == ({}, None)
    return swept


async def state_of(manager: StateManager, session_id: str = ID) -> ArchivedSummary:
    [summary] = [one for one in await listed(manager.required_archive()) if one.session_id == session_id]
    return summary


async def test_a_session_that_another_program_deletes_has_vanished(manager: StateManager, valkey: ValkeyServer) -> None:
    sweeper = manager.sweeper(MARGIN_MS)
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert (await sweep(sweeper)).vanished == 0
    after = datetime.now(UTC)
    valkey.raw.delete(session_key(ID))
    [gone] = await sweeper.gone()
    assert (gone.version.session_id, gone.state, gone.ended_at) == (ID, ArchivedState.VANISHED, None)
    assert (await state_of(manager)).state is ArchivedState.LIVE, "a dry run writes nothing"
    swept = await sweep(sweeper)
    assert (swept.vanished, swept.expired, swept.ended_by_app) == (1, 0, 0)
    summary = await state_of(manager)
    assert (summary.state, summary.ended_at, summary.active) == (ArchivedState.VANISHED, None, False)
    assert summary.last_seen_at is not None and before <= summary.last_seen_at <= after
    assert (await sweep(sweeper)).vanished == 0, "once"


async def test_a_session_that_expires_has_expired(manager: StateManager, valkey: ValkeyServer) -> None:
    valkey.raw.pexpire(session_key(ID), 60_000)
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    valkey.raw.delete(session_key(ID))
    archive = manager.required_archive()
    [version] = [one async for one in archive.live(manager.store.identity)]
    assert version.expires_at is not None
    with _clock(version.expires_at + timedelta(seconds=1)):
        assert await sweeper.gone() == [], "clocks may differ"
    with _clock(version.expires_at + timedelta(seconds=3)):
        swept = await sweep(sweeper)
    assert (swept.expired, swept.vanished) == (1, 0)
    summary = await state_of(manager)
    assert (summary.state, summary.ended_at) == (ArchivedState.EXPIRED, version.expires_at)


def _clock(now: datetime, module: ModuleType = gone_module) -> Any:
    """Set the clock of the search for gone sessions, or of another module."""

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now

    patched = pytest.MonkeyPatch()
    patched.setattr(module, "datetime", Fixed)

    class Context:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            patched.undo()

    return Context()


async def test_the_watcher_knows_when_a_session_was_last_there_and_due(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    """Although it records that only now and then: a session that is only touched has an older expiry in the archive."""
    valkey.raw.pexpire(session_key(ID), 100_000)
    sweeper = manager.sweeper(1)
    watcher = sweeper.watcher(60)
    await watcher.look(asyncio.Event())
    archived = (await state_of(manager)).last_seen_at
    valkey.raw.pexpire(session_key(ID), 150_000)
    await watcher.look(asyncio.Event())
    sighting = watcher.sightings.get(ID)
    assert sighting is not None and archived is not None and sighting.seen_at > archived
    assert (await state_of(manager)).last_seen_at == archived
    valkey.raw.delete(session_key(ID))
    await watcher.look(asyncio.Event())
    with _clock(datetime.now(UTC) + timedelta(seconds=120)):
        assert (await sweep(sweeper, due=False)).vanished == 1, "it was not due yet"
    summary = await state_of(manager)
    assert summary.last_seen_at is not None
    assert abs(summary.last_seen_at - sighting.seen_at) < timedelta(milliseconds=2)
    assert watcher.sightings.get(ID) is None, "nothing is remembered of it"


async def test_a_watched_archive_is_searched_only_if_a_session_is_missing(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(valkey, "sess_b")
    sweeper = manager.sweeper(1)
    watcher = sweeper.watcher(60)
    archive = manager.required_archive()
    live, searches = archive.live, []

    def counted(server: str, seen_until: datetime | None = None) -> Any:
        searches.append(server)
        return live(server, seen_until)

    monkeypatch.setattr(archive, "live", counted)
    await watcher.look(asyncio.Event())
    for _ in range(3):
        await sweep(sweeper, due=False)
    assert len(searches) == 1, "at first, for what others archived"
    valkey.raw.delete(session_key(ID))
    await watcher.look(asyncio.Event())
    assert [(await sweep(sweeper, due=False)).vanished for _ in range(2)] == [1, 0]
    assert len(searches) == 2


async def test_a_session_that_is_there_again_is_live(manager: StateManager, valkey: ValkeyServer) -> None:
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    raw = stored(valkey, ID)
    for px in (TTL_MS, None):
        valkey.raw.delete(session_key(ID))
        assert (await sweep(sweeper)).vanished == 1
        valkey.raw.set(session_key(ID), raw, px=px)
        watcher = manager.sweeper(1).watcher(60)
        await watcher.look(asyncio.Event())
        assert watcher.take().failed == {}
        assert (await state_of(manager)).state is ArchivedState.LIVE, px


async def test_a_session_that_comes_back_meanwhile_is_left_alone(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    valkey.raw.delete(session_key(ID))

    async def comes_back(stop: Callable[[], bool]) -> None:
        put(valkey, ID)

    monkeypatch.setattr(gone_module, "_wait_for_app", comes_back)
    assert (await sweep(sweeper, due=False)).vanished == 0
    assert (await state_of(manager)).state is ArchivedState.LIVE


async def test_a_stopped_sweep_marks_nothing_as_vanished(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    valkey.raw.delete(session_key(ID))
    monkeypatch.setattr(gone_module, "APP_SAVE_SECONDS", 1_000_000)
    polls = iter([False] * 5)
    assert (await sweep(sweeper, due=False, stop=lambda: next(polls, True))).vanished == 0
    assert (await state_of(manager)).state is ArchivedState.LIVE


async def test_a_session_that_is_being_ended_has_not_vanished(manager: StateManager, valkey: ValkeyServer) -> None:
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    await manager.store.endings.take(ID)
    assert not valkey.raw.exists(session_key(ID))
    assert (await sweep(sweeper)).vanished == 0


async def test_two_sweepers_record_a_vanished_session_once(manager: StateManager, valkey: ValkeyServer) -> None:
    sweepers = [manager.sweeper(MARGIN_MS) for _ in range(2)]
    await sweep(sweepers[0])
    valkey.raw.delete(session_key(ID))
    swept = await asyncio.gather(*(sweep(one) for one in sweepers))
    assert sum(one.vanished for one in swept) == 1


# -- beside the app


@pytest.fixture
async def app(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[tuple[ExpressApp, StateManager]]:
    """The app, with a session of which a snapshot is archived."""
    app = ExpressApp(valkey, mongo)
    app.start()
    app.create(ID, stamp(), AGENT_ID)
    async with open_manager(valkey, MongoBackend(mongo)) as manager:
        yield app, manager


async def test_what_the_app_saves_itself_has_ended(app: tuple[ExpressApp, StateManager]) -> None:
    express, manager = app
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    express.update(ID, stamp(1), action="filter")
    await sweep(sweeper)
    assert express.end(ID, stamp(2)) is AppEnd.SAVED
    swept = await sweep(sweeper)
    assert (swept.ended_by_app, swept.vanished) == (1, 0)
    summary = await state_of(manager)
    assert summary.state is ArchivedState.ENDED and summary.ended_at == datetime.fromisoformat(stamp(2))


async def test_what_the_app_fails_to_save_has_vanished_and_is_in_the_archive(
    app: tuple[ExpressApp, StateManager], valkey: ValkeyServer
) -> None:
    express, manager = app
    sweeper = manager.sweeper(1)
    watcher = sweeper.watcher(60)
    express.update(ID, stamp(1), action="page_update")
    await watcher.look(asyncio.Event())
    raw = stored(valkey, ID)
    assert express.end(ID, stamp(2)) is AppEnd.INVALID
    await watcher.look(asyncio.Event())
    swept = await sweep(sweeper, due=False)
    assert (swept.ended_by_app, swept.vanished) == (0, 1)
    found = await manager.get_archived_session(ID)
    assert found is not None and found.raw == raw and found.summary.state is ArchivedState.VANISHED


@pytest.mark.parametrize(("seconds", "vanished"), [(3, 0), (60, 1)], ids=["late write", "second life"])
async def test_what_the_app_cannot_save_a_second_time_has_vanished(
    app: tuple[ExpressApp, StateManager], seconds: int, vanished: int
) -> None:
    """It ended the session, wrote it back, and ended it again: it has a document of the first end only."""
    express, manager = app
    express.update(ID, stamp(1), action="filter")
    late = express.read(ID)
    assert late is not None and express.end(ID, stamp(2)) is AppEnd.SAVED
    express.write(late)
    express.update(ID, stamp(seconds), action="filter")
    sweeper = manager.sweeper(MARGIN_MS)
    await sweep(sweeper)
    assert express.end(ID, stamp(100)) is AppEnd.DUPLICATE
    swept = await sweep(sweeper, due=False)
    assert (swept.ended_by_app, swept.vanished) == (1 - vanished, vanished)
    assert len((await state_of(manager)).gaps) == 0
    found = await manager.get_archived_session(ID)
    assert found is not None and len(found.document["history"]["actions"]) == 3


async def test_the_app_has_time_to_save_what_it_deleted(
    app: tuple[ExpressApp, StateManager], valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    express, manager = app
    sweeper = manager.sweeper(MARGIN_MS)
    express.update(ID, stamp(1), action="filter")
    await sweep(sweeper)
    raw = stored(valkey, ID)
    valkey.raw.delete(session_key(ID))

    async def saves(stop: Callable[[], bool]) -> None:
        valkey.raw.set(session_key(ID), raw, px=TTL_MS)
        assert express.end(ID, stamp(2)) is AppEnd.SAVED

    monkeypatch.setattr(gone_module, "_wait_for_app", saves)
    swept = await sweep(sweeper, due=False)
    assert (swept.ended_by_app, swept.vanished) == (1, 0)


async def test_a_sweep_does_not_ask_again_for_what_it_has_just_archived(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive records milliseconds, so this test sets the moments at which the sweeps begin."""
    sweeper = manager.sweeper(MARGIN_MS)
    archive = manager.required_archive()
    asked: list[str] = []
    live = type(archive).live

    async def record(*arguments: Any) -> Any:
        async for version in live(*arguments):
            asked.append(version.session_id)
            yield version

    monkeypatch.setattr(type(archive), "live", record)
    with _clock(datetime.now(UTC) - timedelta(seconds=1), sweep_module):
        await sweep(sweeper)
    assert asked == []
    seen_at = (await state_of(manager)).last_seen_at
    assert seen_at is not None
    while datetime.now(UTC) < seen_at + timedelta(milliseconds=1):
        await asyncio.sleep(0.001)
    put(valkey, "sess_b")
    with _clock(seen_at, sweep_module):
        await sweep(sweeper)
    assert asked == [ID], "it was archived before"


async def test_a_sweep_does_not_compare_what_it_archives_within_a_tick_of_the_clock(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive then returns it: it is recorded as seen in the millisecond in which the sweep began, or before."""
    compared: list[str] = []
    without_live = GoneFinder._without_live

    async def record(finder: GoneFinder, versions: Sequence[ArchivedVersion]) -> list[ArchivedVersion]:
        compared.extend(one.session_id for one in versions)
        return await without_live(finder, versions)

    monkeypatch.setattr(GoneFinder, "_without_live", record)
    sweeper = manager.sweeper(MARGIN_MS)
    with _clock(datetime.now(UTC) + timedelta(hours=1), sweep_module):
        await sweep(sweeper)
        assert compared == []
        put(valkey, "sess_b")
        valkey.raw.delete(session_key(ID))
        assert (await sweep(sweeper)).vanished == 1
    assert set(compared) == {ID}, "it was archived before"


async def test_sessions_seen_until_a_moment(manager: StateManager, backend: Backend) -> None:
    archive = manager.required_archive()
    await sweep(manager.sweeper(MARGIN_MS))
    [version] = [one async for one in archive.live(manager.store.identity)]
    assert version.seen_at is not None
    for until, count in ((version.seen_at, 1), (version.seen_at - timedelta(milliseconds=1), 0)):
        assert len([one async for one in archive.live(manager.store.identity, until)]) == count
    if isinstance(backend, MongoBackend):
        backend.server.archived.update_one({}, {"$set": {"seenAt": None}})
    else:
        assert isinstance(backend, SqliteBackend)
        with backend.database() as db:
            db.execute("UPDATE sessions SET seen_at = NULL")
            db.commit()
    epoch = datetime.fromtimestamp(0, UTC)
    assert len([one async for one in archive.live(manager.store.identity, epoch)]) == 1, "seen at an unknown time"
