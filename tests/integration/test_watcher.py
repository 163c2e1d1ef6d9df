"""The watcher: which sessions it reads and archives when it looks at all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.archives import Backend, listed, session
from support.documents import LAYOUTS, compact, session_key, stored
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive import watcher as watcher_module
from awictl.archive.base import ArchivedSummary
from awictl.archive.pace import Pace
from awictl.archive.watcher import Watcher
from awictl.errors import Unreachable

#: TTL of the sessions, in milliseconds.
TTL_MS = 1_800_000
IDS = ["sess_a", "sess_b", "sess_c"]


@pytest.fixture
async def manager(valkey: ValkeyServer, backend: Backend) -> AsyncIterator[StateManager]:
    """A manager of the archive and of a server with three live sessions."""
    archive = {"mongodb_uri": backend.settings.mongodb_uri, "archive_url": backend.settings.archive_url}
    for one in IDS:
        put(valkey, one, 1)
    async with StateManager.open(valkey.settings(**archive)) as opened:
        yield opened


def put(valkey: ValkeyServer, session_id: str, updates: int, px: int | None = TTL_MS, **others: Any) -> None:
    """Write a session after that many updates, as the app does."""
    valkey.raw.set(session_key(session_id), compact(session(updates, session_id, **others)), px=px)


class Looker:
    """A watcher that is asked to look, with a record of the sessions whose documents it read."""

    def __init__(self, manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: set[str] = set()
        read_many = manager.store.read_many

        async def recorded(session_ids: Any) -> Any:
            self.read |= set(session_ids)
            return await read_many(session_ids)

        monkeypatch.setattr(manager.store, "read_many", recorded)
        monkeypatch.setattr(watcher_module, "SPREAD", 0)
        self.watcher = manager.sweeper(1000).watcher(60)

    async def look(self) -> tuple[set[str], int]:
        """Look at all sessions. Return the sessions that were read, and the number of snapshots."""
        self.read.clear()
        await self.watcher.look(asyncio.Event())
        return set(self.read), self.watcher.take().snapshots


@pytest.fixture
def looker(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> Looker:
    return Looker(manager, monkeypatch)


async def archived(manager: StateManager, session_id: str) -> bytes | None:
    found = await manager.get_archived_session(session_id)
    return found.raw if found is not None else None


async def summaries(manager: StateManager) -> dict[str, ArchivedSummary]:
    return {one.session_id: one for one in await listed(manager.required_archive())}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_only_sessions_that_changed_are_read_and_archived(
    manager: StateManager, valkey: ValkeyServer, looker: Looker, layout: str
) -> None:
    assert await looker.look() == (set(IDS), 3)
    assert await looker.look() == (set(), 0)
    raw = LAYOUTS[layout](session(2, "sess_b"))
    valkey.raw.set(session_key("sess_b"), raw, px=TTL_MS)
    put(valkey, "sess_new", 1)
    assert await looker.look() == ({"sess_b", "sess_new"}, 2)
    assert await looker.look() == (set(), 0)
    assert await archived(manager, "sess_b") == raw
    assert set(await summaries(manager)) == {*IDS, "sess_new"}


async def test_a_session_of_the_same_length_with_other_content_is_archived(
    manager: StateManager, valkey: ValkeyServer, looker: Looker
) -> None:
    await looker.look()
    before = stored(valkey, "sess_a")
    put(valkey, "sess_a", 1, last_updated="2026-11-23T12:00:09.000Z")
    assert len(stored(valkey, "sess_a")) == len(before)
    assert await looker.look() == ({"sess_a"}, 1)
    assert await archived(manager, "sess_a") == stored(valkey, "sess_a") != before


async def test_touched_sessions_cause_no_writes(
    manager: StateManager, valkey: ValkeyServer, looker: Looker, backend: Backend
) -> None:
    await looker.look()
    before = backend.stored()
    for _ in range(3):
        for one in IDS:
            valkey.raw.pexpire(session_key(one), TTL_MS + 60_000)
        assert await looker.look() == (set(IDS), 0), "their bytes are compared"
        assert await looker.look() == (set(), 0)
    assert backend.stored() == before


async def test_a_later_expiry_is_recorded_before_the_archived_one_is_near(
    manager: StateManager, valkey: ValkeyServer, looker: Looker
) -> None:
    """Otherwise a session that is only touched would count as expired once the app deletes it."""
    valkey.raw.pexpire(session_key("sess_a"), 100_000)
    await looker.look()
    valkey.raw.pexpire(session_key("sess_a"), 190_000)  # more than half of that is left by the archived expiry
    assert (await looker.look())[1] == 0
    valkey.raw.pexpire(session_key("sess_a"), 210_000)
    assert (await looker.look())[1] == 1
    valkey.raw.pexpire(session_key("sess_a"), 400_000)
    assert (await looker.look())[1] == 0, "the archive has the later expiry"


async def test_a_session_without_a_ttl_is_compared_each_time(
    manager: StateManager, valkey: ValkeyServer, looker: Looker
) -> None:
    put(valkey, "sess_a", 1, px=None)
    await looker.look()
    assert await looker.look() == ({"sess_a"}, 0)
    put(valkey, "sess_a", 1, px=None, last_updated="2026-11-23T12:00:09.000Z")
    assert await looker.look() == ({"sess_a"}, 1)
    assert await archived(manager, "sess_a") == stored(valkey, "sess_a")


async def test_a_write_between_the_version_and_the_document_is_not_missed(
    manager: StateManager, valkey: ValkeyServer, looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document is read a moment after the version; what is written in between is recognized by the next look."""
    paused: list[float] = []

    async def meanwhile(seconds: float) -> None:
        paused.append(seconds)
        put(valkey, "sess_a", 2)

    with monkeypatch.context() as patched:
        patched.setattr(watcher_module, "_pause", meanwhile)
        await looker.look()
    assert paused == [watcher_module.SETTLE_SECONDS]
    await looker.look()
    assert await archived(manager, "sess_a") == stored(valkey, "sess_a")
    assert await looker.look() == (set(), 0)


async def test_a_new_watcher_changes_nothing_in_the_archive(
    manager: StateManager, valkey: ValkeyServer, looker: Looker, backend: Backend
) -> None:
    await looker.look()
    before = backend.stored()
    another = manager.sweeper(1000).watcher(60)
    await another.look(asyncio.Event())
    assert another.take().snapshots == 3, "it compared all of them"
    assert backend.stored() == before


async def test_a_session_that_cannot_be_archived_is_tried_again_when_it_changes(
    manager: StateManager, valkey: ValkeyServer, looker: Looker
) -> None:
    valkey.raw.set(session_key("sess_bad"), b"no JSON", px=TTL_MS)
    await looker.watcher.look(asyncio.Event())
    taken = looker.watcher.take()
    assert (taken.snapshots, list(taken.failed)) == (3, ["sess_bad"])
    assert await looker.look() == (set(), 0)
    valkey.raw.set(session_key("sess_bad"), b"not JSON", px=TTL_MS)
    await looker.watcher.look(asyncio.Event())
    assert list(looker.watcher.take().failed) == ["sess_bad"]
    put(valkey, "sess_bad", 1)
    assert await looker.look() == ({"sess_bad"}, 1)


async def test_two_watchers_and_a_writer_lose_nothing(
    manager: StateManager, valkey: ValkeyServer, looker: Looker
) -> None:
    another = manager.sweeper(1000).watcher(60)
    for updates in range(2, 8):
        for one in IDS:
            put(valkey, one, updates)
        await asyncio.gather(looker.look(), another.look(asyncio.Event()))
    assert another.take().failed == {}
    for one in IDS:
        assert await archived(manager, one) == stored(valkey, one)


async def test_without_permission_for_scripts_all_documents_are_compared(
    manager: StateManager, valkey: ValkeyServer, new_valkey: Any, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = new_valkey()
    server.raw.execute_command("ACL", "SETUSER", "reader", "on", ">geheim", "~*", "+@all", "-@scripting")
    put(server, "sess_a", 1)
    settings = server.tcp_settings(
        redis_username="reader",
        redis_password="geheim",
        mongodb_uri=backend.settings.mongodb_uri,
        archive_url=backend.settings.archive_url,
    )
    async with StateManager.open(settings) as restricted:
        looker = Looker(restricted, monkeypatch)
        assert await looker.look() == ({"sess_a"}, 1)
        assert await looker.look() == ({"sess_a"}, 0)
        put(server, "sess_a", 1, last_updated="2026-11-23T12:00:09.000Z")
        assert await looker.look() == ({"sess_a"}, 1)


async def test_errors_do_not_end_the_watcher(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again with the next pass, and then there is nothing to report any more."""
    watcher = manager.sweeper(1000).watcher(0.02)
    stop = asyncio.Event()
    archive = watcher._transfer.archive
    errors = [Unreachable("away"), ValueError("odd")]

    async def failing(session_ids: Any) -> Any:
        if errors:
            raise errors.pop()
        return await archive(session_ids)

    monkeypatch.setattr(watcher._transfer, "archive", failing)
    running = asyncio.create_task(watcher.run(stop))
    async with asyncio.timeout(20):
        while len(watcher.sightings) < 3:
            await asyncio.sleep(0.01)
    stop.set()
    await running
    assert errors == [] and await archived(manager, "sess_a") is not None


async def test_a_failed_pass_is_reported(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = manager.sweeper(1000).watcher(60)
    stop = asyncio.Event()

    async def failing(session_ids: Any) -> Any:
        stop.set()
        raise Unreachable("away")

    monkeypatch.setattr(watcher._transfer, "archive", failing)
    await watcher.run(stop)
    assert str(watcher.take().stopped) == "away" and watcher.take().stopped is None


async def test_a_pass_is_spread_over_half_the_age(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No burst: a step of the sessions, then a pause, and so on."""
    with valkey.raw.pipeline() as pipe:
        for number in range(397):
            pipe.set(session_key(f"sess_{number}"), b"{}", px=TTL_MS)
        pipe.execute()
    pauses: list[float] = []

    async def record(stop: asyncio.Event, seconds: float) -> None:
        pauses.append(seconds)

    async def nothing(session_ids: Any) -> None: ...

    monkeypatch.setattr(watcher_module, "_sleep", record)
    watcher = Watcher(manager.store, manager.required_archive(), 20_000, pace=Pace(None), scan_rate=None)
    monkeypatch.setattr(watcher, "_look_at", nothing)
    await watcher.look(asyncio.Event())
    assert pauses == pytest.approx([2000, 4000, 6000, 8000], abs=100), "until when, after the beginning"


async def test_the_rate_limits_snapshots(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []

    class Recorded(Pace):
        async def wait(self, count: int) -> None:
            waited.append(count)

    watcher = Watcher(manager.store, manager.required_archive(), 60, pace=Recorded(4), scan_rate=None)
    monkeypatch.setattr(watcher_module, "SPREAD", 0)
    await watcher.look(asyncio.Event())
    assert waited == [1, 1, 1]


async def test_all_who_share_a_pace_keep_to_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def record(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", record)
    pace = Pace(0.01)
    for count in (1, 2, 1):
        await pace.wait(count)
    assert pauses == pytest.approx([0, 100, 300], abs=5)
    assert pace.batch_size == 1 and Pace(100).batch_size == 25


async def test_versions_of_sessions(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, "sess_a", 1, px=None)
    valkey.raw.delete(session_key("sess_b"))
    valkey.raw.pexpireat(session_key("sess_c"), 4_102_444_800_123)
    valkey.raw.rpush(session_key("sess_list"), "x")
    found = await manager.store.versions(["sess_a", "sess_b", "sess_c", "sess_list"])
    length = len(stored(valkey, "sess_a"))
    [without, with_ttl] = found.versions
    assert without == ("sess_a", None, length)
    assert with_ttl.session_id == "sess_c" and with_ttl.bytes == len(stored(valkey, "sess_c"))
    assert with_ttl.expires_ms is not None and abs(with_ttl.expires_ms - 4_102_444_800_123) <= 2
    seconds, microseconds = valkey.raw.time()
    assert found.now_ms is not None and found.now_ms <= seconds * 1000 + microseconds // 1000
