"""Caches, media, keys and rate limits in MongoDB (AWI_USE_REDIS=false)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.diagnostics.inventory import Key
from awictl.document.keys import KeyKind
from awictl.errors import InvalidData, RateLimited, Refused, TooLarge
from awictl.store.mongo.glob import matcher
from awictl.store.mongo.sessions import MongoStore
from awictl.store.mongo.strings import MAX_VALUE_BYTES, MongoStrings


@pytest.fixture
async def manager(mongo: MongoServer) -> AsyncIterator[StateManager]:
    """A manager whose live store is the MongoDB server of this worker."""
    async with StateManager.open(Settings(use_redis=False, mongodb_uri=mongo.uri)) as opened:
        yield opened


@pytest.fixture
def strings(manager: StateManager) -> MongoStrings:
    assert isinstance(manager.store, MongoStore)
    return manager.store.strings


def keys_of(manager: StateManager) -> AsyncGenerator[list[Key], None]:
    return manager.inventory.keys()


def expire(mongo: MongoServer, collection: str, name: str, **by: float) -> None:
    """Set when a document expires, relative to now. The TTL index deletes nothing meanwhile: it runs once a minute."""
    expires_at = datetime.now(UTC) + timedelta(**by)
    done = mongo.raw[f"awi_live_{collection}"].update_one({"_id": name}, {"$set": {"expires_at": expires_at}})
    assert done.matched_count == 1


async def test_strings_are_stored_and_expire(strings: MongoStrings, mongo: MongoServer) -> None:
    await strings.put({"a": b"1", "b": b"\0\xff" * 9}, 60_000)
    assert await strings.get("a") == b"1" and await strings.get("c") is None
    assert await strings.get_many(["b", "c", "a"]) == {"a": b"1", "b": b"\0\xff" * 9}
    [of_a, of_b, of_c] = await strings.key_info(["a", "b", "c"], 4)
    assert of_a is not None and (of_a.length, of_a.start, of_a.error) == (1, b"1", None)
    assert of_b is not None and (of_b.length, of_b.start) == (18, b"\0\xff\0\xff") and of_c is None
    assert 59_000 < (of_a.ttl_ms or 0) <= 60_000
    expire(mongo, "strings", "a", seconds=-1)
    assert await strings.get("a") is None and await strings.key_info(["a"]) == [None]
    assert await strings.get_many(["a"]) == {} and await strings.delete(["a", "b"]) == [False, True]
    assert [name async for batch in strings.scan("") for name in batch] == []


async def test_a_put_extends_other_keys_but_creates_none(strings: MongoStrings, mongo: MongoServer) -> None:
    await strings.put({"old": b"1", "gone": b"2"}, 1_000)
    expire(mongo, "strings", "gone", seconds=-1)
    await strings.put({"new": b"3"}, 60_000, also=["old", "gone", "never"])
    assert await strings.get_many(["old", "gone", "never", "new"]) == {"old": b"1", "new": b"3"}
    [info] = await strings.key_info(["old"])
    assert info is not None and info.ttl_ms is not None and info.ttl_ms > 50_000


async def test_compare_and_set(strings: MongoStrings, mongo: MongoServer) -> None:
    assert not await strings.compare_and_set("k", b"old", {"k": b"new"}, 60_000)
    assert await strings.compare_and_set("k", None, {"k": b"1", "beside": b"x"}, 60_000)
    assert not await strings.compare_and_set("k", None, {"k": b"2"}, 60_000)
    assert await strings.compare_and_set("k", b"1", {"k": b"2"}, 60_000)
    assert not await strings.compare_and_set("k", b"1", {"k": b"3"}, 60_000)
    assert await strings.get_many(["k", "beside"]) == {"k": b"2", "beside": b"x"}
    expire(mongo, "strings", "k", seconds=-1)
    assert not await strings.compare_and_set("k", b"2", {"k": b"3"}, 60_000), "it has expired"
    assert await strings.compare_and_set("k", None, {"k": b"4"}, 60_000), "as if it had never been"


async def test_of_concurrent_writers_one_succeeds(strings: MongoStrings) -> None:
    created = await asyncio.gather(*(strings.compare_and_set("k", None, {"k": b"%d" % i}, 60_000) for i in range(8)))
    assert created.count(True) == 1
    value = await strings.get("k")
    changed = await asyncio.gather(*(strings.compare_and_set("k", value, {"k": b"x%d" % i}, 60_000) for i in range(8)))
    assert changed.count(True) == 1
    await asyncio.gather(*(strings.put({"same": b"%d" % i}, 60_000) for i in range(8)))


async def test_only_unchanged_keys_are_deleted(strings: MongoStrings) -> None:
    await strings.put(dict.fromkeys("abc", b"1"), 60_000)
    versions = await strings.versions([*"abc", "missing"])
    await strings.put({"b": b"2"}, 60_000)
    await strings.put({}, 90_000, also=["c"])
    assert await strings.delete_unchanged(versions) == {"a": True, "b": False, "c": False, "missing": True}
    assert set(await strings.get_many([*"abc"])) == {"b", "c"}


@pytest.mark.soak
async def test_a_value_of_almost_16_mib_is_stored(strings: MongoStrings) -> None:
    await strings.put({"large": b"x" * MAX_VALUE_BYTES}, 60_000)
    assert len(await strings.get("large") or b"") == MAX_VALUE_BYTES


async def test_a_value_above_16_mib_is_refused_before_it_is_sent(strings: MongoStrings) -> None:
    with pytest.raises(TooLarge, match=r"MongoDB stores at most 16,711,680 in one document; nothing was written"):
        await strings.put({"large": b"x" * (MAX_VALUE_BYTES + 1)}, 60_000)
    assert await strings.get("large") is None


async def test_sizes_are_checked_before_values_are_read(mongo: MongoServer, strings: MongoStrings) -> None:
    await strings.put({"k": b"x" * 2_000}, 60_000)
    async with StateManager.open(Settings(use_redis=False, mongodb_uri=mongo.uri, max_document_bytes=1_024)) as small:
        with pytest.raises(TooLarge, match=r"key k: 2,000 bytes"):
            await small.store.strings.get("k")
        assert isinstance((await small.store.strings.get_many(["k"]))["k"], TooLarge)


async def test_invalid_documents_are_reported(mongo: MongoServer, strings: MongoStrings, manager: StateManager) -> None:
    await strings.put({"MEDIA:IMG:i": b"{}"}, 60_000)
    for field, value in (("length", "2"), ("expires_at", "soon")):
        mongo.raw["awi_live_strings"].update_one({"_id": "MEDIA:IMG:i"}, {"$set": {field: value}})
        with pytest.raises(InvalidData, match=f"key MEDIA:IMG:i: its field {field} is missing or not"):
            await strings.get("MEDIA:IMG:i")
        if field == "length":
            [key] = [one async for batch in keys_of(manager) for one in batch]
            assert key.error is not None and "its field length" in key.error
            mongo.raw["awi_live_strings"].update_one({"_id": "MEDIA:IMG:i"}, {"$set": {field: 2}})


async def test_caches_and_media(manager: StateManager) -> None:
    session = await manager.initialize_session("a", "A")
    key = await manager.cache_query_results(session["session_id"], {"q": 1}, None, [1, 2])
    assert await manager.get_cached_query_results(key) == [1, 2]
    assert [one.sessions async for one in manager.cache.list()] == [[session["session_id"]]]
    await manager.media.put("i", thumbnail_url="http://h/t", full_url="http://h/f", embedding=[1.0, 0.0])
    await manager.media.put("j", thumbnail_url="http://h/t", full_url="http://h/f", embedding=[0.0, 1.0])
    assert [one.id for one in (await manager.media.similar("i")).matches] == ["j"]
    assert [one.id for one in await manager.media.delete(["i"])] == ["i"]
    assert [image.id async for batch in manager.media.list() for image in batch] == ["j"]


async def test_keys_have_the_names_that_they_would_have_in_redis(manager: StateManager, mongo: MongoServer) -> None:
    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    await manager.update_state_with_delta(session_id, {"n": 1})
    await manager.store.strings.put({"AWI:CACHE:LIST:" + "0" * 32: b"[]"}, 60_000)
    await manager.agent_sessions.get_or_create("a", "A", operation="state", limit=9)
    found = {one.key: one async for batch in keys_of(manager) for one in batch}
    stored = await manager.read_session(session_id)
    sizes = {name: one.bytes for name, one in found.items()}
    assert sizes == {
        f"AWI:SESSION:{session_id}": len(stored.raw),
        f"AWI:DIFF:{session_id}": sizes[f"AWI:DIFF:{session_id}"],
        "AGENT:SESSION:a": len(session_id),
        "AWI:CACHE:LIST:" + "0" * 32: 2,
        "RATELIMIT:a:state": 1,
    }
    assert found["RATELIMIT:a:state"].value == "1" and found["RATELIMIT:a:state"].kind is KeyKind.RATE_LIMIT
    assert all(one.ttl_ms is not None and one.error is None for one in found.values())
    names = [name async for batch in manager.inventory.names("A*:sess_*") for name in batch]
    assert sorted(names) == [f"AWI:DIFF:{session_id}", f"AWI:SESSION:{session_id}"]
    assert [name async for batch in manager.inventory.names("AGENT:*") for name in batch] == ["AGENT:SESSION:a"]
    expire(mongo, "sessions", session_id, seconds=-1)
    expire(mongo, "agents", "a", seconds=-1)
    left = [name async for batch in manager.inventory.names() for name in batch]
    assert sorted(left) == ["AWI:CACHE:LIST:" + "0" * 32, "RATELIMIT:a:state"]


async def test_scans_in_several_requests_find_every_key_once(
    strings: MongoStrings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awictl.store.mongo.scan.SCAN_DOCUMENTS", 3)
    await strings.put({f"p{i:02}": b"x" for i in range(10)} | {"o": b"y", "q": b"z"}, 60_000)
    found = [name async for batch in strings.scan("p") for name in batch]
    assert found == [f"{i:02}" for i in range(10)]
    steps: list[int] = []
    async for _ in strings.keyspace.scan("p*", rate=100_000, on_step=steps.append):
        pass
    assert sum(steps) == 10 and max(steps) <= 3


async def test_there_is_no_stream_of_commands(manager: StateManager) -> None:
    with pytest.raises(Refused, match="MongoDB does not report the commands of its clients"):
        manager.store.keyspace.monitor()


# -- rate limits


async def test_requests_are_counted_across_processes(manager: StateManager, mongo: MongoServer) -> None:
    async with StateManager.open(manager.settings) as other:
        agents = [manager.agent_sessions, other.agent_sessions]
        counts = await asyncio.gather(*(one.count("a", "state", 9) for one in agents * 4))
        assert sorted(one.requests for one in counts) == [*range(1, 9)]
        await other.agent_sessions.count("a", "state", 9)
        with pytest.raises(RateLimited):
            await manager.agent_sessions.count("a", "state", 9)
    expire(mongo, "counters", "RATELIMIT:a:state", seconds=-1)
    status = await manager.agent_sessions.count("a", "state", 9)
    assert status.requests == 1 and 3_500_000 < status.reset_ms <= 3_600_000


# -- glob patterns


PATTERNS = ["*", "a*", "?", "??", "[ab]*", "[^a]*", "[a-c]?", "[c-a]b", "[a-]", "a\\*", "\\", "*:b"]
PATTERNS += ["[", "[a", "[\\", "[]", "[^]", "[a\\]]"]
NAMES = ["a", "b", "ab", "abc", "a*", "a]", "]", "[", "a:b", "-", "\\", "^", "é", "c\n"]


async def test_patterns_match_as_in_redis(valkey: ValkeyServer) -> None:
    with valkey.raw.pipeline() as pipe:
        for name in NAMES:
            pipe.set(name, "x")
        pipe.execute()
    for pattern in PATTERNS:
        expected = {name.decode() for name in valkey.raw.keys(pattern)}
        assert {name for name in NAMES if matcher(pattern)(name.encode())} == expected, pattern


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.text("ab*?[]^-\\", min_size=1, max_size=7), st.lists(st.text("ab]^-\\", min_size=1, max_size=4), min_size=1))
def test_patterns_match_as_in_redis_whatever_they_are(valkey: ValkeyServer, pattern: str, names: list[str]) -> None:
    valkey.raw.flushall()
    valkey.raw.mset(dict.fromkeys(names, "x"))
    found: Any = {name.decode() for name in valkey.raw.keys(pattern)}
    assert {name for name in names if matcher(pattern)(name.encode())} == found
