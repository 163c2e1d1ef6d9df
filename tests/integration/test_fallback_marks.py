"""An update is marked as degraded if it is in the journal, not because its session was found there."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import an_agent, client_of, served
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl.sessions.get_or_create import Visit


async def test_redis_returns_between_the_visit_and_the_update(
    valkey: ValkeyServer, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(valkey.settings(mongodb_uri=mongo.uri)) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        await agent.get("state")
        sessions: Any = api.worker.manager.agent_sessions
        found = sessions.get_or_create

        async def found_in_the_journal(*arguments: Any, **options: Any) -> Visit:
            return (await found(*arguments, **options))._replace(degraded=True)

        monkeypatch.setattr(sessions, "get_or_create", found_in_the_journal)
        assert (await agent.get("state")).headers["x-awi-degraded"] == "1"
        updated = await agent.post("state", {"delta": {"n": 1}})
        assert updated.status_code == 200 and updated.json()["applied"] is True
        assert "degraded" not in updated.json() and "x-awi-degraded" not in updated.headers
        ended = await agent.post("end", {})
        assert ended.json()["archived"] is True and "degraded" not in ended.json()
