"""Suspended means suspended, measured: requests that a loaded server serves after the stated bounds."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api import SESSION
from support.cli import Cli
from support.mongo import MongoServer
from support.serving import serving
from support.valkey import ValkeyServer

from awictl import Settings, StateManager

#: Seconds within which a server notices a suspension by another process.
ELSEWHERE_SECONDS = 5.0
#: Clients of each agent, and agents.
CLIENTS, AGENTS = 4, 4


class Load:
    """Clients that send requests all the time, and when each was answered with which status."""

    def __init__(self, url: str, secrets: dict[str, str]) -> None:
        self.url = url
        self.secrets = secrets
        self.answers: list[tuple[str, float, int]] = []
        self.stopped = False

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:

            async def one(agent_id: str, secret: str) -> None:
                while not self.stopped:
                    sent = time.monotonic()
                    answer = await client.get(f"{SESSION}/state", headers={"X-Agent-API-Key": secret})
                    self.answers.append((agent_id, sent, answer.status_code))

            await asyncio.gather(*(one(*item) for item in self.secrets.items() for _ in range(CLIENTS)))

    def served(self, agent_id: str, since: float) -> int:
        """The number of requests of an agent that were sent after a time and served."""
        return sum(1 for one, sent, status in self.answers if one == agent_id and sent >= since and status == 200)


@pytest.mark.soak
@pytest.mark.parametrize("archive", ["mongo", "sqlite"])
async def test_no_request_is_served_after_the_bound(
    awictl: Cli, valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path, archive: str
) -> None:
    """Suspension and resumption by another process, with two workers under load."""
    where: dict[str, Any] = {"mongodb_uri": mongo.uri}
    if archive == "sqlite":
        where = {"archive_url": f"sqlite:///{tmp_path}/archive.db"}
    settings: Settings = valkey.settings(**where)
    names = {"mongodb_uri": "MONGODB_URI", "archive_url": "AWI_ARCHIVE_URL"}
    user = awictl.having(**{names[name]: value for name, value in where.items()})
    async with StateManager.open(settings) as manager:
        made = [await manager.agents.register(f"agent {number}") for number in range(AGENTS)]
        secrets = {one.key.agent_id: one.secret for one in made}
        if archive == "mongo":
            key = mongo.put("agentapikeys", "mongo_agentapikey.ejson")
            secrets[str(key["_id"])] = key["key"]
        with serving(user, "--workers", "2", "--rate-limit", "0") as server:
            load = Load(server.url, secrets)
            running = asyncio.create_task(load.run())
            await asyncio.sleep(3)
            for agent_id in secrets:
                await manager.agents.suspend(agent_id, reason="test")
                done = time.monotonic()
                await asyncio.sleep(ELSEWHERE_SECONDS + 1)
                assert load.served(agent_id, done + ELSEWHERE_SECONDS) == 0
                refused = sum(1 for one, sent, status in load.answers if (one, status) == (agent_id, 403))
                assert refused, "the load goes on"
                assert any(one != agent_id and sent > done and status == 200 for one, sent, status in load.answers)
                await manager.agents.resume(agent_id)
                resumed = time.monotonic()
                await asyncio.sleep(ELSEWHERE_SECONDS + 1)
                assert load.served(agent_id, resumed) > 0
                load.answers.clear()
            load.stopped = True
            await running
