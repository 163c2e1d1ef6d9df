"""The stored string of a session, as its page shows it on demand."""

from __future__ import annotations

import json

import httpx
import pytest
from support.api import APP_SECRET
from support.documents import APP_FILES, SESSION_ID, document, put
from support.mongo import MongoServer
from support.ui_client import inspected
from support.ui_scene import APP
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.byte_layout import encode
from awictl.document.redaction.rules import parse_redaction
from awictl.ui.api import session_events


@pytest.fixture
def archiving(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    return valkey.settings(mongodb_uri=mongo.uri)


async def raw(client: httpx.AsyncClient, session_id: str = SESSION_ID) -> httpx.Response:
    return await client.get(f"/api/sessions/{session_id}/raw")


async def test_the_stored_string(valkey: ValkeyServer, archiving: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    put(valkey, APP_FILES[2].read_bytes(), APP)
    put(valkey, b'{"session_id": not JSON \xff ' + APP_SECRET.encode())
    put(valkey, encode(document([0], "sess_old")), "sess_old")
    async with StateManager.open(archiving) as manager:
        await manager.end_session("sess_old")
    async with inspected(archiving) as client:
        shown = await raw(client, APP)
        assert shown.content == APP_FILES[2].read_bytes() and shown.headers["content-type"].startswith("text/plain")
        assert (await raw(client)).text == '{"session_id": not JSON \\xff agent_********'
        assert '"session_end"' in (await raw(client, "sess_old")).text
        missing = await raw(client, "sess_missing")
        assert missing.status_code == 404 and "`awictl session list -o ids`" in missing.json()["detail"]
        assert (await raw(client, "no-session-id")).status_code == 400
        monkeypatch.setattr(session_events, "MAX_RAW", 31)
        assert (await raw(client)).text == '{"session_id": not JSON \\xff ag\n… 12 more characters', (
            "a key is masked first"
        )


async def test_the_stored_string_of_an_inspector_that_redacts(valkey: ValkeyServer, archiving: Settings) -> None:
    made = document([0, 0], note="mail mira@example.com")
    made["history"]["actions"][1]["observation"] = "from jonas@example.com"
    put(valkey, encode(made | {"page_state": {"filters": {"q": "hidden"}}}))
    put(valkey, b'{"broken": "akiko@example.com"', "sess_bad")
    async with inspected(archiving, redaction=parse_redaction(["default", "/page_state/filters/q"])) as client:
        text = (await raw(client)).text
        assert len(json.loads(text)["history"]["actions"]) == 2
        broken = await raw(client, "sess_bad")
        assert broken.status_code == 422
        assert not [one for one in ("mira@", "jonas@", "hidden", "akiko@") if one in text + broken.text]
