"""The query cache on real servers: writing, listing, deleting, and diagnosing misses."""

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
from awictl.query_cache.differences import DifferenceKind

FILTERS = {"category": "tech", "tags": ["awi", "agents"]}
SORT = {"key": "createdAt", "order": "desc"}
KEY = cache_key(FILTERS, SORT)
PLACE = f"AWI:CACHE:LIST:{KEY}"


def with_active_query(session_id: str, key: str, ago: timedelta = timedelta(), **others: Any) -> dict[str, Any]:
    """A document whose active query has the cache key `key`."""
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
    assert list(valkey.raw.scan_iter()) == [PLACE.encode()], "no session is written"


async def test_caching_for_a_session_records_the_active_query(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    assert await manager.cache_query_results("sess_test", FILTERS, SORT, [1, 2], op_id="mine") == KEY
    state = await manager.get_session_state("sess_test")
    assert state is not None
    query, last = state["query_cache"], state["history"]["last_action"]
    assert query["active_cache_key"] == KEY
    # the same fields as the app records
    [of_app] = [
        one
        for one in json.loads((DATA / "session_03_many.json").read_bytes())["history"]["actions"]
        if one["action"] == "cache_query_results"
    ]
    assert last["input"] == {"filters": FILTERS, "sort": SORT, "result_count": 2}
    assert last["input"].keys() == of_app["input"].keys()
    assert last["delta"]["query_cache"].keys() == of_app["delta"]["query_cache"].keys()
    assert last["delta"]["query_cache"] == {"active_cache_key": KEY, "cached_at": query["cached_at"]}
    # a repeated call with the same op_id is not recorded again
    await manager.cache_query_results("sess_test", FILTERS, SORT, [1, 2], op_id="mine")
    assert (await manager.get_action_history("sess_test")).total == 2


async def test_nothing_is_cached_for_a_missing_session(manager: StateManager, valkey: ValkeyServer) -> None:
    with pytest.raises(NotFound, match="sess_missing"):
        await manager.cache_query_results("sess_missing", FILTERS, SORT, [1])
    assert valkey.raw.dbsize() == 0


@pytest.mark.parametrize(
    ("results", "got"),
    [({}, "an object"), ("x", "a string"), (1, "a number"), (None, "null"), ((1,), "a Python tuple")],
)
async def test_the_error_names_the_type_of_results(manager: StateManager, results: Any, got: str) -> None:
    with pytest.raises(InvalidInput, match=f"results must be a JSON array, got {got}"):
        await manager.cache.put(FILTERS, SORT, results)


@pytest.mark.parametrize("results", [{}, "x", None, (1,), [float("nan")], [{1: 2}], ["\ud800"]])
async def test_results_must_be_a_json_array(manager: StateManager, valkey: ValkeyServer, results: Any) -> None:
    with pytest.raises(InvalidInput):
        await manager.cache.put(FILTERS, SORT, results)
    assert valkey.raw.dbsize() == 0


async def test_the_ttl_of_results_is_a_setting(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(list_cache_ttl_minutes=0.5)) as manager:
        await manager.cache.put(FILTERS, SORT, [])
    assert 29_000 < valkey.raw.pttl(PLACE) <= 30_000


async def test_results_on_a_separate_server(valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer]) -> None:
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


async def test_a_listing_with_the_sessions_of_each_query(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.cache.put(FILTERS, SORT, [1, 2, 3])
    await manager.cache.put({}, {}, [])
    put(valkey, APP_FILES[2].read_bytes(), "sess_app")
    put(valkey, compact(with_active_query("sess_b", f"AWI:CACHE:LIST:{KEY}")), "sess_b")
    put(valkey, compact(with_active_query("sess_c", cache_key({"gone": 1}))), "sess_c")
    found = await listed(manager)
    assert found.keys() == {KEY, cache_key()}
    assert sorted(found[KEY].sessions) == ["sess_app", "sess_b"] and found[KEY].count == 3
    assert found[KEY].ttl_ms is not None and 290_000 < found[KEY].ttl_ms <= 300_000
    assert (found[cache_key()].sessions, found[cache_key()].count, found[cache_key()].bytes) == ((), 0, 2)
    assert (await listed(manager, sessions=False))[KEY].sessions == ()


async def test_a_listing_with_invalid_entries(manager: StateManager, valkey: ValkeyServer) -> None:
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
    assert errors[3] == "", "too large to be counted, which is not an error"
    assert found[names[0]].ttl_ms is None
    for name in names[:3]:
        with pytest.raises(InvalidData, match=name):
            await manager.get_cached_query_results(name)


async def test_results_above_the_size_limit_are_not_read(valkey: ValkeyServer) -> None:
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


async def test_unreadable_results_are_not_a_hit(manager: StateManager, valkey: ValkeyServer) -> None:
    valkey.raw.set(PLACE, b"[1")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert not found.hit and "not valid JSON" in found.verdict


@pytest.mark.parametrize(
    ("filters", "sort", "expected"),
    [
        ({"tags": ["awi", "agents"], "category": "tech"}, SORT, DifferenceKind.ORDER),
        (FILTERS, {"order": "desc", "key": "createdAt"}, DifferenceKind.ORDER),
        ({"category": "tech", "tags": "awi,agents"}, SORT, DifferenceKind.ARRAY),
        (FILTERS, {}, DifferenceKind.SORT),
        (FILTERS | {"page": 1}, SORT, DifferenceKind.FILTER),
    ],
)
async def test_a_cached_query_with_another_spelling(
    manager: StateManager, valkey: ValkeyServer, filters: Any, sort: Any, expected: DifferenceKind
) -> None:
    await manager.cache.put(FILTERS, SORT, [1])
    for sessions in (False, True):
        found = await manager.diagnose_query(filters, sort, sessions=sessions)
        assert not found.hit and found.ttl_ms is None
        assert (found.near[0].cache_key, found.near[0].difference) == (KEY, expected)
        assert found.near[0].filters == FILTERS and found.near[0].sort == SORT
        assert (found.near[0].ttl_ms or 0) > 290_000
        assert found.near[0].words in found.verdict


async def test_a_similar_query_is_found_through_the_session_that_cached_it(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    """It is not a spelling of the query: only sessions hold the query that belongs to a cache key."""
    put(valkey, compact(document([0])))
    await manager.cache_query_results("sess_test", FILTERS, SORT, [1])
    asked = {"category": "science", "tags": ["awi", "agents"]}
    found = await manager.diagnose_query(asked, SORT)
    assert [one.cache_key for one in found.near] == [KEY]
    assert found.near[0].words == '"category" is "tech" instead of "science"'
    assert "similar" in found.verdict
    # also if the session has other actions since
    for number in range(30):
        await manager.update_state_with_delta("sess_test", {"n": number})
    assert [one.cache_key for one in (await manager.diagnose_query(asked, SORT)).near] == [KEY]
    assert (await manager.diagnose_query(asked, SORT, sessions=False)).near == []


async def test_a_similar_query_is_found_through_a_page(manager: StateManager, valkey: ValkeyServer) -> None:
    page = {"filters": FILTERS, "sort": SORT}
    put(valkey, compact(with_active_query("sess_test", KEY, page_state=page)))
    valkey.raw.set(PLACE, b"[]")
    found = await manager.diagnose_query({"category": "art", "tags": ["awi", "agents"]}, SORT)
    assert [one.cache_key for one in found.near] == [KEY]


async def test_expired_and_deleted_early(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(with_active_query("sess_old", KEY, timedelta(minutes=12))), "sess_old")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert found.verdict.startswith("expired: sess_old cached it 12m ago")
    put(valkey, compact(with_active_query("sess_new", KEY, timedelta(minutes=1))), "sess_new")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert found.verdict.startswith("deleted or evicted before it expired: sess_new cached it 1m ago")
    assert [one.session_id for one in found.sessions] == ["sess_new", "sess_old"]
    assert found.sessions[1].age_ms is not None and 719_000 < found.sessions[1].age_ms < 780_000


async def test_a_query_that_was_never_cached(manager: StateManager, valkey: ValkeyServer) -> None:
    verdict = (await manager.diagnose_query(FILTERS, SORT)).verdict
    assert verdict.startswith("the cache at ") and " is empty" in verdict
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
async def test_invalid_active_queries_are_ignored(manager: StateManager, valkey: ValkeyServer, query: Any) -> None:
    put(valkey, compact(document([0], query_cache=query)))
    put(valkey, b"{", "sess_broken")
    found = await manager.diagnose_query(FILTERS, SORT)
    assert not found.hit and all(one.age_ms is None for one in found.sessions)


async def test_a_dead_server_is_unreachable(valkey: ValkeyServer) -> None:
    settings = valkey.settings(cache_redis_url="redis://127.0.0.1:1")
    async with StateManager.open(settings) as manager:
        with pytest.raises(Unreachable, match="127"):
            await manager.diagnose_query(FILTERS, SORT)


async def test_a_session_is_not_changed_if_caching_fails(valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    async with StateManager.open(valkey.settings(cache_redis_url="redis://127.0.0.1:1/0")) as manager:
        before = valkey.raw.get(session_key())
        with pytest.raises(Unreachable):
            await manager.cache_query_results(SESSION_ID, {"a": 1}, None, [])
    assert valkey.raw.get(session_key()) == before


async def test_an_empty_string_is_not_a_hit(manager: StateManager, valkey: ValkeyServer) -> None:
    key = cache_key({"e": 1}, None)
    valkey.raw.set(f"AWI:CACHE:LIST:{key}", b"", ex=100)
    diagnosis = await manager.diagnose_query({"e": 1}, None)
    assert not diagnosis.hit and "empty string" in diagnosis.verdict
    [cached] = [one async for one in manager.cache.list()]
    assert cached.error is not None
    with pytest.raises(InvalidData):
        await manager.get_cached_query_results(key)


async def test_queries_without_a_common_filter_are_not_similar(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    await manager.cache_query_results(SESSION_ID, {"price": {"max": 5}}, {"key": "price"}, [])
    other = await manager.diagnose_query({"author": "bob"}, {"key": "date"})
    assert not other.near and "never cached" in other.verdict
    alike = await manager.diagnose_query({"price": {"max": 6}}, {"key": "date"})
    assert [one.filters for one in alike.near] == [{"price": {"max": 5}}]
