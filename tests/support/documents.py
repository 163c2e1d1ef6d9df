"""Session documents: those of the Express app, generated ones, and the expected results of updates."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from awictl import StateManager
from awictl.document.byte_layout import encode
from awictl.document.json_codec import json_equal
from awictl.document.schema import SESSION_START

from .mongo_live import MongoLive
from .valkey import ValkeyServer

DATA = Path(__file__).parents[1] / "data"
#: Documents exactly as the app wrote them.
APP_FILES = sorted(DATA.glob("session_0*.json"))

#: Number of actions that the app keeps in a session.
APP_ACTIONS = 100

SESSION_ID = "sess_test"
AGENT_ID = "69639c869d21a04f2375aa8b"

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)

#: Serializes a document.
Layout = Callable[[dict[str, Any]], bytes]


def compact(document: dict[str, Any]) -> bytes:
    """Serialize a document as the app does."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


#: The two byte layouts of stored documents.
LAYOUTS: dict[str, Layout] = {"app": compact, "awictl": encode}


def session_key(session_id: str = SESSION_ID) -> str:
    return f"AWI:SESSION:{session_id}"


def diff_key(session_id: str = SESSION_ID) -> str:
    return f"AWI:DIFF:{session_id}"


def agent_key(agent_id: str = AGENT_ID) -> str:
    return f"AGENT:SESSION:{agent_id}"


def named(server: ValkeyServer | MongoLive, key: str) -> str:
    """How messages name a key, or the document of MongoDB in its place."""
    return server.location(key) if isinstance(server, MongoLive) else key


def put(server: ValkeyServer | MongoLive, raw: bytes, session_id: str = SESSION_ID, seconds: int | None = 1000) -> str:
    """Store a string as a session without awictl; return the session id."""
    server.raw.set(session_key(session_id), raw, ex=seconds)
    return session_id


def stored(server: ValkeyServer, session_id: str = SESSION_ID) -> bytes:
    """Return the stored string of a session."""
    raw = server.raw.get(session_key(session_id))
    assert isinstance(raw, bytes)
    return raw


def plain(raw: bytes) -> Any:
    """Parse JSON strictly, without awictl; integers beyond 64 bits are doubles."""

    def integer(digits: str) -> int | float:
        return int(digits) if -(2**63) <= int(digits) < 2**64 else float(digits)

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(raw.decode("utf-8"), parse_int=integer, parse_constant=no_constant)


def action(t: int, size: int = 0) -> dict[str, Any]:
    """Return an action record as the app writes it, with `size` extra characters."""
    return {
        "t": t,
        "action": "next_page",
        "input": {"page": t},
        "delta": {"page_state": {"pagination": {"cursor": t}}},
        "timestamp": "2026-11-23T07:09:41.403Z",
        "success": True,
        "observation": f"page {t}" + "x" * size,
    }


def document(sizes: Sequence[int] = (), session_id: str = SESSION_ID, **others: Any) -> dict[str, Any]:
    """Return a document with the app's fields and one action for each of `sizes`; `others` replace or add fields.

    As in every session, the first action is its start, which the statistics do not count.
    """
    made: dict[str, Any] = json.loads(APP_FILES[0].read_bytes())
    actions = [action(t, size) for t, size in enumerate(sizes)]
    if actions:
        actions[0]["action"] = SESSION_START
    made["session_id"] = session_id
    made["history"] = {"actions": actions, "last_action": actions[-1] if actions else None}
    made["statistics"] |= dict.fromkeys(("total_actions", "successful_actions"), max(len(actions) - 1, 0))
    return made | others


def app_updated(made: dict[str, Any], now: str, **fields: Any) -> dict[str, Any]:
    """Apply an update at `now` to a document in place exactly as the app does; return the recorded action.

    Its `t` is the number of actions, of which only the last 100 are kept. `fields` replace or add fields of the action.
    """
    history, statistics = made["history"], made["statistics"]
    record = action(len(history["actions"])) | {"timestamp": now} | fields
    history["actions"] = [*history["actions"], record][-APP_ACTIONS:]
    history["last_action"] = record
    made["page_state"]["pagination"] |= record["delta"]["page_state"]["pagination"]
    statistics |= {"total_actions": statistics["total_actions"] + 1, "last_activity": now}
    statistics["successful_actions"] += 1
    made["last_updated"] = now
    return record


def app_update(server: ValkeyServer, now: str, session_id: str = SESSION_ID) -> None:
    """Update a session at `now` exactly as the app does: without comparing, and keeping only the last 100 actions."""
    made = json.loads(stored(server, session_id))
    record = app_updated(made, now)
    server.raw.set(session_key(session_id), compact(made), ex=1800)
    server.raw.set(diff_key(session_id), compact({"delta": record["delta"], "action": record}), ex=300)


def varied_sizes(count: int, seed: int) -> list[int]:
    """Return sizes of actions that differ by a factor of up to a thousand."""
    chance = random.Random(seed)
    return [int(10 ** chance.uniform(0, 3.3)) for _ in range(count)]


def replaced(original: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy with the value at `path` set; missing objects on the path are created."""
    made = copy.deepcopy(original)
    inner = made
    for name in path[:-1]:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    inner[path[-1]] = value
    return made


def expected_after(merged: dict[str, Any], recorded: dict[str, Any], *, counted: str) -> dict[str, Any]:
    """Return the document after an update: `merged` with one more action, and with new statistics and timestamps."""
    made = copy.deepcopy(merged)
    made["history"]["actions"].append(recorded)
    made["history"]["last_action"] = recorded
    if isinstance(made.get("statistics"), dict):
        for name in ("total_actions", counted):
            made["statistics"][name] = made["statistics"].get(name, 0) + 1
        made["statistics"]["last_activity"] = recorded["timestamp"]
    made["last_updated"] = recorded["timestamp"]
    return made


def assert_same(found: Any, wanted: Any, path: str = "") -> None:
    """Fail, naming the path, if the two are not the same JSON."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), f"{path}: {found.keys() ^ wanted.keys()}"
        for key in wanted:
            assert_same(found[key], wanted[key], f"{path}/{key}")
    elif isinstance(found, list) and isinstance(wanted, list):
        assert len(found) == len(wanted), f"{path}: {len(found)} items, not {len(wanted)}"
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_same(one, other, f"{path}/{index}")
    else:
        assert json_equal(found, wanted), f"{path}: {found!r:.200} is not {wanted!r:.200}"


def assert_timestamp(text: Any) -> None:
    assert isinstance(text, str) and _TIMESTAMP.fullmatch(text), text


async def assert_consistent(manager: StateManager, server: ValkeyServer, session_id: str = SESSION_ID) -> list[Any]:
    """Fail if the ways to read a session return different data; return its actions."""
    whole = plain(stored(server, session_id))
    actions: list[Any] = whole["history"]["actions"]
    assert_same(await manager.get_session_state(session_id), whole)
    [listed] = await manager.store.list([session_id])
    assert (listed.error, listed.actions) == (None, len(actions))
    for limit, offset in ((1, 0), (7, len(actions) // 2), (len(actions) + 1, 0)):
        page = await manager.get_action_history(session_id, limit, offset)
        assert page.total == len(actions)
        assert_same(page.trajectory, actions[::-1][offset : offset + limit])
    return actions
