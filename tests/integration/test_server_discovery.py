"""What an agent that does not know the server can find out: headers, `/api/agent/capabilities` and `llm-text`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from support.api import SESSION, Agent, client_of, served
from support.valkey import ValkeyServer

from awictl import Settings
from awictl._version import __version__
from awictl.server.api_request import ApiRequest
from awictl.server.app import Api
from awictl.server.options import ServerOptions
from awictl.server.routes import ROUTES, Route

CAPABILITIES, LLM_TEXT, OPENAPI = "/api/agent/capabilities", "/.well-known/llm-text", "/openapi.json"


async def descriptions(client: httpx.AsyncClient) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The capabilities, the text and the OpenAPI document, requested without an API key."""
    answers = [await client.get(path) for path in (CAPABILITIES, LLM_TEXT, OPENAPI)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    kinds = [answer.headers["content-type"] for answer in answers]
    assert kinds == ["application/json", "text/plain; charset=utf-8", "application/json"]
    found = answers[0].json()
    assert found.keys() == {"success", "capabilities"} and found["success"] is True
    return found["capabilities"], answers[1].text, answers[2].json()


async def test_every_response_says_where_the_server_is_described(agent: Agent) -> None:
    answers = [await agent.get("state"), await agent.client.head("/api/health"), await agent.post("state", {})]
    answers += [await agent.client.get(path) for path in (f"{SESSION}/state", "/", "/metrics", LLM_TEXT)]
    answers += [await agent.client.request("PUT", f"{SESSION}/state"), await agent.client.post("/api/agent/register")]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 401, 404, 200, 200, 405, 403]
    for answer in answers:
        headers = answer.headers
        for name, path in {"X-Agent-API": OPENAPI, "X-Agent-Capabilities": CAPABILITIES}.items():
            assert headers.get_list(name) == [path]
        assert headers.get_list("X-AWI-Discovery") == [LLM_TEXT]
    for path in (OPENAPI, CAPABILITIES, LLM_TEXT):
        assert (await agent.client.get(path)).status_code == 200


async def test_the_descriptions_are_what_is_served(agent: Agent, valkey: ValkeyServer) -> None:
    """Each operation exists, as it is described, and there is no other."""
    found, text, openapi = await descriptions(agent.client)
    assert valkey.raw.dbsize() == 0, "looking around creates nothing"
    operations = {(one["method"], one["endpoint"]): one for one in found["operations"]}
    described = {(method.upper(), path) for path, methods in openapi["paths"].items() for method in methods}
    assert operations.keys() == described == {(route.method, route.path) for route in ROUTES}
    for (method, path), one in operations.items():
        in_openapi = openapi["paths"][path][method.lower()]
        assert (one["operation"], one["description"]) == (in_openapi["operationId"], in_openapi["summary"])
        assert f"- {method} {path} ({one['operation']}" in text
        answer = await agent.client.request(method, path, json=one.get("requestBody"))
        assert (answer.status_code == 401) == one["requiresAuth"] and answer.status_code not in (404, 405)
        if one["requiresAuth"]:
            headers = {"X-Agent-API-Key": agent.secret}
            answer = await agent.client.request(method, path, json=one.get("requestBody"), headers=headers)
            assert answer.status_code == 200, answer.text
    [history] = [one for one in found["operations"] if one["operation"] == "getHistory"]
    assert {name: one["default"] for name, one in history["parameters"].items()} == {"limit": 20, "offset": 0}
    endpoints = found["features"]["sessionState"]["endpoints"]
    assert endpoints == {name: f"{SESSION}/{name}" for name in ("state", "diff", "history", "cache", "end")}
    degradation = found["features"]["degradation"]
    assert (degradation["header"], degradation["field"]) == ("X-AWI-Degraded", "degraded")
    assert "X-AWI-Degraded: 1" in text
    ok = openapi["paths"][f"{SESSION}/state"]["get"]["responses"]["200"]
    assert "X-AWI-Degraded" in ok["headers"]
    assert found["documentation"] == {"openapi": OPENAPI, "wellKnown": LLM_TEXT}
    assert len(text) < 4_000


async def test_a_new_route_is_described(archived: Settings) -> None:
    async def get_weather(_: ApiRequest) -> dict[str, Any]:
        """Get the weather."""
        return {}

    api = Api(archived, ServerOptions(), (*ROUTES, Route("GET", "/api/weather", get_weather, {200: dict}, public=True)))
    async with api.worker.opened(), client_of(api) as client:
        found, text, _ = await descriptions(client)
    assert found["operations"][-1]["endpoint"] == "/api/weather"
    assert "- GET /api/weather (getWeather, no API key): Get the weather." in text.splitlines()


@pytest.mark.parametrize("allowed", [False, True])
async def test_they_depend_on_the_options(archived: Settings, allowed: bool) -> None:
    for limit in (0, 77):
        options = ServerOptions(allow_register=allowed, rate_limit=limit, max_body_bytes=4_321)
        async with served(archived, options) as api, client_of(api) as client:
            found, text, _ = await descriptions(client)
        assert found["authentication"]["registration"] == ("/api/agent/register" if allowed else None)
        assert ("POST /api/agent/register\n" in text) == allowed
        assert ("ask the operator" in text) == (not allowed)
        assert found["rateLimit"]["default"] == (limit or None) and ("Limit: 77 " in text) == (limit == 77)
        assert found["maxBodyBytes"] == 4_321 and "4,321 bytes" in text


async def test_they_have_no_secrets(archived: Settings, valkey: ValkeyServer) -> None:
    """Neither the version, nor a host, a path or a setting of the server."""
    settings = replace(archived, redis_username="default")
    async with served(settings, ServerOptions(proxies=("192.0.2.7",))) as api, client_of(api) as client:
        found, text, _ = await descriptions(client)
    shown = json.dumps(found) + text
    assert archived.archive_url is not None
    for hidden in (__version__, "sqlite", archived.archive_url, 'default"', "192.0.2.7", "localhost", "127.0.0.1"):
        assert hidden not in shown.replace('"default":', "")
    assert str(valkey.socket) not in shown and "awictl" not in shown.lower()
