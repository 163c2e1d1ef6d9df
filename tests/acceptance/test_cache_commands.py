"""`awictl cache` on a real server."""

from __future__ import annotations

import json

from support.cli import Cli, unchanged
from support.documents import DATA, compact, document, put
from support.valkey import ValkeyServer

from awictl import cache_key

FILTERS, SORT = {"tag": "awi", "page": 2}, {"key": "date", "order": "desc"}
QUERY = ["--filters", json.dumps(FILTERS), "--sort", json.dumps(SORT)]
KEY = cache_key(FILTERS, SORT)


def test_a_cache_key_is_computed_offline_like_the_apps(user: Cli) -> None:
    offline = user.having(REDIS_PORT="1", AWI_PROFILE="nonsense")
    for vector in json.loads((DATA / "cache_key_vectors.json").read_bytes())[2:6]:
        query = ["--filters", vector["filters_json"], "--sort", vector["sort_json"]]
        assert offline.ok("cache", "key", *query, "-o", "ids").text == f"{vector['key']}\n"
    row = user.ok("cache", "key", *QUERY).json
    assert row == {"cache_key": KEY, "key": f"AWI:CACHE:LIST:{KEY}", "filters": FILTERS, "sort": SORT}
    user("cache", "key", "--filters", "{tag: awi}").error(2, "--filters", "JSON")


def test_put_list_show_delete(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    (awictl.home / "results.json").write_text('[{"id":1},\n {"id":2}]')
    put_ = awictl.ok("cache", "put", "@results.json", *QUERY, "--session", "sess_test", "--op-id", "op-1").json
    assert put_ | {"ttl_ms": 0} == {
        "cache_key": KEY, "ttl_ms": 0, "bytes": 19, "count": 2, "sessions": ["sess_test"]
    }  # fmt: skip
    awictl.ok("cache", "put", "-", "-q", stdin=b"[]")
    history = awictl.ok("session", "history", "sess_test", "--limit", "1").rows
    assert (history[0]["action"], history[0]["op_id"]) == ("filter", "op-1")
    with unchanged(valkey):
        rows = {row["cache_key"]: row for row in awictl.ok("cache", "list").rows}
        assert rows.keys() == {KEY, cache_key()} and rows[KEY]["sessions"] == ["sess_test"]
        assert "sess_test" in awictl.ok("cache", "list", "-o", "table").table()
        assert awictl.ok("cache", "show", KEY).json == [{"id": 1}, {"id": 2}]
        assert awictl.ok("cache", "show", f"AWI:CACHE:LIST:{KEY}", "-o", "raw").out == b'[{"id":1},{"id":2}]'
        assert awictl.ok("cache", "delete", KEY, "--dry-run").json == {"cache_key": KEY, "deleted": None}
        awictl("cache", "delete", KEY).error(4, "--yes")
    assert awictl.ok("cache", "delete", "-", "--yes", stdin=KEY.encode()).json["deleted"] is True
    awictl("cache", "show", KEY).error(3, KEY, "cache diagnose")
    awictl("cache", "delete", KEY, "--yes").error(3, KEY)
    awictl("cache", "show", "sess_test").error(2, "cache key")
    awictl("cache", "put", "{}", *QUERY).error(2, "array")
    awictl("cache", "put", "[]", "--session", "sess_missing").error(3, "sess_missing")


def test_diagnose(awictl: Cli, valkey: ValkeyServer) -> None:
    page = {"route": "/posts", "filters": dict(reversed(FILTERS.items())), "sort": SORT}
    put(valkey, compact(document([0], page_state=page)))
    awictl.ok("cache", "put", "[1]", *QUERY)
    with unchanged(valkey):
        hit = awictl.ok("cache", "diagnose", *QUERY, "--exit-code").json
        assert (hit["hit"], hit["count"], hit["cache_key"]) == (True, 1, KEY)
        miss = awictl("cache", "diagnose", "--session", "sess_test", "--exit-code")
        assert miss.code == 1 and miss.json["near"][0]["cache_key"] == KEY
        table = awictl.ok("cache", "diagnose", "--session", "sess_test", "-o", "table").table()
        assert "the same keys in another order" in table and KEY in table
    awictl("cache", "diagnose", "--session", "sess_test", "--filters", "{}").error(2, "--session")
    awictl("cache", "diagnose", "--session", "sess_missing").error(3, "sess_missing")


def test_hostile_results_are_escaped_on_a_terminal(awictl: Cli, valkey: ValkeyServer) -> None:
    hostile = "\x1b[2J\u202e[red]\r\n"
    filters = json.dumps({"tag": hostile})
    awictl.ok("cache", "put", json.dumps([hostile]), "--filters", filters)
    key = cache_key({"tag": hostile})
    awictl.ok("cache", "show", key, "-o", "table").table()
    awictl.ok("cache", "diagnose", "--filters", json.dumps({"tag": [hostile]}), "-o", "table").table()


def test_ids_are_accepted_by_other_commands(awictl: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.set("AWI:CACHE:LIST:UPPER", "[]", ex=100)
    valkey.raw.set(f"AWI:CACHE:LIST:{'0' * 32}", "[]", ex=100)
    ids = awictl.ok("cache", "list", "-o", "ids")
    assert ids.lines == ["0" * 32] and len(awictl.ok("cache", "list").rows) == 2
    assert awictl.ok("cache", "delete", "-", "--dry-run", stdin=ids.out).rows


def test_diagnose_a_session_that_has_just_cached_its_query(awictl: Cli, valkey: ValkeyServer) -> None:
    """Its page_state names another query: `active_cache_key` is the newer one, until a delta changes the page."""
    put(valkey, compact(document([0])))
    words = ("cache", "diagnose", "--session", "sess_test", "--exit-code")
    awictl.ok("cache", "put", "[1]", *QUERY, "--session", "sess_test")
    found = awictl.ok(*words).json
    assert (found["hit"], found["cache_key"]) == (True, KEY)
    awictl.ok("session", "apply", "sess_test", '{"statistics":{}}')
    assert awictl.ok(*words).json["cache_key"] == KEY, "the action did not change the query"
    valkey.raw.delete(f"AWI:CACHE:LIST:{KEY}")
    evicted = awictl(*words)
    assert evicted.code == 1 and "deleted or evicted" in evicted.json["verdict"]
    awictl.ok("session", "apply", "sess_test", '{"page_state":{"filters":{"tag":"new"}}}')
    moved = awictl(*words)
    assert moved.code == 1 and moved.json["cache_key"] not in (KEY, cache_key())


def test_delete_many(awictl: Cli, valkey: ValkeyServer) -> None:
    """One that is not cached, and one that is no cache key, do not stop the others."""
    keys = [f"{number:032x}" for number in range(2_100)]
    valkey.raw.mset({f"AWI:CACHE:LIST:{key}": "[]" for key in keys[1:]})
    ids = "\n".join([keys[0], "bad", *keys[1:]]).encode()
    for more, deleted in ((["--dry-run"], None), (["--yes"], True)):
        result = awictl("cache", "delete", "-", "-q", *more, stdin=ids)
        assert result.code == 3 and result.rows == [{"cache_key": key, "deleted": deleted} for key in keys[1:]]
        first, second = result.err.splitlines()
        assert keys[0] in first and "'bad' is not a cache key" in second
    assert valkey.raw.dbsize() == 0
    awictl("cache", "delete", "-", "--yes", stdin=b"").error(2, "no ids were given")
