"""Failovers of a real Sentinel deployment, through the whole state manager. The full counts are in the soak tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from support.cli import Cli
from support.failover import fail_over, writing
from support.sentinels import Sentinels

from awictl import AccessDenied, StateManager


@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_writers_go_on_after_a_failover_and_nothing_is_applied_twice(sentinels: Sentinels, way: str) -> None:
    async with writing(sentinels.settings(timeout=20.0), count=4) as writers:
        async with asyncio.timeout(60):
            old, promoted = await fail_over(sentinels, sentinels.kill if way == "kill" else sentinels.pause)
            while not writers.tally.times or writers.tally.times[-1] < promoted:
                await asyncio.sleep(0.02)
        if way == "freeze":
            sentinels.resume(old)
        await writers.stop()
        found = await writers.found()
    assert found.acknowledged > 0
    assert found.twice == []


async def test_an_idle_client_does_not_write_to_a_primary_that_was_replaced(sentinels: Sentinels) -> None:
    async with StateManager.open(sentinels.settings(timeout=20.0)) as manager:
        session_id = (await manager.initialize_session("agent", "Agent"))["session_id"]
        await manager.update_state_with_delta(session_id, {}, {"action": "before"})
        await asyncio.to_thread(sentinels.primary.raw.wait, 2, 20_000)
        old = await asyncio.to_thread(lambda: sentinels.primary)
        await asyncio.to_thread(sentinels.pause, old)
        new = await asyncio.to_thread(sentinels.failed_over, old)
        await asyncio.to_thread(sentinels.resume, old)  # it believes that it is still the primary
        for number in range(50):
            await manager.update_state_with_delta(session_id, {}, {"action": "after", "input": {"number": number}})
    stored = json.loads(new.raw.get(f"AWI:SESSION:{session_id}"))
    after = [action["input"]["number"] for action in stored["history"]["actions"] if action["action"] == "after"]
    assert after == list(range(50))


async def test_a_command_with_a_frozen_and_a_dead_sentinel(sentinels: Sentinels, tmp_path: Path) -> None:
    async with StateManager.open(sentinels.settings()) as manager:
        session_id = (await manager.initialize_session("agent", "Agent"))["session_id"]
    cli = Cli.at(tmp_path, REDIS_URL=sentinels.url())
    first, second, third = sentinels.sentinels
    sentinels.pause(first)
    assert cli.ok("session", "show", session_id).json["session_id"] == session_id
    sentinels.resume(first)
    sentinels.kill(second)
    assert cli.ok("session", "show", session_id).json["session_id"] == session_id
    sentinels.kill(third)
    cli("session", "show", session_id).error(5, f"{third.address}: connection refused")


async def test_servers_and_sentinels_have_passwords_of_their_own() -> None:
    with Sentinels(replicas=0, sentinels=1, password="secret", sentinel_password="watch") as guarded:
        async with StateManager.open(guarded.settings()) as manager:
            assert await manager.initialize_session("agent", "Agent")
        async with StateManager.open(guarded.settings(redis_sentinel_password="secret")) as manager:
            with pytest.raises(AccessDenied, match="REDIS_SENTINEL_PASSWORD"):
                await manager.initialize_session("agent", "Agent")
