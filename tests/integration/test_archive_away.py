"""MongoDB or Redis down during an end, a sweep, or a read: nothing is deleted, and a rerun completes the work."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support import forking
from support.mongo import DATABASE, MongoServer
from support.proxy import hanging_writes
from support.valkey import ValkeyServer, free_port

from awictl import Settings, StateManager
from awictl.archive import sweep
from awictl.archive.base import BATCH_SESSIONS
from awictl.document.byte_layout import decode, encode
from awictl.document.schema import new_document
from awictl.errors import Unreachable
from awictl.store.mongo import connection

#: Maximum seconds until `session end` exits if MongoDB is down, and those for what a command does if MongoDB is up.
END_SECONDS, UP_SECONDS = 5.0, 1.0
#: The long tests measure how long a command takes now, and allow this many times the rest on a busy machine.
ROOM = 2.5
TTL_MS = 60_000


@dataclass(frozen=True)
class Done:
    code: int
    out: bytes
    err: str
    seconds: float


@pytest.fixture
def away(new_mongo: Callable[[], MongoServer]) -> MongoServer:
    """A MongoDB server that the test may kill."""
    return new_mongo()


def run(valkey: ValkeyServer, mongo: MongoServer | str, *words: str) -> Done:
    env = {
        **os.environ,
        "REDIS_SOCKET": str(valkey.socket),
        "MONGODB_URI": mongo if isinstance(mongo, str) else mongo.uri,
        "XDG_CONFIG_HOME": str(valkey.folder),
    }
    began = time.monotonic()
    code, out, err = forking.run(words, cwd=valkey.folder, env=env, stdin=b"", timeout=60)
    return Done(code, out, err.decode(), time.monotonic() - began)


def run_with_mongodb(valkey: ValkeyServer, mongo: MongoServer) -> Done:
    """Run a command that reads from Redis and MongoDB, to measure how long a command takes if both are up."""
    done = run(valkey, mongo, "session", "show", "sess_missing")
    assert done.code == 3, done
    return done


def assert_in_time(done: Done, up: Done) -> None:
    assert done.seconds - up.seconds < (END_SECONDS - UP_SECONDS) * ROOM, (done, up)


def assert_own_deadline(done: Done) -> None:
    """It gave up at a deadline of awictl, which is far below the timeout of a request to MongoDB."""
    assert done.seconds < connection.WRITE_SECONDS, done


def put(valkey: ValkeyServer, *session_ids: str, px: int = TTL_MS) -> None:
    with valkey.raw.pipeline() as pipe:
        for one in session_ids:
            document = new_document(one, f"agent-of-{one}", "Agent", "/", "2026-11-23T10:00:00.000Z")
            pipe.set(f"AWI:SESSION:{one}", encode(document), px=px)
        pipe.execute()


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_an_end_without_mongodb_keeps_the_session_in_redis(valkey: ValkeyServer, away: MongoServer, how: str) -> None:
    put(valkey, "sess_ending")
    valkey.raw.set("AGENT:SESSION:agent-of-sess_ending", "sess_ending", px=TTL_MS)
    getattr(away, how)()
    done = run(valkey, away, "session", "end", "sess_ending")
    assert (done.code, done.out) == (5, b""), done
    assert_own_deadline(done)
    assert done.err.count("\n") == 1 and "cannot reach MongoDB at mongodb://127.0.0.1" in done.err, done
    assert "stays in Redis" in done.err and "archive sweep" in done.err
    assert valkey.raw.pttl("AWI:SESSION:sess_ending") == -1
    live = decode(valkey.raw.get("AWI:SESSION:sess_ending"))
    assert live["history"]["last_action"]["action"] == "session_end" and "session_end" in live["statistics"]

    touched = run(valkey, away, "session", "touch", "sess_ending")
    assert touched.code == 4 and "waits to be archived" in touched.err
    assert valkey.raw.pttl("AWI:SESSION:sess_ending") == -1, "touch does not set a TTL"

    away.start() if how == "kill" else away.resume()
    assert run(valkey, away, "session", "end", "sess_ending").code == 0
    assert valkey.raw.keys() == []
    assert away.archived.count_documents({}) == 1
    [view] = away.sessions.find()
    assert [one["action"] for one in view["actionHistory"]] == ["session_start", "session_end"]


async def test_many_ends_without_mongodb_wait_for_it_once(
    valkey: ValkeyServer, mongo_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 3600.0)  # however slow the machine is
    waits = []
    suspend = connection.MongoConnection.suspend
    monkeypatch.setattr(
        connection.MongoConnection, "suspend", lambda self, error: (waits.append(error), suspend(self, error))
    )
    ids = [f"sess_{number}" for number in range(4)]
    put(valkey, *ids)
    uri = f"mongodb://127.0.0.1:{free_port()}/{DATABASE}"
    async with StateManager.open(valkey.settings(mongodb_uri=uri, timeout=0.5)) as manager:
        for one in ids:
            with pytest.raises(Unreachable, match="cannot reach MongoDB"):
                await manager.end_session(one)
    assert len(waits) == 1
    assert {valkey.raw.pttl(f"AWI:SESSION:{one}") for one in ids} == {-1}


def test_the_deadlines_for_mongodb_leave_time_for_the_command() -> None:
    """The waits of the tests above and below end at one of these."""
    opened = connection.MongoConnection.open("mongodb://127.0.0.1:1/", "mongodb://127.0.0.1:1/", Settings())
    assert max(opened.connect_timeout, opened.patience) <= END_SECONDS - UP_SECONDS


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_sweep_without_mongodb_extends_the_ttl(valkey: ValkeyServer, away: MongoServer, how: str) -> None:
    put(valkey, "sess_1", "sess_2", px=9_000)
    put(valkey, "sess_3", px=500_000)
    first = run(valkey, away, "archive", "sweep", "--margin", "5m") if how == "pause" else None
    getattr(away, how)()
    done = run(valkey, away, "archive", "sweep", "--margin", "2m")
    assert done.code == 5 and done.err.count("\n") == 1 and "cannot reach MongoDB" in done.err, done
    assert b'"archived":0,"deleted":0' in done.out and b'"held":2' in done.out
    for one in ("sess_1", "sess_2"):
        assert 100_000 < valkey.raw.pttl(f"AWI:SESSION:{one}") < 120_000, "found by the next sweep"
    assert 400_000 < valkey.raw.pttl("AWI:SESSION:sess_3") <= 500_000, "outside the margin"

    away.start() if how == "kill" else away.resume()
    done = run(valkey, away, "archive", "sweep", "--margin", "2m")
    assert (done.code, first is None or first.code) in ((0, True), (0, 0)), done
    assert sorted(one["_id"] for one in away.archived.find()) == ["sess_1", "sess_2"]


# -- MongoDB answers pings, but its writes hang


def test_writes_that_hang_delay_an_end_for_seconds_only(valkey: ValkeyServer, mongo: MongoServer) -> None:
    put(valkey, "sess_ending")
    with hanging_writes(mongo.port) as proxy:
        uri = proxy.uri(DATABASE)
        done = run(valkey, uri, "session", "end", "sess_ending")
        assert done.code == 5 and done.err.count("\n") == 1 and "did not finish within 3.5 s" in done.err, done
        assert proxy.swallowed == 1
        assert_own_deadline(done)
        assert valkey.raw.pttl("AWI:SESSION:sess_ending") == -1, "kept until it is archived"
        proxy.hanging = False
        assert run(valkey, uri, "session", "end", "sess_ending").code == 0
    assert valkey.raw.keys() == [] and mongo.archived.count_documents({}) == 1


async def test_many_ends_wait_once_for_writes_that_hang(
    valkey: ValkeyServer, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 3600.0)  # however slow the machine is
    ids = [f"sess_{number}" for number in range(8)]
    put(valkey, *ids)
    with hanging_writes(mongo.port) as proxy:
        async with StateManager.open(valkey.settings(mongodb_uri=proxy.uri(DATABASE))) as manager:
            for one in ids:
                with pytest.raises(Unreachable, match=r"did not finish within 3\.5 s"):
                    await manager.end_session(one)
        assert proxy.swallowed == 1
    assert {valkey.raw.pttl(f"AWI:SESSION:{one}") for one in ids} == {-1}


async def test_no_session_expires_while_the_writes_of_a_sweep_hang(
    valkey: ValkeyServer, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of the first batches nor those that wait for their turn: all are kept before the first write."""
    monkeypatch.setattr(sweep, "MIN_HOLD_MS", 100_000)  # it extends what expires within half of that
    ids = [f"sess_{number}" for number in range(5 * BATCH_SESSIONS)]
    put(valkey, *ids, px=45_000)

    def shortest_ttl() -> int:
        with valkey.raw.pipeline() as pipe:
            for one in ids:
                pipe.pttl(f"AWI:SESSION:{one}")
            return min(pipe.execute())

    with hanging_writes(mongo.port) as proxy:
        async with StateManager.open(valkey.settings(mongodb_uri=proxy.uri(DATABASE))) as manager:
            sweeper = manager.sweeper(120_000)
            sweeping = asyncio.create_task(sweeper.sweep(await sweeper.candidates()))
            while not proxy.swallowed:
                assert not sweeping.done()
                await asyncio.sleep(0.01)
            assert shortest_ttl() > 50_000, "kept while the archive may take its time"
            swept = await sweeping
        assert 1 <= proxy.swallowed <= sweep.CONCURRENT_BATCHES, "it waits for hanging writes once"
    assert "did not finish within" in str(swept.stopped), swept
    assert (swept.found, swept.archived, swept.deleted, swept.held) == (len(ids), 0, 0, len(ids))
    assert shortest_ttl() > 90_000, "found again by a sweep with the default margin and interval"


async def test_a_sweep_is_bounded_while_the_writes_of_its_last_step_hang(
    valkey: ValkeyServer, mongo: MongoServer
) -> None:
    """Marking sessions as ended that have expired."""
    put(valkey, "sess_gone")
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        sweeper = manager.sweeper(300_000)
        assert (await sweeper.sweep(await sweeper.candidates())).archived == 1
    valkey.raw.delete("AWI:SESSION:sess_gone")
    mongo.archived.update_one({}, [{"$set": {"expiresAt": "$startedAt"}}])
    with hanging_writes(mongo.port) as proxy:
        uri = proxy.uri(DATABASE)
        async with StateManager.open(valkey.settings(mongodb_uri=uri)) as manager:
            sweeper = manager.sweeper(300_000)
            swept = await sweeper.sweep(await sweeper.candidates())
        assert proxy.swallowed == 1
    assert swept.stopped is not None and swept.stopped.exit_code == 5
    assert "did not finish within 3.5 s" in str(swept.stopped)


@pytest.mark.soak
@pytest.mark.parametrize("how", ["kill", "pause", "hang"])
def test_ends_exit_within_five_seconds_without_mongodb(valkey: ValkeyServer, away: MongoServer, how: str) -> None:
    ids = [f"sess_{number}" for number in range(8)]
    put(valkey, *ids)
    up = run_with_mongodb(valkey, away)
    with hanging_writes(away.port) as proxy:
        if how != "hang":
            getattr(away, how)()
        done = run(valkey, proxy.uri(DATABASE) if how == "hang" else away, "session", "end", *ids)
    assert (done.code, done.err.count("\n")) == (5, len(ids)), done
    assert_in_time(done, up)
    assert {valkey.raw.pttl(f"AWI:SESSION:{one}") for one in ids} == {-1}


@pytest.mark.soak
def test_a_sweep_exits_within_five_seconds_while_writes_hang(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """No session expires meanwhile, even if all would do so within seconds."""
    ids = [f"sess_{number}" for number in range(5 * BATCH_SESSIONS)]
    up = run_with_mongodb(valkey, mongo)
    put(valkey, *ids, px=int(2_000 + up.seconds * 1000))
    with hanging_writes(mongo.port) as proxy:
        done = run(valkey, proxy.uri(DATABASE), "archive", "sweep")
        assert done.code == 5 and done.err.count("\n") == 1 and "did not finish within" in done.err, done
        assert proxy.swallowed > 0
    assert_in_time(done, up)
    assert f'"found":{len(ids)},"archived":0,"deleted":0'.encode() in done.out
    assert f'"held":{len(ids)}'.encode() in done.out


async def test_frequent_sweeps_do_not_keep_an_archived_session(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """A session is kept while it is written, but only once: it may expire after it was archived."""
    put(valkey, "sess_idle", px=3_000)
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        sweeper = manager.sweeper(6_000)
        assert (await sweeper.sweep(await sweeper.candidates())).archived == 1
        kept = valkey.raw.pttl("AWI:SESSION:sess_idle")
        assert 3_000 < kept < 6_000
        for _ in range(3):
            assert (await sweeper.sweep(await sweeper.candidates())).archived == 1
            assert valkey.raw.pttl("AWI:SESSION:sess_idle") < kept


async def test_mongodb_goes_down_during_a_sweep(
    valkey: ValkeyServer, away: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first few of ten batches are archived; none is deleted; the next sweep archives the rest."""
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 0.0)  # the test does not wait for it to pass
    ids = [f"sess_{number:04d}" for number in range(10 * BATCH_SESSIONS)]
    put(valkey, *ids)
    async with StateManager.open(valkey.settings(mongodb_uri=away.uri)) as manager:
        sweeper = manager.sweeper(300_000)
        done = 0

        def progress(steps: int) -> None:
            nonlocal done
            done += steps
            if done == BATCH_SESSIONS:
                away.kill()

        swept = await sweeper.sweep(await sweeper.candidates(), progress)
        assert swept.stopped is not None and swept.stopped.exit_code == 5
        assert (swept.deleted, swept.archived + len(swept.failed), swept.held) == (0, len(ids), len(swept.failed))
        assert swept.archived >= BATCH_SESSIONS and swept.failed
        assert valkey.raw.dbsize() == len(ids)

    away.start()
    async with StateManager.open(valkey.settings(mongodb_uri=away.uri, timeout=60)) as manager:
        sweeper = manager.sweeper(300_000)
        again = await sweeper.sweep(await sweeper.candidates())
        assert (again.archived, again.failed, again.stopped) == (len(ids), {}, None)
    assert away.archived.count_documents({}) == len(ids)


async def test_redis_goes_down_during_an_end(new_valkey: Callable[..., ValkeyServer], mongo: MongoServer) -> None:
    """After the session was archived, before it is deleted. Redis is then restarted with its data."""
    valkey = new_valkey("--appendonly", "yes", "--appendfsync", "always")
    put(valkey, "sess_ending")
    settings: Settings = valkey.settings(mongodb_uri=mongo.uri, timeout=1)
    async with StateManager.open(settings) as manager:
        archive = manager.required_archive()
        save = archive.save

        async def saved(snapshots):  # type: ignore[no-untyped-def]
            results = await save(snapshots)
            valkey.kill()
            return results

        archive.save = saved  # type: ignore[method-assign, assignment]
        with pytest.raises(Exception, match=r"cannot reach Redis|closed the connection") as raised:
            await manager.end_session("sess_ending")
        assert getattr(raised.value, "exit_code", None) == 5
    assert mongo.archived.count_documents({}) == 1
    valkey.start()
    assert valkey.raw.hkeys("AWI:ENDING") == [b"sess_ending"]
    async with StateManager.open(settings) as manager:
        await manager.end_session("sess_ending")
    assert (valkey.raw.dbsize(), mongo.sessions.count_documents({})) == (0, 1)


def test_without_redis_a_session_is_read_from_the_archive(
    new_valkey: Callable[..., ValkeyServer], mongo: MongoServer
) -> None:
    valkey = new_valkey()
    put(valkey, "sess_known")
    assert run(valkey, mongo, "archive", "sweep", "--margin", "5m").code == 0
    valkey.kill()
    for words in (("session", "show", "sess_known"), ("session", "history", "sess_known")):
        done = run(valkey, mongo, *words)
        assert done.code == 0 and b"session_start" in done.out, done
        assert "is read from the archive" in done.err and "Redis is unreachable" in done.err
    done = run(valkey, mongo, "session", "show", "sess_unknown")
    assert done.code == 5 and "cannot reach Redis" in done.err
