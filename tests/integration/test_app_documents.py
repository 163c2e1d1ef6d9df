"""Documents that other programs wrote are shown as stored, converted by the first update, and lose nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.documents import (
    APP_FILES,
    SESSION_ID,
    assert_consistent,
    assert_same,
    assert_timestamp,
    compact,
    diff_key,
    document,
    expected_after,
    plain,
    put,
    replaced,
    stored,
)
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import encode

#: The number of the next action of each document, determined by hand; in the last one, `t` sticks at 100.
NEXT_T = {
    "session_01_created": 1,
    "session_02_one_delta": 2,
    "session_03_many": 7,
    "session_04_over_100_actions": 127,
}

ENTRY = {"action": "next_page", "input": {"page": 99}, "observation": "Seite 99 🙂", "op_id": "op-1"}
DELTA = {"page_state": {"pagination": {"cursor": 99}}, "marker": {"big": 2**63 - 1, "null": None}}


def merged_with_delta(original: dict[str, Any]) -> dict[str, Any]:
    """`original` with DELTA merged by hand."""
    made = replaced(original, ("page_state", "pagination", "cursor"), 99)
    made = replaced(made, ("marker", "big"), 2**63 - 1)
    return replaced(made, ("marker", "null"), None)


async def assert_updated_twice(manager: StateManager, server: ValkeyServer, raw: bytes, t: int) -> dict[str, Any]:
    """Show the document `raw`, update it twice, and compare everything with the expected result."""
    put(server, raw)
    original = plain(raw)
    assert_same(await manager.get_session_state(SESSION_ID), original)
    assert stored(server) == raw, "reading changes nothing"

    before = datetime.now(UTC) - timedelta(milliseconds=1)
    head = await manager.update_state_with_delta(SESSION_ID, DELTA, ENTRY)
    after = plain(stored(server))
    recorded = {"t": t, "delta": DELTA, "success": True, "timestamp": after["last_updated"], **ENTRY}
    assert_timestamp(after["last_updated"])
    assert before <= datetime.fromisoformat(after["last_updated"]) <= datetime.now(UTC)
    assert_same(after, expected_after(merged_with_delta(original), recorded, counted="successful_actions"))
    assert_same(head, {**after, "history": {k: v for k, v in after["history"].items() if k != "actions"}})
    assert_same(plain(server.raw.get(diff_key())), {"delta": DELTA, "action": recorded})
    await assert_consistent(manager, server)

    await manager.update_state_with_delta(SESSION_ID, {"marker": 5}, {"action": "fail", "success": False})
    again = plain(stored(server))
    last = again["history"]["last_action"]
    recorded = {
        "t": t + 1,
        "action": "fail",
        "input": {},
        "delta": {"marker": 5},
        "timestamp": again["last_updated"],
        "success": False,
        "op_id": last["op_id"],
    }
    assert_same(again, expected_after(after | {"marker": 5}, recorded, counted="failed_actions"))
    await assert_consistent(manager, server)
    assert isinstance(again, dict)
    return again


@pytest.mark.parametrize("file", APP_FILES, ids=lambda file: file.stem)
async def test_a_document_of_the_app_is_shown_and_updated(
    manager: StateManager, valkey: ValkeyServer, file: Path
) -> None:
    await assert_updated_twice(manager, valkey, file.read_bytes(), NEXT_T[file.stem])


def test_all_documents_of_the_app_are_covered() -> None:
    assert {file.stem for file in APP_FILES} == NEXT_T.keys()


def _many() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(APP_FILES[2].read_bytes())
    return made


def _reordered() -> dict[str, Any]:
    made = _many()
    history = made.pop("history")
    return {"history": dict(reversed(history.items())), **dict(reversed(made.items()))}


def _strange_actions() -> dict[str, Any]:
    made = _many()
    made["history"]["actions"][3] = {"delta": {"nested": [{"op_id": "op-1"}]}, "t": 3, "op_id": "x"}
    made["history"]["note"] = {"actions": [1, 2]}
    return made


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "64-bit integers": lambda: compact(_many() | {"n": [2**63 - 1, -(2**63), 2**64 - 1, 2**53 + 1, 9007199254740993]}),
    "integers in actions": lambda: compact(
        replaced(_many(), ("history", "actions"), [*_many()["history"]["actions"][:-1], _big_action()])
    ),
    "beyond 64 bits": lambda: compact(_many() | {"n": 0}).replace(b'"n":0', b'"n":123456789012345678901234567890'),
    "numbers as JavaScript prints them": lambda: compact(_many() | {"n": 0}).replace(
        b'"n":0', b'"n":[1e+21,5e-324,1.7976931348623157e+308,0.1,1E2,-0]'
    ),
    "emoji": lambda: compact(_many() | {"🙂": "👩‍👩‍👧 \u2028 \x7f \u0000", "": {"": []}}),
    "unknown fields": lambda: compact(_many() | {"x-app": {"a.b": {"$c": [None, True, {}]}}, "__proto__": {"y": 1}}),
    "lone surrogates": lambda: json.dumps(_many() | {"cut": "a\ud83d", "\udc00": ["\ud800\ud800"]}).encode(),
    "lone surrogates in an action": lambda: json.dumps(
        replaced(_many(), ("history", "actions"), [*_many()["history"]["actions"][:-1], {"t": 6, "action": "\ud83d"}])
    ).encode(),
    "escaped slashes and letters": lambda: compact(_many() | {"n": 0}).replace(b'"n":0', b'"\\u006e":"\\/\\u0041\\n"'),
    "pretty-printed": lambda: json.dumps(_many(), indent=2).encode(),
    "pretty-printed with tabs and CRLF": lambda: json.dumps(_many(), indent="\t").replace("\n", "\r\n").encode(),
    "a trailing newline": lambda: compact(_many()) + b"\n",
    "surrounding white space": lambda: b" \n" + compact(_many()) + b" \r\n\n",
    "another order of fields": lambda: compact(_reordered()),
    "strange actions": lambda: compact(_strange_actions()),
    "no last_action": lambda: compact(replaced(_many(), ("history",), {"actions": _many()["history"]["actions"]})),
    "no statistics": lambda: compact({key: value for key, value in _many().items() if key != "statistics"}),
    "nested 300 deep": lambda: compact(_many() | {"n": 0}).replace(b'"n":0', b'"n":' + b"[" * 300 + b"]" * 300),
    "a head of 100 kB": lambda: compact(replaced(_many(), ("page_state", "visible_items"), ["é" * 50_000])),
    "awictl's layout": lambda: encode(_many()),
    "awictl's layout and a newline": lambda: encode(_many()) + b"\n",
    "awictl's layout and two newlines": lambda: encode(_many()) + b"\n\n",
    "awictl's layout and CRLF": lambda: encode(_many()) + b"\r\n",
    "awictl's layout and a space": lambda: encode(_many()) + b" ",
    "awictl's layout, end on one line": lambda: encode(_many())[:-4] + b"]}}",
    "awictl's layout, more after the trajectory": lambda: encode(_many())[:-4] + b'\n],"note":1},"more":{"a":2}}',
}


def _big_action() -> dict[str, Any]:
    return {"t": 6, "action": "big", "input": {"id": 2**64 - 1, "n": [-(2**63)]}, "delta": {}}


@pytest.mark.parametrize("make", DOCUMENTS.values(), ids=DOCUMENTS.keys())
async def test_a_document_of_any_shape_is_shown_and_updated(
    manager: StateManager, valkey: ValkeyServer, make: Callable[[], bytes]
) -> None:
    await assert_updated_twice(manager, valkey, make(), 7)


async def test_an_empty_trajectory_is_continued(manager: StateManager, valkey: ValkeyServer) -> None:
    for raw in (compact(document()), encode(document())):
        await assert_updated_twice(manager, valkey, raw, 0)


async def test_repeated_numbers_are_kept_and_new_numbers_do_not_repeat(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    original = json.loads(APP_FILES[3].read_bytes())
    numbers = [action["t"] for action in original["history"]["actions"]]
    assert numbers[-2:] == [100, 100], "the app's own t sticks"
    await assert_updated_twice(manager, valkey, APP_FILES[3].read_bytes(), 127)
    after = plain(stored(valkey))
    assert [action["t"] for action in after["history"]["actions"]] == [*numbers, 127, 128]
    assert_same(after["history"]["actions"][:-2], original["history"]["actions"])


async def test_the_app_may_rewrite_the_document_at_any_time(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, APP_FILES[2].read_bytes())
    for t in range(7, 17):
        await manager.update_state_with_delta(SESSION_ID, {"by": "awictl"}, {"input": {"n": t}})
        # read-modify-write as the app does it: parse, change, encode without spaces
        read = json.loads(stored(valkey))
        assert read["history"]["last_action"]["t"] == t
        wanted = copy.deepcopy(read) | {"by": "app"}
        put(valkey, compact(wanted))
        assert_same(await manager.get_session_state(SESSION_ID), wanted)
    assert [action["t"] for action in await assert_consistent(manager, valkey)] == list(range(17))


async def test_an_action_that_the_app_adds_is_counted(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, APP_FILES[2].read_bytes())
    await manager.update_state_with_delta(SESSION_ID, {"by": "awictl"})
    read = json.loads(stored(valkey))
    added = {"t": 8, "action": "list_posts", "input": {}, "delta": {}, "timestamp": "2026-11-23T07:09:41.403Z"}
    read["history"]["actions"].append(added)
    read["history"]["last_action"] = added
    put(valkey, compact(read))
    updated = await manager.apply(SESSION_ID, {"by": "awictl again"})
    assert updated.action is not None and updated.action["t"] == 9
    assert [action["t"] for action in await assert_consistent(manager, valkey)] == list(range(10))
