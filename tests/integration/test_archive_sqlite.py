"""The SQLite archive and its file: created by the first write, shared between processes, and checked before use."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.archives import SqliteBackend, chunk, listed, opened, saved, session, snapshot
from support.documents import AGENT_ID, SESSION_ID, assert_same

from awictl.archive.base import Archive
from awictl.archive.decision import Outdated
from awictl.archive.sqlite.archive import SqliteArchive
from awictl.archive.sqlite.file import SqliteFile
from awictl.archive.sqlite.tables import VERSION
from awictl.errors import AwiError, InvalidData, Refused, Unreachable

Request = Callable[[Archive], Coroutine[Any, Any, Any]]


async def live(archive: Archive) -> list[Any]:
    return [one async for one in archive.live("")]


READS: dict[str, Request] = {
    "load": lambda archive: archive.load(SESSION_ID),
    "load_trimmed_actions": lambda archive: archive.load_trimmed_actions(SESSION_ID, AGENT_ID),
    "find": listed,
    "live": live,
    "ping": lambda archive: archive.ping(),
}
WRITES: dict[str, Request] = {
    "save": lambda archive: archive.save([snapshot(session(1))]),
    "save_trimmed_actions": lambda archive: archive.save_trimmed_actions(SESSION_ID, AGENT_ID, chunk(0, 3)),
}
ALL = READS | WRITES


@pytest.fixture
def backend(tmp_path: Path) -> SqliteBackend:
    """No file yet; a lock is waited for only briefly."""
    made = SqliteBackend(tmp_path / "archive.db")
    made.settings = replace(made.settings, timeout=0.05)
    return made


@pytest.mark.parametrize("request_", ALL.values(), ids=ALL.keys())
async def test_a_file_of_a_newer_awictl_is_refused(backend: SqliteBackend, request_: Request) -> None:
    await saved(opened(backend), snapshot(session(3), ttl_ms=1))
    with backend.database() as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = backend.stored()
    with pytest.raises(Refused, match="newer awictl") as raised:
        await request_(opened(backend))
    assert str(backend.path) in str(raised.value)
    assert backend.stored() == before


@pytest.mark.parametrize("request_", ALL.values(), ids=ALL.keys())
async def test_a_file_that_is_not_a_database_is_invalid(backend: SqliteBackend, request_: Request) -> None:
    content = b"no database " * 500
    backend.path.write_bytes(content)
    with pytest.raises(InvalidData) as raised:
        await request_(opened(backend))
    assert str(backend.path) in str(raised.value)
    assert backend.path.read_bytes() == content


@pytest.mark.parametrize("request_", [READS["load"], READS["find"], WRITES["save"]], ids=["load", "find", "save"])
async def test_a_damaged_file_is_invalid(backend: SqliteBackend, request_: Request) -> None:
    await saved(opened(backend), *(snapshot(session(3, f"sess_{number}")) for number in range(50)))
    with backend.database() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = backend.path.read_bytes()
    backend.path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    with pytest.raises(InvalidData):
        await request_(opened(backend))


@pytest.mark.parametrize("request_", WRITES.values(), ids=WRITES.keys())
async def test_a_file_that_another_process_writes_is_unreachable(backend: SqliteBackend, request_: Request) -> None:
    await saved(opened(backend), snapshot(session(3, "sess_other")))
    with closing(sqlite3.connect(backend.path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreachable, match="in use"):
            await request_(opened(backend))
        assert [one.session_id for one in await listed(opened(backend))] == ["sess_other"], "reading does not wait"
        db.execute("ROLLBACK")
    await request_(opened(backend))


@pytest.mark.parametrize("request_", ALL.values(), ids=ALL.keys())
async def test_a_locked_file_is_unreachable(backend: SqliteBackend, request_: Request) -> None:
    await saved(opened(backend), snapshot(session(3)))
    with closing(sqlite3.connect(backend.path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unreachable, match="in use"):
            await request_(opened(backend))


UNWRITABLE = ["/proc/archive.db", "/proc/new/folder/archive.db", "{tmp}/file/archive.db", "{tmp}/folder"]


@pytest.mark.parametrize("place", UNWRITABLE)
@pytest.mark.parametrize("request_", WRITES.values(), ids=WRITES.keys())
async def test_an_unwritable_path_is_refused(tmp_path: Path, place: str, request_: Request) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    path = place.format(tmp=tmp_path)
    with pytest.raises(Refused) as raised:
        await request_(SqliteArchive(Path(path), 0.05))
    assert path in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("inner", ["archive.db", "folder/archive.db"])
async def test_an_unwritable_folder_is_refused(tmp_path: Path, inner: str) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(Refused):
            await SqliteArchive(tmp_path / inner, 0.05).save([snapshot(session(1))])
    finally:
        tmp_path.chmod(0o755)


async def test_missing_folders_are_created(tmp_path: Path) -> None:
    archive = SqliteArchive(tmp_path / "a" / "b" / "archive.db", 1)
    await saved(archive, snapshot(session(1)))
    assert_same((await archive.load(SESSION_ID)).document, session(1))  # type: ignore[union-attr]


async def test_an_empty_file_is_an_archive_without_sessions(backend: SqliteBackend) -> None:
    """A process may have died before it created the tables, or be about to create them."""
    backend.path.touch()
    assert await listed(opened(backend)) == []
    assert await opened(backend).load(SESSION_ID) is None
    await saved(opened(backend), snapshot(session(1)))
    assert len(await listed(opened(backend))) == 1


async def test_many_processes_create_the_file_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        path = tmp_path / f"{attempt}.db"
        archives = [SqliteArchive(path, 5) for _ in range(12)]
        results = await asyncio.gather(
            *(one.save([snapshot(session(1, f"sess_{number}"))]) for number, one in enumerate(archives))
        )
        assert results == [{f"sess_{number}": None} for number in range(12)]
        assert len(await listed(archives[0])) == 12


async def test_a_process_that_creates_the_file_is_waited_for(tmp_path: Path) -> None:
    """Switching a file to WAL mode fails at once, without waiting, while another process writes."""
    path = tmp_path / "archive.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, db.execute, ["ROLLBACK"])
        timer.start()
        try:
            await saved(SqliteArchive(path, 5), snapshot(session(1)))
        finally:
            timer.join()


async def test_a_newer_version_saved_before_reading_back_makes_this_one_outdated(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is Outdated, not Unreachable, so that the session is read again."""
    archive = opened(backend)
    assert isinstance(archive, SqliteArchive)
    read = archive.file.read

    async def write_first(work: Any) -> Any:
        monkeypatch.undo()
        await saved(opened(backend), snapshot(session(4)))
        return await read(work)

    monkeypatch.setattr(archive.file, "read", write_first)
    [(_, error)] = (await archive.save([snapshot(session(3))])).items()
    assert isinstance(error, Outdated), error


async def test_a_failed_write_is_rolled_back(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    await saved(opened(backend), snapshot(session(1, "sess_a")))
    before = backend.stored()
    archive = opened(backend)
    good, bad = snapshot(session(2, "sess_a")), snapshot(session(2, "sess_b"))
    monkeypatch.setattr("awictl.archive.sqlite.archive.insert_or_replace", failing_for("sess_b"))
    with pytest.raises(AwiError):
        await archive.save([good, bad])
    assert backend.stored() == before


def failing_for(session_id: str) -> Callable[..., None]:
    from awictl.archive.sqlite.rows import insert_or_replace

    def storing(db: sqlite3.Connection, one: Any, *others: Any) -> None:
        if one.session_id == session_id:
            raise sqlite3.OperationalError("disk I/O error")
        insert_or_replace(db, one, *others)

    return storing


async def test_many_calls_of_one_process_wait_in_turn_and_not_for_the_lock(backend: SqliteBackend) -> None:
    """Otherwise a burst of new agents on a slow disk fails: each call polls the lock, and others go first.

    Each write keeps the file locked for the time of a slow commit; all of them together take much longer than the time
    for which a lock is waited for.
    """
    archive = SqliteArchive(backend.path, timeout=0.3)
    await archive.save([])
    order: list[int] = []

    def slow(number: int) -> Callable[[sqlite3.Connection], None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute("COMMIT")
            db.execute("BEGIN EXCLUSIVE")
            time.sleep(0.04)
            order.append(number)

        return work

    async def read() -> int:
        found = await archive.file.read(lambda db: db.execute("SELECT count(*) FROM sessions").fetchone()[0])
        assert found is not None
        order.append(-1)
        return int(found)

    writes = [archive.file.write(slow(number)) for number in range(24)]
    assert await asyncio.gather(*writes, *(read() for _ in range(24))) == [None] * 24 + [0] * 24
    assert [number for number in order if number >= 0] == list(range(24)), "first come, first served"
    assert order.index(-1) <= 2, "reads wait for one write, not for all"


async def test_a_cancelled_write_keeps_its_turn_until_it_is_over(backend: SqliteBackend) -> None:
    archive = SqliteArchive(backend.path, timeout=0.05)
    await archive.save([])
    begun, go_on = threading.Event(), threading.Event()

    def work(db: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(20)

    write = asyncio.create_task(archive.file.write(work))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    following = asyncio.create_task(archive.save([snapshot(session(1))]))
    await asyncio.sleep(0.2)
    assert not following.done()
    go_on.set()
    assert (await following)[SESSION_ID] is None


async def test_the_file_and_its_journals_are_private_whatever_the_umask(tmp_path: Path) -> None:
    def modes(db: sqlite3.Connection) -> dict[str, int]:
        db.execute("CREATE TABLE more (x)")
        return {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    before = os.umask(0)
    try:
        found = await SqliteFile(tmp_path / "archive.db", 1).write(modes)
    finally:
        os.umask(before)
    assert len(found) > 1 and set(found.values()) == {0o600}


async def test_the_target_of_a_symbolic_link_is_private_too(tmp_path: Path) -> None:
    (tmp_path / "archive.db").symlink_to(tmp_path / "target.db")
    umask = os.umask(0)
    try:
        assert await SqliteFile(tmp_path / "archive.db", 1.0).write(lambda _: True)
    finally:
        os.umask(umask)
    assert (tmp_path / "target.db").stat().st_mode & 0o777 == 0o600
