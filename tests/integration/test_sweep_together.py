"""Sweeps: concurrent ones, and sweeps of sessions that are updated, expire, or have ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from typing import Any

import pytest
from support.documents import assert_same
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.archive.sweep import Swept
from awictl.document.byte_layout import decode, encode
from awictl.document.schema import new_document

#: TTL of the sessions of a test, and margin of its sweeps, in milliseconds.
TTL_MS, MARGIN_MS = 60_000, 120_000


@pytest.fixture
def settings(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    return valkey.settings(mongodb_uri=mongo.uri)


def put(valkey: ValkeyServer, *session_ids: str, px: int = TTL_MS) -> dict[str, dict[str, Any]]:
    """Store sessions. Returns their documents."""
    documents = {
        one: new_document(one, f"agent-of-{one}", "Agent", f"/{number}", "2026-11-23T10:00:00.000Z")
        for number, one in enumerate(session_ids)
    }
    with valkey.raw.pipeline() as pipe:
        for one, document in documents.items():
            pipe.set(f"AWI:SESSION:{one}", encode(document), px=px)
        pipe.execute()
    return documents


async def sweep(manager: StateManager, margin_ms: int = MARGIN_MS) -> Swept:
    """Run a sweep, which must succeed."""
    sweeper = manager.sweeper(margin_ms)
    swept = await sweeper.sweep(await sweeper.candidates())
    assert (swept.failed, swept.stopped) == ({}, None)
    return swept


async def archived(manager: StateManager, session_id: str) -> dict[str, Any]:
    found = await manager.get_archived_session(session_id)
    assert found is not None and found.raw is not None
    return decode(found.raw)


@pytest.mark.parametrize(("sweepers", "sessions"), [(3, 120), pytest.param(8, 1_000, marks=pytest.mark.soak)])
async def test_concurrent_sweepers_archive_each_session_once_in_its_last_version(
    valkey: ValkeyServer, mongo: MongoServer, settings: Settings, sweepers: int, sessions: int
) -> None:
    """Several processes, while some of the sessions are updated."""
    ids = [f"sess_{number:04d}" for number in range(sessions)]
    put(valkey, *ids)
    words = ["archive", "sweep", "--margin", f"{MARGIN_MS // 1000}s", "-o", "json"]
    env = {
        **os.environ,
        "REDIS_SOCKET": str(valkey.socket),
        "MONGODB_URI": mongo.uri,
        "SESSION_TTL_MINUTES": "1",
        "AWI_TIMEOUT": "60",  # eight processes at once are slow on a small machine
        "XDG_CONFIG_HOME": str(valkey.folder),
    }
    processes = [
        subprocess.Popen([sys.executable, "-m", "awictl", *words], env=env, cwd=valkey.folder, stdout=subprocess.PIPE)
        for _ in range(sweepers)
    ]
    async with StateManager.open(replace(settings, session_ttl_minutes=1, timeout=60.0)) as manager:
        for session_id in ids[::20]:
            await manager.update_state_with_delta(session_id, {"page_state": {"filters": {"late": True}}})
        for process in processes:
            out, _ = await asyncio.to_thread(process.communicate, timeout=120)
            assert process.returncode == 0, out
        # sessions that were updated after they were archived are archived again by the next sweep
        await sweep(manager)
        assert mongo.archived.count_documents({}) == sessions
        last = dict(zip(ids, valkey.raw.mget([f"AWI:SESSION:{one}" for one in ids]), strict=True))
        assert None not in last.values(), "a sweep deletes no live session"
        for document in mongo.archived.find():
            assert zlib.decompress(document["packed"]) == last[document["_id"]]
        assert_same(await archived(manager, ids[0]), decode(last[ids[0]]))

        # they expire, and the next sweep marks them as ended
        assert mongo.archived.count_documents({"state": "live"}) == sessions
        valkey.raw.delete(*(f"AWI:SESSION:{one}" for one in ids))
        past = {"$set": {"expiresAt": mongo.archived.find_one()["startedAt"]}}  # type: ignore[index]
        mongo.archived.update_many({}, past)
        assert (await sweep(manager)).expired == sessions
        assert mongo.archived.count_documents({"state": "expired"}) == sessions


async def test_a_session_that_was_updated_is_archived_again(
    valkey: ValkeyServer, mongo: MongoServer, settings: Settings
) -> None:
    put(valkey, "sess_lives")
    async with StateManager.open(settings) as manager:
        assert (await sweep(manager)).archived == 1
        assert (await sweep(manager)).archived == 1, "archiving the same again is harmless"
        await manager.update_state_with_delta("sess_lives", {"page_state": {"route": "/later"}})
        assert (await sweep(manager)).found == 0, "its TTL was extended"
        swept = await sweep(manager, margin_ms=settings.session_ttl_ms * 2)
        assert (swept.archived, swept.deleted) == (1, 0)
        assert (await archived(manager, "sess_lives"))["page_state"]["route"] == "/later"
    assert mongo.archived.count_documents({}) == 1


async def test_a_session_that_was_touched_is_not_marked_as_expired(
    valkey: ValkeyServer, mongo: MongoServer, settings: Settings
) -> None:
    put(valkey, "sess_lives", px=2_000)
    async with StateManager.open(settings) as manager:
        await sweep(manager)
        first = mongo.archived.find_one({})
        await manager.touch_session("sess_lives")
        mongo.archived.update_one({}, {"$set": {"expiresAt": first["startedAt"]}})  # type: ignore[index]
        assert (await sweep(manager)).expired == 0, "it is still in Redis"
        await sweep(manager, margin_ms=settings.session_ttl_ms * 2)
        again = mongo.archived.find_one({})
    assert first is not None and again is not None
    assert again["state"] == "live" and again["expiresAt"] > first["expiresAt"]


async def test_an_ended_session_is_archived_and_deleted(
    valkey: ValkeyServer, mongo: MongoServer, settings: Settings
) -> None:
    """As after a crash: the end is recorded, the session has no TTL, and it is not in the archive."""
    [document] = put(valkey, "sess_ended").values()
    end = {"t": 1, "action": "session_end", "input": {}, "delta": {}, "timestamp": "2026-11-23T10:00:01.000Z"}
    document["history"] = {"actions": [*document["history"]["actions"], end], "last_action": end}
    valkey.raw.set("AWI:SESSION:sess_ended", encode(document))
    valkey.raw.set("AGENT:SESSION:agent-of-sess_ended", "sess_ended")
    valkey.raw.set("AWI:SESSION:sess_lasting", encode(document | {"session_id": "sess_lasting", "history": {
        "actions": [], "last_action": None}}))  # fmt: skip
    async with StateManager.open(settings) as manager:
        swept = await sweep(manager)
        assert (swept.found, swept.archived, swept.deleted) == (1, 1, 1)
        assert_same(await archived(manager, "sess_ended"), document)
    assert valkey.raw.keys() == [b"AWI:SESSION:sess_lasting"], (
        "a session without a TTL that has not ended is left alone"
    )
    assert [one["sessionActive"] for one in mongo.sessions.find()] == [False]


async def test_sessions_that_expire_first_come_first_and_the_rate_is_limited(
    valkey: ValkeyServer, settings: Settings
) -> None:
    for number, session_id in enumerate(("sess_b", "sess_a", "sess_c")):
        put(valkey, session_id, px=TTL_MS - 10_000 * number)
    put(valkey, *(f"sess_later_{number}" for number in range(17)), px=MARGIN_MS - 1_000)
    async with StateManager.open(settings) as manager:
        sweeper = manager.sweeper(MARGIN_MS, rate=20)
        due = await sweeper.candidates()
        assert [one.session_id for one in due[:3]] == ["sess_c", "sess_a", "sess_b"]
        began = time.monotonic()
        swept = await sweeper.sweep(due)
    assert swept.archived == 20
    assert time.monotonic() - began >= 0.7, "20 sessions at 20 per second"


async def test_a_session_that_cannot_be_archived_does_not_stop_the_others(
    valkey: ValkeyServer, mongo: MongoServer, settings: Settings
) -> None:
    put(valkey, "sess_good", "sess_clash", px=10_000)
    valkey.raw.set("AWI:SESSION:sess_bad", b"no JSON", px=10_000)
    mongo.archived.insert_one({"_id": "sess_clash", "format": 99})
    async with StateManager.open(settings) as manager:
        sweeper = manager.sweeper(MARGIN_MS)
        swept = await sweeper.sweep(await sweeper.candidates())
    assert (swept.archived, swept.held, swept.stopped) == (1, 2, None)
    assert {name: error.exit_code for name, error in swept.failed.items()} == {"sess_bad": 6, "sess_clash": 4}
    for session_id in swept.failed:
        assert 100_000 < valkey.raw.pttl(f"AWI:SESSION:{session_id}") < MARGIN_MS, (
            "its TTL was extended, to less than the margin"
        )
    assert 0 < valkey.raw.pttl("AWI:SESSION:sess_good") <= 10_000
