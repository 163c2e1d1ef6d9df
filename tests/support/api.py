"""The HTTP API in this process, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from awictl import Permission, Settings, StateManager
from awictl.agents.registry import AgentRegistry
from awictl.server.app import Api
from awictl.server.asgi import App
from awictl.server.options import ServerOptions

SESSION = "/api/agent/session"
#: The secret of the app's key in `mongo_agentapikey.ejson`, and its agent.
APP_SECRET = "agent_" + "0" * 32
APP_ID = "6b03e3a15c752fa9a5b94777"
BOTH = (Permission.READ, Permission.WRITE)


@dataclass
class Agent:
    """A client of the API with an agent's key."""

    client: httpx.AsyncClient
    agent_id: str
    secret: str
    manager: StateManager

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.client.get(f"{SESSION}/{path}", headers={"X-Agent-API-Key": self.secret}, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers = {"X-Agent-API-Key": self.secret}
        return await self.client.post(f"{SESSION}/{path}", json=body, headers=headers, **more)


@asynccontextmanager
async def served(settings: Settings, options: ServerOptions | None = None) -> AsyncIterator[Api]:
    """The application, started."""
    api = Api(settings, options or ServerOptions())
    async with api.worker.opened():
        yield api


@asynccontextmanager
async def registry_at(settings: Settings) -> AsyncIterator[AgentRegistry]:
    """The registry of agents of a manager that is open."""
    async with StateManager.open(settings) as manager:
        yield manager.agents


@asynccontextmanager
async def client_of(api: Api, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api, client=(address, 123))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://awictl") as client:
        yield client


async def an_agent(api: Api, client: httpx.AsyncClient, *permissions: Permission) -> Agent:
    made = await api.worker.agents.register("Browser agent", permissions=permissions or BOTH)
    return Agent(client, made.key.agent_id, made.secret, api.worker.manager)


async def status_of(api: App, key: str, *, address: str = "127.0.0.1", path: str = f"{SESSION}/state") -> int:
    """The status of a GET with an API key. Takes a tenth of the time of an httpx client."""
    status = 0

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    await api(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"x-agent-api-key", key.encode())],
            "client": (address, 123),
        },
        receive,
        send,
    )
    return status
