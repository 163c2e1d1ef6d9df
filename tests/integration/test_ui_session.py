"""The data of a session's page: live, archived, and missing sessions."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.documents import AGENT_ID, SESSION_ID, document, put, stored
from support.ui_client import inspected
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.byte_layout import encode
from awictl.document.json_codec import json_equal, loads
from awictl.document.redaction.rules import parse_redaction
from awictl.sessions.whole_session import WholeSession
from awictl.ui.api import session, session_payload


async def test_a_session_live_and_archived(valkey: ValkeyServer, settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, archive_url=f"sqlite:///{tmp_path / 'archive.db'}")
    async with StateManager.open(settings) as manager:
        await shown_live_and_archived(valkey, settings, manager)


async def shown_live_and_archived(valkey: ValkeyServer, settings: Settings, manager: StateManager) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await manager.update_state_with_delta(SESSION_ID, {"a": 2**53 + 1, "mail": "bob@x.org"}, {"input": {"q": 1}})
    raw = stored(valkey)
    document = loads(raw)
    async with inspected(settings) as client:
        live = loads((await client.get(f"/api/sessions/{SESSION_ID}")).content)
        await manager.end_session(SESSION_ID)
        archived = loads((await client.get(f"/api/sessions/{SESSION_ID}")).content)
        missing = await client.get(f"/api/sessions/{SESSION_ID[:-1]}")
        wrong = await client.get("/api/sessions/nothing")
    assert (live["place"], live["origin"], live["bytes"]) == ("live", None, len(raw))
    assert 0 < live["ttl_ms"] <= 30 * 60_000 and live["head"]["a"] == 2**53 + 1
    assert [one["ordinal"] for one in live["steps"]] == [0, 1]
    assert json_equal([one["action"] for one in live["steps"]], document["history"]["actions"])
    assert "actions" not in live["head"]["history"] and live["redacted"] is None
    assert (archived["place"], archived["ttl_ms"], archived["degraded"]) == ("archived", None, False)
    assert SESSION_ID in archived["origin"] and len(archived["steps"]) == 3
    assert missing.status_code == 404 and "lists the live sessions" in missing.json()["detail"]
    assert wrong.status_code == 400


async def test_a_redacted_session(settings: Settings, manager: StateManager) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await manager.update_state_with_delta(SESSION_ID, {"mail": "bob@x.org"}, {"observation": "sent to bob@x.org"})
    async with inspected(settings, redaction=parse_redaction(["default"])) as client:
        response = await client.get(f"/api/sessions/{SESSION_ID}")
    assert "bob@" not in response.text
    found = response.json()
    assert found["head"]["mail"] == found["steps"][1]["action"]["delta"]["mail"] == "<email-1>"
    assert found["redacted"]["values"] == {"email": {"values": 1, "places": 5}}


async def test_a_document_that_is_no_session(valkey: ValkeyServer, settings: Settings) -> None:
    put(valkey, b'{"session_id": 1}')
    async with inspected(settings) as client:
        response = await client.get(f"/api/sessions/{SESSION_ID}")
    assert response.status_code == 422 and "no history.actions" in response.json()["detail"]


async def test_few_sessions_are_read_at_once(
    valkey: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes much memory, and after an outage all open pages read theirs."""
    put(valkey, encode(document([0])))
    lock, running, most = threading.Lock(), 0, 0

    def payload(whole: WholeSession, redaction: Any) -> dict[str, Any]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return {}

    monkeypatch.setattr(session, "session_payload", payload)
    async with inspected(settings) as client:
        responses = await asyncio.gather(*(client.get(f"/api/sessions/{SESSION_ID}") for _ in range(12)))
    assert {one.status_code for one in responses} == {200}
    assert 1 < most <= session_payload.MAX_AT_ONCE
