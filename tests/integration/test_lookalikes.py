"""Stored documents that imitate the byte layout, so that another array closes like the trajectory."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.documents import AGENT_ID, SESSION_ID, document, plain, put, stored
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import encode
from awictl.document.json_codec import dumps


def lookalike(more: bytes, actions: int = 3) -> bytes:
    """A session document with another array after the trajectory. It is valid JSON, and its first line is a head."""
    raw = encode(document([0] * actions))
    return raw.removesuffix(b"\n]}}") + b'],"more":[' + more + b"\n]}}"


LAST = dumps(document([0] * 3)["history"]["last_action"])
LOOKALIKES = {
    "a number": lookalike(b"1"),
    "a number on its line": lookalike(b"\n1"),
    "an empty array": lookalike(b""),
    "an action": lookalike(b'\n{"t":9}'),
    "the last action, first": lookalike(LAST),
    "a new session": lookalike(b'\n{"t":0}', actions=1),
}


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """The URL of an empty archive."""
    return f"sqlite:///{tmp_path}/archive.db"


@pytest.mark.parametrize("raw", LOOKALIKES.values(), ids=LOOKALIKES)
async def test_an_action_is_recorded_in_the_trajectory(valkey: ValkeyServer, archive: str, raw: bytes) -> None:
    put(valkey, raw)
    before = plain(raw)["history"]
    async with StateManager.open(valkey.settings(archive_url=archive)) as manager:
        newest = (await manager.get_action_history(SESSION_ID)).trajectory
        assert newest == before["actions"][::-1]
        for n in range(3):
            await manager.update_state_with_delta(SESSION_ID, {"n": n})
        history = plain(stored(valkey))["history"]
        assert history["more"] == before["more"]
        assert [one["delta"].get("n") for one in history["actions"]][-3:] == [0, 1, 2]
        assert len(history["actions"]) == len(before["actions"]) + 3
        visit = await manager.get_action_history(SESSION_ID)
        assert visit.total == len(history["actions"])


@pytest.mark.parametrize(
    "raw", [*LOOKALIKES.values(), lookalike(b"\n" + LAST)], ids=[*LOOKALIKES, "the last action on its line"]
)
async def test_the_session_is_ended(valkey: ValkeyServer, archive: str, raw: bytes) -> None:
    """An end reads and checks every line, so it is not misled by a document that has the last action there, too."""
    put(valkey, raw)
    before = plain(raw)["history"]
    async with StateManager.open(valkey.settings(archive_url=archive)) as manager:
        done = await manager.end_session(SESSION_ID)
        assert done.actions == len(before["actions"]) + 1
        found = await manager.get_archived_session(SESSION_ID)
    assert found is not None and found.document["history"]["more"] == before["more"]
    assert valkey.raw.exists(f"AWI:SESSION:{SESSION_ID}") == 0


async def test_a_session_with_its_end_in_another_array_is_ended(valkey: ValkeyServer, archive: str) -> None:
    """As an earlier version left it: the head says that it has ended, the trajectory does not."""
    end = b'{"t":3,"action":"session_end","input":{},"delta":{},"timestamp":"2026-11-23T07:09:41.403Z"}'
    raw = lookalike(b"1,\n" + end)
    valkey.raw.set(f"AWI:SESSION:{SESSION_ID}", raw.replace(b'"last_action":' + LAST, b'"last_action":' + end))
    async with StateManager.open(valkey.settings(archive_url=archive)) as manager:
        done = await manager.end_session(SESSION_ID)
    assert done.actions == 4 and valkey.raw.exists(f"AWI:SESSION:{SESSION_ID}") == 0


async def test_the_session_of_a_request_is_not_misread(valkey: ValkeyServer) -> None:
    put(valkey, LOOKALIKES["an action"])
    valkey.raw.set(f"AGENT:SESSION:{AGENT_ID}", SESSION_ID)
    async with StateManager.open(valkey.settings()) as manager:
        for _ in range(2):
            visit = await manager.agent_sessions.get_or_create(AGENT_ID, "Agent")
            await manager.apply(SESSION_ID, {"n": 1}, base=visit.base)
    assert len(plain(stored(valkey))["history"]["actions"]) == 5


async def test_usual_documents_take_no_further_round_trip(proxy: Proxy, valkey: ValkeyServer) -> None:
    """Also those whose last action is much longer than the others, and new ones."""
    async with StateManager.open(proxy.settings()) as manager:
        await manager.initialize_session("warm-up", "Agent", session_id="sess_warm")
        await manager.update_state_with_delta("sess_warm", {}, {"op_id": "a"})
        for raw in (encode(document([0] * 200 + [50_000])), encode(document([0])), encode(document())):
            put(valkey, raw)
            manager._updater._heads.pop(SESSION_ID, None)
            before = proxy.round_trips
            await manager.update_state_with_delta(SESSION_ID, {"n": 1})
            assert proxy.round_trips == before + 2
