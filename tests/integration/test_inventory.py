"""Listing and surveying keys on a real server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from support.documents import compact, document, put
from support.monitor import monitored
from support.valkey import ValkeyServer

from awictl import StateManager, Unreachable
from awictl.diagnostics import inventory
from awictl.diagnostics.inventory import Key
from awictl.diagnostics.key_stats import BOUNDS_MS, KeyStats
from awictl.document.keys import KeyKind
from awictl.store.keyspace import KeyInfo

NAMES = {
    b"AWI:SESSION:sess_a": KeyKind.SESSION,
    b"AWI:DIFF:sess_a": KeyKind.DIFF,
    b"AGENT:SESSION:a:b": KeyKind.AGENT,
    b"AWI:CACHE:LIST:879870e3b305b9f50961e6ab28b8707f": KeyKind.CACHE,
    b"MEDIA:IMG:1": KeyKind.IMAGE,
    b"MEDIA:EMBED:1": KeyKind.EMBEDDING,
    b"LOCK:SESSION:sess_a": KeyKind.LOCK,
    b"RATELIMIT:a:read": KeyKind.RATE_LIMIT,
    b"bull:queue:1": KeyKind.OTHER,
    b"xAWI:SESSION:sess_a": KeyKind.OTHER,
    b"awi:session:sess_a": KeyKind.OTHER,
    b"AWI:SESSION": KeyKind.OTHER,
}


async def found(manager: StateManager, pattern: str | None = None, **options: bool) -> dict[str, Key]:
    return {key.key: key async for batch in manager.inventory.keys(pattern, **options) for key in batch}


async def surveyed(manager: StateManager, **options: int) -> dict[KeyKind, KeyStats]:
    return {one.kind: one for one in await manager.inventory.survey(**options)}


async def test_the_kinds_of_keys(manager: StateManager, valkey: ValkeyServer) -> None:
    for name in NAMES:
        valkey.raw.set(name, b"12345", px=60_000)
    everything = await found(manager, everything=True)
    assert {key.encode(): one.kind for key, one in everything.items()} == NAMES
    assert all(one.bytes == 5 and 0 < (one.ttl_ms or 0) <= 60_000 for one in everything.values())
    own = await found(manager)
    assert own.keys() == {name.decode() for name, kind in NAMES.items() if kind is not KeyKind.OTHER}
    assert (await found(manager, "*sess_a")).keys() == {key for key in own if key.endswith("sess_a")}
    assert (await found(manager, "bull*")) == {}, "not an AWI key"
    assert (await found(manager, "bull*", everything=True)).keys() == {"bull:queue:1"}
    names = [name async for batch in manager.inventory.names() for name in batch]
    assert sorted(names) == sorted(own)


async def test_odd_keys(manager: StateManager, valkey: ValkeyServer) -> None:
    valkey.raw.lpush(b"AWI:SESSION:list", b"x")
    valkey.raw.set(b"AWI:DIFF:\xff\x1b[2J", b"")
    valkey.raw.set("AWI:DIFF:naïve", b"x")
    keys = await found(manager)
    wrong = keys["AWI:SESSION:list"]
    assert wrong.bytes is None and "not a string" in (wrong.error or "")
    assert keys["AWI:DIFF:naïve"].ttl_ms is None and keys["AWI:DIFF:naïve"].bytes == 1
    assert "AWI:DIFF:\\xff\x1b[2J" in keys
    stats = (await surveyed(manager))[KeyKind.SESSION]
    assert (stats.count, stats.not_strings, stats.total_bytes) == (1, 1, 0)


async def test_a_survey_of_few_keys_is_exact(manager: StateManager, valkey: ValkeyServer) -> None:
    for number in range(100):
        put(valkey, b"x" * (number + 1), f"sess_{number}", seconds=40 if number < 30 else 1000)
    valkey.raw.set("AWI:DIFF:sess_1", b"1")
    found = await surveyed(manager)
    assert found.keys() == {KeyKind.SESSION, KeyKind.DIFF}
    row = found[KeyKind.SESSION].row()
    assert (row["count"], row["looked_at"], row["bytes"]) == (100, 100, 5050)
    assert [one["bytes"] for one in row["biggest"]] == [100, 99, 98]
    assert row["biggest"][0]["key"] == "AWI:SESSION:sess_99"
    assert row["memory_bytes"] > 5050
    assert 30_000 < row["ttl_ms"]["min"] <= 40_000 < 900_000 < row["ttl_ms"]["median"] <= row["ttl_ms"]["max"]
    left = {one["below_ms"]: one["count"] for one in found[KeyKind.SESSION].ttl_histogram()["left"]}
    assert left.keys() == {*BOUNDS_MS, None}
    assert (left[60_000], left[1_200_000], sum(left.values())) == (30, 70, 100)
    assert found[KeyKind.DIFF].row()["without_ttl"] == 1 and found[KeyKind.DIFF].row()["ttl_ms"] is None


async def test_a_survey_of_many_keys_inspects_a_sample(manager: StateManager, valkey: ValkeyServer) -> None:
    with valkey.raw.pipeline() as pipe:
        for number in range(6_000):
            pipe.set(f"AWI:SESSION:sess_{number}", b"x" * 100, px=1_000_000 if number % 2 else 100_000)
        for number in range(20):
            pipe.set(f"AWI:DIFF:sess_{number}", b"x", px=1_000_000)
        pipe.execute()
    found = await surveyed(manager, sample=2_000)
    sessions, diffs = found[KeyKind.SESSION], found[KeyKind.DIFF]
    assert (sessions.count, diffs.count, diffs.inspected) == (6_000, 20, 20)
    assert 1_500 < sessions.inspected < 4_000
    assert sessions.row()["bytes"] == 600_000, "all have the same length"
    left = {one["below_ms"]: one["count"] for one in sessions.ttl_histogram()["left"]}
    assert 2_400 < left[300_000] < 3_600 and abs(left[300_000] + left[1_200_000] - 6_000) <= 1


async def test_values_that_a_managed_server_denies_are_none(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    put(server, compact(document([0])))
    server.raw.acl_setuser(
        "app",
        enabled=True,
        passwords="+x",
        keys=["*"],
        commands=["+scan", "+getrange", "+strlen", "+pttl", "+get"],
    )
    async with StateManager.open(server.settings(redis_username="app", redis_password="x")) as manager:
        assert await manager.inventory.size() is None
        assert (await found(manager)).keys() == {"AWI:SESSION:sess_test"}
        row = (await surveyed(manager))[KeyKind.SESSION].row()
    assert (row["count"], row["memory_bytes"]) == (1, None) and row["bytes"] > 500


async def test_other_servers_are_included(valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer]) -> None:
    other = new_valkey()
    put(valkey, compact(document([0])))
    url = f"unix://{other.socket}"
    async with StateManager.open(valkey.settings(cache_redis_url=url, media_redis_url=url)) as manager:
        await manager.cache.put({}, {}, [])
        keys = await found(manager)
        assert {one.kind for one in keys.values()} == {KeyKind.SESSION, KeyKind.CACHE} and len(keys) == 2
        assert await manager.inventory.size() == 2
        other.kill()
        with pytest.raises(Unreachable):
            await found(manager)


async def test_a_scan_reports_its_progress_and_writes_nothing(manager: StateManager, valkey: ValkeyServer) -> None:
    with valkey.raw.pipeline() as pipe:
        for number in range(5_000):
            pipe.set(f"AWI:DIFF:sess_{number}", b"x")
        pipe.execute()
    steps: list[int] = []
    with monitored(valkey) as seen:
        await manager.inventory.survey(on_step=steps.append)
    assert len(steps) > 1 and sum(steps) >= 4_000
    assert set(seen.names) <= {"DBSIZE", "SCAN", "EVALSHA", "EVAL", "PTTL", "STRLEN", "GETRANGE", "MEMORY"}


async def test_estimates_add_up(manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_MIN_PER_KIND", 10)
    with valkey.raw.pipeline() as pipe:
        for number in range(5_000):
            pipe.set(f"AGENT:SESSION:{number}", "x", px=None if number % 9 == 0 else 1_000 * (1 + number % 4_000))
        pipe.execute()
    [stats] = await manager.inventory.survey(sample=700)
    row = stats.ttl_histogram()
    assert stats.inspected < stats.count
    assert sum(one["count"] for one in row["left"]) + row["without_ttl"] == row["count"] == 5_000


async def test_keys_that_expire_during_a_survey_are_not_counted(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.raw.set("AGENT:SESSION:a", "x", ex=100)
    valkey.raw.set("AGENT:SESSION:b", "x", ex=100)
    key_info = manager.store.keyspace.key_info

    async def late(names: Sequence[bytes], size: int = 0) -> list[KeyInfo | None]:
        valkey.raw.delete("AGENT:SESSION:b")
        return await key_info(names, size)

    monkeypatch.setattr(manager.store.keyspace, "key_info", late)
    [stats] = await manager.inventory.survey()
    assert (stats.count, stats.inspected) == (1, 1)
