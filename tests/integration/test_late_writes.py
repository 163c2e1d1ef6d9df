"""Writes to a session that has ended and waits for its archive: it stays ended, and does not start to expire."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.api import Agent
from support.cli import Cli
from support.documents import AGENT_ID, SESSION_ID, agent_key, session_key, stored
from support.valkey import ValkeyServer

from awictl import Refused, Settings, StateManager
from awictl.errors import Unreachable


@pytest.fixture
async def waiting(valkey: ValkeyServer, manager: StateManager) -> bytes:
    """A session that has ended, and the archive did not answer. Its string."""
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "before"})
    await manager.record_end(SESSION_ID)
    valkey.raw.persist(session_key())
    return stored(valkey)


@pytest.mark.parametrize("entry", [{}, {"op_id": "late"}], ids=["new", "with an op_id"])
@pytest.mark.parametrize("fresh", [True, False], ids=["head not cached", "head cached"])
async def test_a_late_update_is_refused(
    manager: StateManager, settings: Settings, valkey: ValkeyServer, waiting: bytes, entry: dict[str, str], fresh: bool
) -> None:
    async with StateManager.open(settings) as other:
        with pytest.raises(Refused, match=rf"{SESSION_ID} has ended and waits.*nothing was written.*archive sweep"):
            await (other if fresh else manager).update_state_with_delta(SESSION_ID, {"n": 2}, entry)
    assert stored(valkey) == waiting and valkey.raw.pttl(session_key()) == -1


async def test_an_update_from_before_the_end_is_still_recognized(manager: StateManager, waiting: bytes) -> None:
    updated = await manager.apply(SESSION_ID, {"n": 1}, {"op_id": "before"})
    assert updated.action is None, "it was applied before"


async def test_an_ended_session_that_was_restored_is_updated(
    manager: StateManager, valkey: ValkeyServer, waiting: bytes
) -> None:
    valkey.raw.pexpire(session_key(), 60_000)
    await manager.update_state_with_delta(SESSION_ID, {"n": 2})
    assert valkey.raw.pttl(session_key()) > 60_000


async def test_touch_reports_no_ttl_that_it_did_not_set(
    manager: StateManager, valkey: ValkeyServer, waiting: bytes
) -> None:
    valkey.raw.set("AWI:SESSION:sess_stray", waiting.replace(b'"session_end"', b'"list_posts"'))
    valkey.raw.pexpire(agent_key(), 50_000)
    await manager.initialize_session("other", "Other", session_id="sess_other")
    ended, live, stray = await manager.touch_each([SESSION_ID, "sess_other", "sess_stray"], ttl_ms=90_000)
    assert isinstance(ended, Refused) and "has ended and waits" in str(ended) and live is True
    assert isinstance(stray, Refused) and "doctor --fix" in str(stray)
    assert valkey.raw.pttl(session_key()) == -1 and valkey.raw.pttl(agent_key()) <= 50_000
    with pytest.raises(Refused, match="has ended and waits"):
        await manager.touch_session(SESSION_ID)


def test_the_commands_exit_with_4(valkey: ValkeyServer, tmp_path: Path) -> None:
    awictl = Cli.at(tmp_path / "home").having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))
    session_id = awictl.ok("session", "create", "--agent", "a", "-o", "ids").out.decode().strip()
    awictl.ok("session", "apply", session_id, "{}", "--action", "session_end")
    valkey.raw.persist(session_key(session_id))
    awictl("session", "apply", session_id, '{"n":1}').error(4, "has ended and waits")
    touched = awictl("session", "touch", session_id)
    touched.error(4, "has ended and waits")
    assert touched.out == b""
    assert valkey.raw.pttl(session_key(session_id)) == -1


async def test_the_next_request_of_an_agent_gets_a_new_session(
    agent: Agent, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator ended the session while the archive was away. A repeated update is found in the earlier one."""
    first = (await agent.post("state", {"delta": {"n": 1}, "op_id": "mine"})).json()["sessionId"]

    async def away(snapshots: object) -> None:
        raise Unreachable("the archive does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(agent.manager.required_archive(), "save", away)
        with pytest.raises(Unreachable):
            await agent.manager.end_session(first)
    state = (await agent.get("state")).json()
    assert state["sessionId"] != first
    assert valkey.raw.pttl(session_key(first)) == -1 and valkey.raw.pttl(session_key(state["sessionId"])) > 0
    again = (await agent.post("state", {"delta": {"n": 1}, "op_id": "mine"})).json()
    assert (again["applied"], again["appliedTo"]) == (False, first)


async def test_an_update_that_the_end_overtook_is_answered_with_409(
    agent: Agent, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends after the request got its session, and before it is updated."""
    session_id = (await agent.get("state")).json()["sessionId"]
    apply = agent.manager.apply

    async def overtaken(*arguments: object, **more: object) -> object:
        await agent.manager.record_end(session_id)
        return await apply(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(agent.manager, "apply", overtaken)
    answer = await agent.post("state", {"delta": {"n": 1}})
    assert answer.status_code == 409 and "ended" in answer.text, answer.text
    assert valkey.raw.pttl(session_key(session_id)) == -1
