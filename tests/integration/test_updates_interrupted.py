"""Updates of many tasks while the manager is closed, callers are cancelled, or connections are killed: at most once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.errors import OutcomeUnknown, Unreachable
from awictl.sessions import update as update_module

ID = "sess_busy"


@pytest.mark.parametrize(
    ("tasks", "rounds"), [(10, 5), pytest.param(40, 40, marks=pytest.mark.soak)], ids=["few", "many"]
)
@pytest.mark.parametrize("harm", ["close", "cancel", "kill"])
async def test_what_is_acknowledged_is_applied_once_and_what_is_refused_is_not(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, harm: str, tasks: int, rounds: int
) -> None:
    """No caller is cancelled by the harm that comes to others, or retries on a client that is closed."""
    chance = random.Random(harm)
    total: Counter[str] = Counter()
    for number in range(rounds):
        valkey.raw.flushall()
        outcomes: dict[str, str] = {}
        async with StateManager.open(valkey.settings()) as manager:
            await manager.initialize_session("agent", "Agent", session_id=ID)

            async def update(op_id: str, manager: StateManager = manager, into: dict[str, str] = outcomes) -> None:
                into[op_id] = "not begun"
                try:
                    await manager.update_state_with_delta(ID, {"page_state": {"route": f"/{op_id}"}}, {"op_id": op_id})
                    into[op_id] = "applied"
                except asyncio.CancelledError:
                    into[op_id] = "cancelled"
                    raise
                except OutcomeUnknown:
                    into[op_id] = "unknown"
                except Unreachable:
                    into[op_id] = "refused"

            updating = [asyncio.create_task(update(f"op-{task}")) for task in range(tasks)]
            for step in range((0, 5, 40, 10, 20)[number % 5]):
                await asyncio.sleep(0)
                if harm == "cancel" and chance.random() < 0.2:
                    chance.choice(updating).cancel()
                if harm == "kill" and step % 15 == 7:
                    valkey.raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            if harm == "close":
                await manager.store.close()
                monkeypatch.setattr(update_module, "RETRY_SECONDS", 3600.0)
            async with asyncio.timeout(300):
                done = await asyncio.gather(*updating, return_exceptions=True)
            for outcome in done:
                assert outcome is None or (harm == "cancel" and isinstance(outcome, asyncio.CancelledError)), outcome
        async with StateManager.open(valkey.settings()) as manager:
            document = await manager.get_session_state(ID)
        assert document is not None
        applied = Counter(one["op_id"] for one in document["history"]["actions"] if "op_id" in one)
        assert set(applied.values()) <= {1}, "twice"
        assert {op_id for op_id, outcome in outcomes.items() if outcome == "applied"} <= set(applied), "lost"
        assert not {op_id for op_id, outcome in outcomes.items() if outcome == "refused"} & set(applied)
        total.update(outcomes.values())
    assert total[{"close": "refused", "cancel": "cancelled", "kill": "applied"}[harm]], total
