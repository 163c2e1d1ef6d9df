"""Actions are archived before they are trimmed: at the end the trajectory is complete, without duplicates."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.archives import Backend, forget_sockets, several
from support.documents import AGENT_ID, SESSION_ID, assert_same, plain, stored
from support.mongo import MongoServer
from support.valkey import ValkeyServer, free_port
from support.waiting import within
from support.writer import Order, assert_nothing_lost, run_writers

from awictl import Settings, StateManager
from awictl.archive.base import Archived
from awictl.errors import Unreachable
from awictl.sessions import update
from awictl.store.mongo import connection

LIMIT = 10


@pytest.fixture
def settings(valkey: ValkeyServer, backend: Backend) -> Settings:
    """Settings with a limit of ten actions, and an archive."""
    archive = {"mongodb_uri": backend.settings.mongodb_uri, "archive_url": backend.settings.archive_url}
    return valkey.settings(max_actions=LIMIT, **archive)


async def begin(manager: StateManager) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)


async def update_many(manager: StateManager, numbers: range) -> None:
    for n in numbers:
        await manager.update_state_with_delta(SESSION_ID, {"n": n}, {"input": n, "success": n % 3 > 0})


def live(valkey: ValkeyServer) -> dict[str, Any]:
    """Return the `history` of the session in Redis."""
    history: dict[str, Any] = plain(stored(valkey))["history"]
    return history


async def archived(manager: StateManager) -> Archived:
    found = await manager.get_archived_session(SESSION_ID)
    assert found is not None
    return found


def assert_complete(document: dict[str, Any], made: int) -> None:
    """Assert that the trajectory has the start, `made` updates in their order, and the end, each once."""
    history = document["history"]
    assert [one["t"] for one in history["actions"]] == list(range(made + 2))
    assert [one["action"] for one in history["actions"]] == [
        "session_start", *["list_posts"] * made, "session_end",
    ]  # fmt: skip
    assert [one["input"] for one in history["actions"][1:-1]] == list(range(made))
    assert "trimmed_actions" not in history
    assert document["statistics"]["total_actions"] == made


async def test_a_session_far_past_the_limit_is_archived_complete(
    valkey: ValkeyServer, settings: Settings, backend: Backend
) -> None:
    async with StateManager.open(settings) as manager:
        await begin(manager)
        seen: dict[int, Any] = {}
        for n in range(8 * LIMIT + 3):
            await update_many(manager, range(n, n + 1))
            seen |= {one["t"]: one for one in live(valkey)["actions"]}
        assert len(live(valkey)["actions"]) <= LIMIT
        done = await manager.end_session(SESSION_ID)
        assert done.actions == 8 * LIMIT + 5
        found = await archived(manager)
        assert_complete(found.document, 8 * LIMIT + 3)
        assert_same(found.document["history"]["actions"][:-1], [seen[t] for t in sorted(seen)])
        assert valkey.raw.exists(f"AWI:SESSION:{SESSION_ID}") == 0
        page, _ = await manager.find_history(SESSION_ID, 5, 20)
        assert page.total == 8 * LIMIT + 5 and page.trajectory[0]["t"] == 8 * LIMIT + 5 - 21
    async with several(backend, 1) as [fresh]:
        again = await fresh.load(SESSION_ID)
        assert again is not None
        assert_complete(again.document, 8 * LIMIT + 3)


async def test_each_action_of_a_live_session_is_in_redis_or_in_the_archive(
    valkey: ValkeyServer, settings: Settings
) -> None:
    async with StateManager.open(settings) as manager:
        await begin(manager)
        for n in range(3 * LIMIT):
            await update_many(manager, range(n, n + 1))
            chunks = await manager.required_archive().load_trimmed_actions(SESSION_ID, AGENT_ID)
            there = {one["t"] for chunk in chunks for one in chunk.actions} | {
                one["t"] for one in live(valkey)["actions"]
            }
            assert there == set(range(n + 2))


async def test_a_restored_session_is_updated_and_archived_completely_again(
    valkey: ValkeyServer, settings: Settings
) -> None:
    async with StateManager.open(settings) as manager:
        await begin(manager)
        await update_many(manager, range(3 * LIMIT))
        await manager.end_session(SESSION_ID)
        await manager.restore_session(SESSION_ID)
        assert len(live(valkey)["actions"]) <= LIMIT
        await update_many(manager, range(3 * LIMIT, 6 * LIMIT))
        await manager.end_session(SESSION_ID)
        actions = (await archived(manager)).document["history"]["actions"]
        assert [one["t"] for one in actions] == list(range(6 * LIMIT + 3))
        assert Counter(one["action"] for one in actions)["session_end"] == 2


async def test_a_delta_over_the_statistics_loses_no_actions(valkey: ValkeyServer, settings: Settings) -> None:
    """An agent may overwrite the statistics like any other part of the document."""
    async with StateManager.open(settings) as manager:
        await begin(manager)
        await update_many(manager, range(2 * LIMIT))
        delta = {"statistics": {"session_start": "2026-01-01T00:00:00.000Z"}}
        await manager.update_state_with_delta(SESSION_ID, delta, {"input": 2 * LIMIT})
        await update_many(manager, range(2 * LIMIT + 1, 4 * LIMIT))
        await manager.end_session(SESSION_ID)
        assert_complete((await archived(manager)).document, 4 * LIMIT)


async def test_without_an_archive_actions_are_trimmed_and_lost(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(max_actions=LIMIT)) as manager:
        await begin(manager)
        await update_many(manager, range(3 * LIMIT))
        assert len(live(valkey)["actions"]) <= LIMIT


async def test_an_archive_configured_later_records_the_number_of_missing_actions(
    valkey: ValkeyServer, settings: Settings
) -> None:
    """Those that were trimmed before it was configured."""
    async with StateManager.open(valkey.settings(max_actions=LIMIT)) as manager:
        await begin(manager)
        await update_many(manager, range(2 * LIMIT))
        missing = live(valkey)["trimmed_actions"]
    async with StateManager.open(settings) as manager:
        await update_many(manager, range(2 * LIMIT, 4 * LIMIT))
        await manager.end_session(SESSION_ID)
        history = (await archived(manager)).document["history"]
        assert [one["t"] for one in history["actions"]] == list(range(missing, 4 * LIMIT + 2))
        assert history["trimmed_actions"] == missing


async def test_while_the_archive_is_down_nothing_is_trimmed(
    valkey: ValkeyServer,
    new_mongo: Callable[[], MongoServer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = new_mongo()
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 0.0)
    caplog.set_level(logging.WARNING, "awictl")
    settings = valkey.settings(max_actions=LIMIT, mongodb_uri=server.uri, timeout=1)
    async with StateManager.open(settings) as manager:
        await begin(manager)
        await update_many(manager, range(2 * LIMIT))
        left = live(valkey)["trimmed_actions"]
        assert left > 0 and not caplog.records

        server.kill()
        await update_many(manager, range(2 * LIMIT, 5 * LIMIT))
        numbers = [one["t"] for one in live(valkey)["actions"]]
        assert numbers == list(range(numbers[0], 5 * LIMIT + 1)) and len(numbers) > 3 * LIMIT
        assert live(valkey)["trimmed_actions"] == numbers[0]
        messages = [one for one in map(logging.LogRecord.getMessage, caplog.records) if "no actions are trimmed" in one]
        assert len(messages) == 1, "one warning per pause, not per update"
        assert SESSION_ID in messages[0] and "cannot be archived" in messages[0]
        with pytest.raises(Unreachable):
            await within(5, manager.end_session(SESSION_ID))
        assert valkey.raw.ttl(f"AWI:SESSION:{SESSION_ID}") == -1, "it has no TTL until it is archived"

        server.start()
        monkeypatch.setattr(manager._updater, "_no_trimming_until", 0.0)
        done = await manager.end_session(SESSION_ID)
        assert valkey.raw.exists(f"AWI:SESSION:{SESSION_ID}") == 0
        assert done.actions == 5 * LIMIT + 2
        assert_complete((await archived(manager)).document, 5 * LIMIT)
        await forget_sockets(manager.required_archive())


async def test_when_the_archive_recovers_the_session_is_trimmed_again(
    valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(update, "ARCHIVE_RETRY_SECONDS", 0.0)
    caplog.set_level(logging.WARNING, "awictl")
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    path = folder / "archive.db"
    async with StateManager.open(valkey.settings(max_actions=LIMIT, archive_url=f"sqlite:///{path}")) as manager:
        await begin(manager)
        await update_many(manager, range(3 * LIMIT))
        assert [one["t"] for one in live(valkey)["actions"]] == list(range(3 * LIMIT + 1))
        assert "trimmed_actions" not in live(valkey) and caplog.records
        folder.unlink()
        await update_many(manager, range(3 * LIMIT, 3 * LIMIT + 1))
        assert len(live(valkey)["actions"]) <= LIMIT
        await manager.end_session(SESSION_ID)
        assert_complete((await archived(manager)).document, 3 * LIMIT + 1)


@pytest.mark.usefixtures("mongo_sockets")
async def test_updates_do_not_wait_for_an_archive_that_is_down(valkey: ValkeyServer) -> None:
    """One update waits for it; the next ones do not try to reach it."""
    settings = valkey.settings(max_actions=LIMIT, mongodb_uri=f"mongodb://127.0.0.1:{free_port()}/awi", timeout=0.3)
    async with StateManager.open(settings) as manager:
        await begin(manager)
        await within(5, update_many(manager, range(LIMIT * 10)))  # each attempt takes 0.3 s
        assert len(live(valkey)["actions"]) == LIMIT * 10 + 1
        await forget_sockets(manager.required_archive())


async def test_concurrent_tasks_lose_nothing(
    valkey: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight managers, as in eight processes, which trim the same actions at the same time."""
    # on a slow machine, one of them may lose every race for longer than an agent would wait
    monkeypatch.setattr("awictl.sessions.update.RETRY_SECONDS", 60.0)

    async def write(name: int) -> None:
        async with StateManager.open(settings) as manager:
            for n in range(8):
                await manager.update_state_with_delta(SESSION_ID, {}, {"input": f"{name}.{n}"})

    async with StateManager.open(settings) as manager:
        await begin(manager)
        await asyncio.gather(*map(write, range(8)))
        await manager.end_session(SESSION_ID)
        document = (await archived(manager)).document
    actions = document["history"]["actions"]
    assert [one["t"] for one in actions] == list(range(8 * 8 + 2))
    inputs = Counter(one["input"] for one in actions[1:-1])
    assert inputs == {f"{name}.{n}": 1 for name in range(8) for n in range(8)}
    assert document["statistics"]["total_actions"] == 8 * 8


async def test_concurrent_processes_lose_nothing(valkey: ValkeyServer, settings: Settings, backend: Backend) -> None:
    given = {
        "redis_socket": settings.redis_socket,
        "max_actions": LIMIT,
        "mongodb_uri": settings.mongodb_uri,
        "archive_url": settings.archive_url,
    }
    async with StateManager.open(settings) as manager:
        await begin(manager)
        results = await run_writers([Order(given, SESSION_ID, f"p{name}", 4, 15) for name in range(2)])
        last = live(valkey)["last_action"]
        await manager.end_session(SESSION_ID)
        document = (await archived(manager)).document
    ending = document["history"]["actions"].pop()
    assert ending["action"] == "session_end"
    # undo the end, because `assert_nothing_lost` expects a session without it
    document["history"]["last_action"] = last
    document["last_updated"] = document["statistics"]["last_activity"] = last["timestamp"]
    found = assert_nothing_lost(document, results)
    assert len(results.acknowledged) > 100 and sum(found.values()) >= len(results.acknowledged)
