"""Documents that are nested as deep as the JSON parser accepts: a result, or a clean error; never a traceback."""

from __future__ import annotations

import json

import pytest
from support.cli import Cli, Result
from support.documents import compact, document, put
from support.valkey import ValkeyServer

from awictl.document.json_codec import loads
from awictl.errors import InvalidData

#: Depths from what every part can handle to what only the parser can.
DEPTHS = [200, 260, 400, 600, 800, 920, 950, 975, 990]


def nested(depth: int, leaf: str = "1") -> str:
    return '{"a":' * depth + leaf + "}" * depth


def nested_arrays(depth: int, leaf: str = "1") -> str:
    return "[" * depth + leaf + "]" * depth


def put_nested(valkey: ValkeyServer, session_id: str, filters: str) -> bool:
    """Store a session with these filters; return whether the parser accepts it."""
    made = document([0], session_id=session_id)
    made["page_state"] |= {"filters": "FILTERS", "sort": None}
    raw = compact(made).replace(b'"FILTERS"', filters.encode())
    put(valkey, raw, session_id)
    try:
        loads(raw)
    except InvalidData:
        return False
    return True


def assert_clean(result: Result) -> None:
    """A result, or one line that says what cannot be processed."""
    if result.code == 0:
        assert result.out and "Traceback" not in result.err
    else:
        result.error(6, "nest")


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("make", [nested, nested_arrays], ids=["objects", "arrays"])
def test_sessions_are_compared_or_refused(awictl: Cli, valkey: ValkeyServer, depth: int, make: object) -> None:
    assert callable(make)
    accepted = put_nested(valkey, "sess_a", make(depth)) and put_nested(valkey, "sess_b", make(depth, "2"))
    for output in ("json", "table"):
        result = awictl("session", "diff", "sess_a", "sess_b", "-o", output, "--exit-code")
        if result.code == 1:
            assert result.out and accepted
        else:
            assert_clean(result)
            assert result.code == 6, "they differ"
    if depth <= 260:
        assert result.code == 1


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_query_of_a_session_is_diagnosed_or_refused(awictl: Cli, valkey: ValkeyServer, depth: int) -> None:
    put_nested(valkey, "sess_a", nested(depth))
    assert_clean(awictl("cache", "diagnose", "--session", "sess_a"))


@pytest.mark.parametrize("make", [nested, nested_arrays], ids=["objects", "arrays"])
def test_a_deeply_nested_session_does_not_stop_a_diagnosis(awictl: Cli, valkey: ValkeyServer, make: object) -> None:
    assert callable(make)
    for depth in DEPTHS:
        name = f"sess_{depth}"
        raw = compact(document([0], session_id=name))
        filters = make(depth)
        made = json.loads(raw)
        made["page_state"] |= {"filters": "FILTERS", "sort": None}
        made["query_cache"] = {"active_cache_key": "0" * 32, "cached_at": None}
        made["history"]["actions"][0] |= {"action": "cache_query", "input": {"filters": "FILTERS"}}
        made["history"]["last_action"] = made["history"]["actions"][0]
        put(valkey, compact(made).replace(b'"FILTERS"', filters.encode()), name)
    found = awictl.ok("cache", "diagnose", "--filters", '{"a":1}').json
    assert found["hit"] is False and found["sessions"] == []
    assert {one["session_id"] for one in awictl.ok("session", "list").rows} == {f"sess_{depth}" for depth in DEPTHS}
