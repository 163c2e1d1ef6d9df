"""`archive sweep --watch` as a process: beside an app that deletes sessions, killed, twice, and without its servers."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from support.archives import session, stamp
from support.cli import Cli
from support.documents import AGENT_ID, compact, session_key, stored
from support.express_app import AppEnd, ExpressApp
from support.mongo import MongoServer
from support.valkey import ValkeyServer

#: Maximum time for anything to happen, in seconds.
LIMIT_SECONDS = 60.0
ID = "sess_a"


@contextmanager
def watching(user: Cli, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A watcher that looks at all sessions every 100 ms."""
    process = user.start("archive", "sweep", "--watch", "--snapshot-age", "200ms", "--interval", "100ms", *words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true; return it."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def row_with(process: subprocess.Popen[bytes], name: str) -> dict[str, Any]:
    """Return the next row in which a count is not zero."""
    assert process.stdout is not None
    while True:
        row: dict[str, Any] = json.loads(process.stdout.readline())
        if row[name]:
            return row


def archived(user: Cli, session_id: str = ID) -> dict[str, Any] | None:
    """Return the row of a session in the list of the archive."""
    rows = [one for one in user("archive", "list").rows if one["session_id"] == session_id]
    return rows[0] if rows else None


def put(valkey: ValkeyServer, updates: int, session_id: str = ID) -> bytes:
    raw = compact(session(updates, session_id))
    valkey.raw.set(session_key(session_id), raw, ex=1800)
    return raw


@pytest.fixture
def app(valkey: ValkeyServer, mongo: MongoServer) -> ExpressApp:
    express = ExpressApp(valkey, mongo)
    express.start()
    express.create(ID, stamp(), AGENT_ID)
    return express


def test_what_the_app_deletes_and_fails_to_save_is_archived_as_vanished(
    mongo_user: Cli, valkey: ValkeyServer, app: ExpressApp
) -> None:
    """The session is far from its expiry, and never due for a sweep."""
    with watching(mongo_user) as watcher:
        assert row_with(watcher, "snapshots")["found"] == 0
        app.update(ID, stamp(1), action="page_update")
        raw = stored(valkey, ID)
        assert row_with(watcher, "snapshots")["snapshots"] == 1
        began = datetime.now().astimezone()
        assert app.end(ID, stamp(2)) is AppEnd.INVALID
        assert row_with(watcher, "vanished")["vanished"] == 1
        watcher.send_signal(signal.SIGTERM)
        _, err = watcher.communicate(timeout=LIMIT_SECONDS)
    slow = b"looking at all live sessions took"
    assert watcher.returncode == 0 and [one for one in err.splitlines() if not one.startswith(slow)] == []
    row = archived(mongo_user)
    assert row is not None and (row["state"], row["active"], row["ended_at"]) == ("vanished", False, None)
    assert abs((datetime.fromisoformat(row["last_seen_at"]) - began).total_seconds()) < LIMIT_SECONDS
    assert json.loads(mongo_user.ok("archive", "show", ID).out) == json.loads(raw)


def test_a_session_that_the_app_saves_has_ended(mongo_user: Cli, app: ExpressApp) -> None:
    with watching(mongo_user) as watcher:
        row_with(watcher, "snapshots")
        assert app.end(ID, stamp(2)) is AppEnd.SAVED, "the snapshot is not in the way"
        assert row_with(watcher, "ended_by_app")["ended_by_app"] == 1
    row = archived(mongo_user)
    assert row is not None and row["state"] == "ended" and row["ended_at"] == stamp(2)


def test_a_watcher_that_is_killed_is_replaced_by_another(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, 1)
    with watching(sqlite_user) as watcher:
        row_with(watcher, "snapshots")
    raw = put(valkey, 2)
    with watching(sqlite_user) as watcher, watching(sqlite_user) as another:
        for one in (watcher, another):
            row_with(one, "snapshots")
        assert json.loads(sqlite_user.ok("archive", "show", ID).out) == json.loads(raw)
        raw = put(valkey, 3)
        for one in (watcher, another):
            row_with(one, "snapshots")
        valkey.raw.delete(session_key(ID))
        until(lambda: (archived(sqlite_user) or {}).get("state") == "vanished")
    assert json.loads(sqlite_user.ok("archive", "show", ID).out) == json.loads(raw)


def test_a_frozen_server_is_reported_and_marks_nothing_as_vanished(
    sqlite_user: Cli, new_valkey: Callable[..., ValkeyServer]
) -> None:
    server = new_valkey()
    put(server, 1)
    user = sqlite_user.having(REDIS_SOCKET=str(server.socket))
    with watching(user, "--timeout", "0.5") as watcher:
        row_with(watcher, "snapshots")
        server.pause()
        assert watcher.stderr is not None
        while str(server.socket).encode() not in (line := watcher.stderr.readline()):
            assert line
        server.resume()
        raw = put(server, 2)
        until(lambda: user.ok("archive", "show", ID).json == json.loads(raw))
        row = archived(user)
    assert row is not None and row["state"] == "live"


def test_without_snapshots_only_sessions_that_are_due_are_archived(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, 1)
    with watching(sqlite_user, "--snapshot-age", "0s") as watcher:
        assert watcher.stdout is not None
        rows = [json.loads(watcher.stdout.readline()) for _ in range(3)]
    assert [one["archived"] for one in rows] == [0, 0, 0] and "snapshots" not in rows[0]
    assert archived(sqlite_user) is None


def test_a_dry_run_says_what_became_of_sessions(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, 1)
    assert sqlite_user.ok("archive", "sweep", "--margin", "31m").json["archived"] == 1
    valkey.raw.delete(session_key(ID))
    [row] = sqlite_user.ok("archive", "sweep", "--dry-run").rows
    assert (row["session_id"], row["why"]) == (ID, "vanished")
    assert archived(sqlite_user, ID)["active"]  # type: ignore[index]
    assert sqlite_user.ok("archive", "sweep").json["vanished"] == 1
    assert sqlite_user.ok("archive", "sweep", "--dry-run").rows == []


@pytest.mark.parametrize(
    ("words", "why"),
    [(("--snapshot-age", "5s"), "--watch"), (("--watch", "--snapshot-age", "soon"), "not a duration")],
)
def test_invalid_options(sqlite_user: Cli, words: tuple[str, ...], why: str) -> None:
    result = sqlite_user("archive", "sweep", *words)
    assert result.code == 2 and why in result.err
