"""End sessions whose agents go on writing as the app does: every few milliseconds, without comparing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.busy_app import busy_app, markers_of
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager

#: Sessions that the long test ends.
ENDS = 60


def archived_in(kind: str, valkey: ValkeyServer, mongo: MongoServer, folder: Path) -> Settings:
    archive: dict[str, Any] = {"archive_url": f"sqlite:///{folder}/archive.db"}
    return valkey.settings(**({"mongodb_uri": mongo.uri} if kind == "mongo" else archive))


async def actions_of(manager: StateManager, session_id: str) -> list[dict[str, Any]]:
    found = await manager.get_archived_session(session_id)
    assert found is not None
    actions: list[dict[str, Any]] = found.document["history"]["actions"]
    return actions


async def test_a_busy_session_is_ended_with_one_mark_and_every_late_action(
    valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With enough time for the app to notice, even on a loaded machine."""
    monkeypatch.setattr("awictl.sessions.taking.QUIET_SECONDS", 0.3)
    monkeypatch.setattr("awictl.sessions.taking.MAX_SECONDS", 20.0)
    async with StateManager.open(archived_in("sqlite", valkey, mongo, tmp_path)) as manager:
        session_id = (await manager.initialize_session("agent", "Agent"))["session_id"]
        with busy_app(valkey.port, session_id) as process:
            ended = await manager.end_session(session_id)
            written = await asyncio.to_thread(markers_of, process)
        actions = await actions_of(manager, session_id)
    assert [one["action"] for one in actions].count("session_end") == 1
    assert actions[-1]["action"] == "session_end" and ended.actions == len(actions)
    # the app cuts to 100 actions, so only the last of them are known to have been in the session
    recorded = [one["input"]["marker"] for one in actions if one["action"] == "list_posts"]
    assert recorded[-90:] == written[-90:] != []
    assert valkey.raw.keys("AWI:SESSION:*") == [] and valkey.raw.exists("AWI:ENDING", "AGENT:SESSION:agent") == 0


async def test_awictls_own_writers_cannot_hold_up_an_end(
    valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path
) -> None:
    settings = archived_in("sqlite", valkey, mongo, tmp_path)
    async with StateManager.open(settings) as manager, StateManager.open(settings) as other:
        session_id = (await manager.initialize_session("agent", "Agent"))["session_id"]
        acknowledged: list[int] = []

        async def write(first: int) -> None:
            for number in range(first, 1_000_000):
                try:
                    await other.update_state_with_delta(session_id, {"n": number}, {"input": number})
                except Exception as error:
                    assert getattr(error, "exit_code", None) == 3, error
                    return
                acknowledged.append(number)

        writers = [asyncio.create_task(write(1_000_000 - 100_000 * number)) for number in range(1, 5)]
        while len(acknowledged) < 20:
            await asyncio.sleep(0.01)
        await manager.end_session(session_id)
        await asyncio.gather(*writers)
        actions = await actions_of(manager, session_id)
    assert [one["action"] for one in actions].count("session_end") == 1 and actions[-1]["action"] == "session_end"
    recorded = [one["input"] for one in actions[1:-1]]
    assert len(recorded) == len(set(recorded)) and set(recorded) == set(acknowledged)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_sixty_ends_of_busy_sessions(valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path, kind: str) -> None:
    """Prints how long the ends took, and how many `session_end` actions they recorded."""
    seconds: list[float] = []
    marks: Counter[int] = Counter()
    async with StateManager.open(archived_in(kind, valkey, mongo, tmp_path)) as manager:
        for number in range(ENDS):
            session_id = (await manager.initialize_session(f"agent-{number}", "Agent"))["session_id"]
            with busy_app(valkey.port, session_id, number) as process:
                await asyncio.sleep(0.3)
                started = time.monotonic()
                await manager.end_session(session_id)
                seconds.append(time.monotonic() - started)
                written = await asyncio.to_thread(markers_of, process)
            actions = await actions_of(manager, session_id)
            marks[[one["action"] for one in actions].count("session_end")] += 1
            recorded = [one["input"]["marker"] for one in actions if one["action"] == "list_posts"]
            assert len(recorded) == len(set(recorded)) and set(written[-90:]) <= set(recorded)
    seconds.sort()
    print(f"\n{kind}: p50 {seconds[ENDS // 2]:.3f} s, max {seconds[-1]:.3f} s; sessions by marks: {dict(marks)}")
    assert seconds[int(ENDS * 0.95)] < 2
    assert marks[1] >= ENDS - 2
