"""Live documents in MongoDB that awictl did not write: each operation works, or fails with an error of awictl."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64
from support.mongo import MongoServer

from awictl import Settings, StateManager
from awictl.diagnostics.doctor import examine
from awictl.errors import AwiError

SOON = datetime.now(UTC) + timedelta(hours=1)
#: What takes the place of fields of a session.
SESSIONS: list[dict[str, Any]] = [
    *({"head": head} for head in (None, b"{}", "text")),
    *({"length": length} for length in (-5, Int64(2**40), "1", None)),
    *({"taken": taken} for taken in ("yes", 1)),
    {"lines": [1]},
    {"count": "x"},
    {"expires_at": "soon"},
    {"revision": "x"},
    {"parts": [{"id": "nope", "actions": 1, "bytes": 3, "skip": 0}]},
    {"following": 5},
    {"diff": 7, "diff_expires_at": SOON},
    {"agent_id": 5},
]
OTHER_IDS = [5, "sess_empty", "no session", "sess_\u202e", "sess_" + "x" * 70]
MAPPINGS = [5, None, "", ["x"], "junk\x1b[31m", "sess_gone", "x" * 5_000, b"bytes"]
STRINGS: list[dict[str, Any]] = [
    {"value": 5},
    {"value": b"x", "length": "1"},
    {"value": b"[1]", "length": 3, "expires_at": SOON, "digest": 5},
    {"value": "text", "length": 4, "expires_at": SOON},
    {"length": 3, "expires_at": SOON},
]
COUNTERS: list[dict[str, Any]] = [{"count": "x", "expires_at": SOON}, {"expires_at": SOON}, {"count": 5}, {}]


@pytest.fixture
async def manager(mongo: MongoServer) -> AsyncIterator[StateManager]:
    async with StateManager.open(Settings(use_redis=False, mongodb_uri=mongo.uri)) as opened:
        yield opened


async def attempt(operation: Coroutine[Any, Any, object]) -> None:
    """Run an operation, which may fail with an error of awictl, and must end."""
    async with asyncio.timeout(60):
        try:
            await operation
        except AwiError as error:
            assert not str(error).startswith("unexpected"), error


async def test_sessions(manager: StateManager, mongo: MongoServer) -> None:
    made = (await manager.initialize_session("a", "A"))["session_id"]
    sessions = mongo.raw["awi_live_sessions"]
    document = sessions.find_one({"_id": made})
    names = [f"sess_h{number:02}" for number in range(len(SESSIONS))]
    sessions.insert_many([{**(document or {}), "_id": name, **one} for name, one in zip(names, SESSIONS, strict=True)])
    sessions.insert_many([{"_id": one, "expires_at": SOON} for one in OTHER_IDS])
    listed = {one.session_id: one async for batch in manager.list_session_fields() for one in batch}
    assert listed[made].error is None and {listed[name].error is not None for name in names[:3]} == {True}
    assert "sess_empty" in listed and "no session" not in listed
    assert {type(one.bytes) for one in listed.values()} == {int}
    report, plan = await examine(manager, rate=None)
    await plan.apply()
    assert {one.name: one for one in report.checks}["documents"].evidence.endswith("cannot be read")
    found = [one async for batch in manager.inventory.scan() for one in batch[1]]
    assert f"AWI:SESSION:{made}".encode() in found
    operations: list[Callable[[str], Coroutine[Any, Any, object]]] = [
        *(manager.find_session, manager.find_history, manager.get_state_diff, manager.touch_session),
        lambda name: manager.update_state_with_delta(name, {"n": 1}),
        manager.end_session,
    ]
    for operation in operations:
        await asyncio.gather(*(attempt(operation(name)) for name in (*names, "sess_empty")))
    sweeper = manager.sweeper(7_200_000)
    await sweeper.sweep(await sweeper.candidates())
    assert await manager.get_session_state(made) is not None


async def test_mappings_strings_and_counters(manager: StateManager, mongo: MongoServer) -> None:
    await manager.initialize_session("a", "A")
    agents = [f"a{number}" for number in range(len(MAPPINGS))]
    mongo.raw["awi_live_agents"].insert_many(
        [{"_id": one, "session_id": value, "expires_at": SOON} for one, value in zip(agents, MAPPINGS, strict=True)]
    )
    mongo.raw["awi_live_agents"].insert_many([{"_id": 7}, {"_id": "odd", "session_id": "sess_x", "expires_at": "x"}])
    kinds = ("AWI:CACHE:LIST:" + "0" * 31, "MEDIA:IMG:", "MEDIA:EMBED:", "AWI:ENDED:a")
    mongo.raw["awi_live_strings"].insert_many(
        [{"_id": f"{kind}{number}", **one} for number, one in enumerate(STRINGS) for kind in kinds]
    )
    mongo.raw["awi_live_counters"].insert_many(
        [{"_id": f"RATELIMIT:a{number}:state", **one} for number, one in enumerate(COUNTERS)]
    )
    _, plan = await examine(manager, rate=None)
    await plan.apply()
    assert [one async for batch in manager.inventory.scan() for one in batch[1]]
    assert [image async for batch in manager.media.list() for image in batch]
    assert [one async for one in manager.cache.list()]
    for agent_id in (*agents, "odd"):
        await attempt(manager.get_agent_session(agent_id))
        await attempt(manager.agent_sessions.get_or_create(agent_id, "A", operation="state", limit=9))
    for number in range(len(STRINGS)):
        await attempt(manager.media.find(str(number)))
        await attempt(manager.media.delete([str(number)]))
        await attempt(manager.get_cached_query_results("0" * 31 + str(number)))
    visit = await manager.agent_sessions.get_or_create("a0", "A")
    assert await manager.find_session_for_agent("a0") == visit.session_id, "an invalid mapping is replaced"
