"""The cached results of queries, on real servers: what is stored, what is found, and why something is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.documents import APP_FILES, DATA, SESSION_ID, compact, document, put, session_key
from support.valkey import ValkeyServer

from awictl import InvalidData, InvalidInput, NotFound, ReadOnly, StateManager, TooLarge, Unreachable, cache_key
from awictl.document.timestamps import timestamp
from awictl.query_cache.cache import Cached
from awictl.query_cache.spellings import Difference

FILTERS = {"category": "tech", "tags": ["awi", "agents"]}
SORT = {"key": "createdAt", "order": "desc"}
KEY = cache_key(FILTERS, SORT)
PLACE = f"AWI:CACHE:LIST:{KEY}"


def pointing(session_id: str, key: str, ago: timedelta = timedelta(), **others: Any) -> dict[str, Any]:
    """A document whose active query is that under `key`."""
    at = timestamp(datetime.now(UTC) - ago)
    return document([0], session_id, query_cache={"active_cache_key": key, "cached_at": at}, **others)


async def listed(manager: StateManager, **options: Any) -> dict[str, Cached]:
    return {one.cache_key: one async for one in manager.cache.list(**options)}


# -- putting and reading


async def test_results_are_stored_as_the_app_stores_them(manager: StateManager, valkey: ValkeyServer) -> None:
    results = [{"id": 2**63, "naïve": "“🙂”"}, [], None]
    cached = await manager.cache.put(FILTERS, SORT, results)
    assert (cached.cache_key, cached.count) == (KEY, 3)
    raw = valkey.raw.get(PLACE)
    assert json.loads(raw) == results and len(raw) == cached.bytes
    assert 290_000 < valkey.raw.pttl(PLACE) <= 300_000
    assert await manager.get_cached_query_results(KEY) == results
    assert list(valkey.raw.scan_iter()) == [PLACE.encode()], "no session is touched"


async def test_a_session_tells_of_the_query_that_it_is_at(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    assert await manager.cache_query_results("sess_test", FILTERS, SORT, [1, 2], op_id="mine") == KEY
    state = await manager.get_session_state("sess_test")
    assert state is not None
    query, last = state["query_cache"], state["history"]["last_action"]
    assert query["active_cache_key"] == KEY
    # exactly what the app records
    [of_app] = [
        one
        for one in json.loads((DATA / "session_03_many.json").read_bytes())["history"]["actions"]
        if one["action"] == "cache_query_results"
    ]
    assert last["input"] == {"filters": FILTERS, "sort": SORT, "result_count": 2}
    assert last["input"].keys() == of_app["input"].keys()
    assert last["delta"]["query_cache"].keys() == of_app["delta"]["query_cache"].keys()
    assert last["delta"]["query_cache"] == {"active_cache_key": KEY, "cached_at": query["cached_at"]}
    # the same once more changes nothing in the session
    await manager.cache_query_results("sess_test", FILTERS, SORT, [1, 2], op_id="mine")
    assert (await manager.get_action_history("sess_test")).total == 2


async def test_nothing_is_cached_for_a_session_that_is_not_there(manager: StateManager, valkey: ValkeyServer) -> None:
    with pytest.raises(NotFound, match="sess_missing"):
        await manager.cache_query_results("sess_missing", FILTERS, SORT, [1])
    assert valkey.raw.dbsize() == 0


@pytest.mark.parametrize("results", [{}, "x", None, (1,), [float("nan")], [{1: 2}], ["\ud800"]])
async def test_what_is_no_array_of_json_is_refused(manager: StateManager, valkey: ValkeyServer, results: Any) -> None:
    with pytest.raises(InvalidInput):
        await manager.cache.put(FILTERS, SORT, results)
    assert valkey.raw.dbsize() == 0


async def test_the_expiry_of_results_is_a_setting(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(list_cache_ttl_minutes=0.5)) as manager:
        await manager.cache.put(FILTERS, SORT, [])
    assert 29_000 < valkey.raw.pttl(PLACE) <= 30_000


async def test_results_have_a_server_of_their_own(
    valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer]
) -> None:
    other = new_valkey()
    put(valkey, compact(document([0])))
    async with StateManager.open(valkey.settings(cache_redis_url=f"unix://{other.socket}")) as manager:
        await manager.cache_query_results("sess_test", FILTERS, SORT, [1])
        assert await manager.get_cached_query_results(KEY) == [1]
        assert (await listed(manager))[KEY].sessions == ["sess_test"]
        assert (await manager.diagnose_query(FILTERS, SORT)).hit
        assert str(other.socket) in manager.cache.where
    assert [*other.raw.scan_iter()] == [PLACE.encode()]
    assert valkey.raw.exists(PLACE) == 0


async def test_a_read_only_manager_writes_nothing(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(read_only=True)) as manager:
        with pytest.raises(ReadOnly):
            await manager.cache.put(FILTERS, SORT, [])
        with pytest.raises(ReadOnly):
            await manager.cache.delete([KEY])


# -- listing and deleting


async def test_a_listing_tells_who_points_to_what(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.cache.put(FILTERS, SORT, [1, 2, 3])
    await manager.cache.put({}, {}, [])
    put(valkey, APP_FILES[2].read_bytes(), "sess_app")
    put(valkey, compact(pointing("sess_b", f"AWI:CACHE:LIST:{KEY}")), "sess_b")
    put(valkey, compact(pointing("sess_c", cache_key({"gone": 1}))), "sess_c")
    found = await listed(manager)
    assert found.keys() == {KEY, cache_key()}
    assert sorted(found[KEY].sessions) == ["sess_app", "sess_b"] and found[KEY].count == 3
    assert found[KEY].ttl_ms is not None and 290_000 < found[KEY].ttl_ms <= 300_000
    assert (found[cache_key()].sessions, found[cache_key()].count, found[cache_key()].bytes) == ((), 0, 2)
    assert (await listed(manager, sessions=False))[KEY].sessions == ()


async def test_a_listing_survives_what_is_not_as_it_should_be(manager: StateManager, valkey: ValkeyServer) -> None:
    names = [f"{number:032x}" for number in range(4)]
    valkey.raw.set(f"AWI:CACHE:LIST:{names[0]}", b"[1")
    valkey.raw.set(f"AWI:CACHE:LIST:{names[1]}", b'{"a":1}')
    valkey.raw.lpush(f"AWI:CACHE:LIST:{names[2]}", b"x")
    valkey.raw.set(f"AWI:CACHE:LIST:{names[3]}", b"[" + b"1," * 600_000 + b"1]")
    valkey.raw.set(b"AWI:CACHE:LIST:\xff", b"[]")
    found = await listed(manager)
    assert [found[name].count for name in names] == [None] * 4
    errors = [found[name].error or "" for name in names]
    assert "not valid JSON" in errors[0] and "not a JSON array" in errors[1] and "not a string" in errors[2]
    assert errors[3] == "", "too long to be counted in passing is no error"
    assert found[names[0]].ttl_ms is None
    for name in names[:3]:
        with pytest.raises(InvalidData, match=name):
            await manager.get_cached_query_results(name)


async def test_results_beyond_the_limit_are_not_read(valkey: ValkeyServer) -> None:
    valkey.raw.set(PLACE, b"[" + b"1," * 5_000 + b"1]")
    async with StateManager.open(valkey.settings(max_document_bytes=1024)) as manager:
        with pytest.raises(TooLarge, match=KEY):
            await manager.get_cached_query_results(KEY)
        assert "limit" in ((await listed(manager))[KEY].error or "")


async def test_deleting(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.cache.put(FILTERS, SORT, [1])
    put(valkey, compact(document([0])))
    assert await manager.cache.delete([KEY, cache_key()]) == [True, False]
    with pytest.raises(InvalidInput):
        await manager.cache.delete(["sess_test"])
    assert [*valkey.raw.scan_iter()] == [b"AWI:SESSION:sess_test"]


# -- diagnosing


async def test_a_hit(manager: StateManager) -> None:
    await manager.cache.put(FILTERS, SORT, [1, 2])
    found = await manager.diagnose_query(FILTERS, SORT)
    assert (found.hit, found.count, found.bytes, found.near) == (True, 2, 5, [])
    assert found.ttl_ms is not None and found.ttl_ms > 290_000


async def test_cached_results_that_cannot_be_read_are_no_hit(manager: StateManager, valkey: ValkeyServer) -> None:
    valkey.raw.set(PLACE, b"[1")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert not found.hit and "not valid JSON" in found.verdict


@pytest.mark.parametrize(
    ("filters", "sort", "expected"),
    [
        ({"tags": ["awi", "agents"], "category": "tech"}, SORT, Difference.ORDER),
        (FILTERS, {"order": "desc", "key": "createdAt"}, Difference.ORDER),
        ({"category": "tech", "tags": "awi,agents"}, SORT, Difference.ARRAY),
        (FILTERS, {}, Difference.SORT),
        (FILTERS | {"page": 1}, SORT, Difference.FILTER),
    ],
)
async def test_another_spelling_that_is_cached(
    manager: StateManager, valkey: ValkeyServer, filters: Any, sort: Any, expected: Difference
) -> None:
    await manager.cache.put(FILTERS, SORT, [1])
    for sessions in (False, True):
        found = await manager.diagnose_query(filters, sort, sessions=sessions)
        assert not found.hit and found.ttl_ms is None
        assert (found.near[0].cache_key, found.near[0].difference) == (KEY, expected)
        assert found.near[0].filters == FILTERS and found.near[0].sort == SORT
        assert (found.near[0].ttl_ms or 0) > 290_000
        assert found.near[0].words in found.verdict


async def test_a_similar_query_is_known_by_the_session_that_is_at_it(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    """Nothing in what was asked for leads to it: only the sessions tell which query a cache key belongs to."""
    put(valkey, compact(document([0])))
    await manager.cache_query_results("sess_test", FILTERS, SORT, [1])
    asked = {"category": "science", "tags": ["awi", "agents"]}
    found = await manager.diagnose_query(asked, SORT)
    assert [one.cache_key for one in found.near] == [KEY]
    assert found.near[0].words == '"category" is "tech" there, not "science"'
    assert "similar" in found.verdict
    # also where the session has done other things since
    for number in range(30):
        await manager.update_state_with_delta("sess_test", {"n": number})
    assert [one.cache_key for one in (await manager.diagnose_query(asked, SORT)).near] == [KEY]
    assert (await manager.diagnose_query(asked, SORT, sessions=False)).near == []


async def test_the_page_of_a_session_tells_too(manager: StateManager, valkey: ValkeyServer) -> None:
    page = {"filters": FILTERS, "sort": SORT}
    put(valkey, compact(pointing("sess_test", KEY, page_state=page)))
    valkey.raw.set(PLACE, b"[]")
    found = await manager.diagnose_query({"category": "art", "tags": ["awi", "agents"]}, SORT)
    assert [one.cache_key for one in found.near] == [KEY]


async def test_expired_and_gone_before_its_time(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(pointing("sess_old", KEY, timedelta(minutes=12))), "sess_old")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert found.verdict.startswith("expired: sess_old cached it 12m ago")
    put(valkey, compact(pointing("sess_new", KEY, timedelta(minutes=1))), "sess_new")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert found.verdict.startswith("gone before its time: sess_new cached it 1m ago")
    assert [one.session_id for one in found.sessions] == ["sess_new", "sess_old"]
    assert found.sessions[1].age_ms is not None and 719_000 < found.sessions[1].age_ms < 780_000


async def test_what_nobody_knows(manager: StateManager, valkey: ValkeyServer) -> None:
    assert "nothing at all is cached" in (await manager.diagnose_query(FILTERS, SORT)).verdict
    valkey.raw.set(f"AWI:CACHE:LIST:{0:032x}", b"[]")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert "never cached" in found.verdict and found.looked_at > 50


@pytest.mark.parametrize(
    "query",
    [
        {"active_cache_key": KEY, "cached_at": "yesterday"},
        {"active_cache_key": KEY, "cached_at": 7},
        {"active_cache_key": KEY},
        {"active_cache_key": [KEY]},
        [],
        None,
    ],
)
async def test_odd_pointers_are_no_reason_to_fail(manager: StateManager, valkey: ValkeyServer, query: Any) -> None:
    put(valkey, compact(document([0], query_cache=query)))
    put(valkey, b"{", "sess_broken")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert not found.hit and all(one.age_ms is None for one in found.sessions)


async def test_a_dead_server_is_out_of_reach(valkey: ValkeyServer) -> None:
    settings = valkey.settings(cache_redis_url="redis://127.0.0.1:1")
    async with StateManager.open(settings) as manager:
        with pytest.raises(Unreachable, match="127"):
            await manager.diagnose_query(FILTERS, SORT)


async def test_no_session_points_to_what_was_not_cached(valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    async with StateManager.open(valkey.settings(cache_redis_url="redis://127.0.0.1:1/0")) as manager:
        before = valkey.raw.get(session_key())
        with pytest.raises(Unreachable):
            await manager.cache_query_results(SESSION_ID, {"a": 1}, None, [])
    assert valkey.raw.get(session_key()) == before


async def test_an_empty_string_is_no_hit(manager: StateManager, valkey: ValkeyServer) -> None:
    key = cache_key({"e": 1}, None)
    valkey.raw.set(f"AWI:CACHE:LIST:{key}", b"", ex=100)
    diagnosis = await manager.diagnose_query({"e": 1}, None)
    assert not diagnosis.hit and "empty string" in diagnosis.verdict
    [cached] = [one async for one in manager.cache.list()]
    assert cached.error is not None
    with pytest.raises(InvalidData):
        await manager.get_cached_query_results(key)


async def test_what_has_nothing_in_common_is_not_similar(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    await manager.cache_query_results(SESSION_ID, {"price": {"max": 5}}, {"key": "price"}, [])
    other = await manager.diagnose_query({"author": "bob"}, {"key": "date"})
    assert not other.near and "never cached" in other.verdict
    alike = await manager.diagnose_query({"price": {"max": 6}}, {"key": "date"})
    assert [one.filters for one in alike.near] == [{"price": {"max": 5}}]
