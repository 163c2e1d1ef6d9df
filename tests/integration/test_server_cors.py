"""Requests of web pages: which origins may call the API, and what browsers are told about it."""

from __future__ import annotations

import pytest
from support.api import SESSION, an_agent, client_of, served

from awictl import Settings
from awictl.server.options import ServerOptions

STATE = f"{SESSION}/state"
PAGE, OTHER = "https://page.example", "http://localhost:3000"
PREFIX = "access-control-"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
#: Values of `Origin` that are not allowed.
STRANGERS = [
    *("https://evil.example", "https://page.example.evil.example", "https://evilpage.example", "http://page.example"),
    *("https://page.example:8443", "https://page.example:443", "https://PAGE.example", "https://page.example/"),
    *("null", "", "*", "https://page.example, http://localhost:3000", "x" * 30_000, "https://page.example\r\nX: y"),
]


async def test_no_page_is_allowed_by_default(archived: Settings) -> None:
    async with served(archived) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        answers = [await client.options(STATE, headers={"Origin": PAGE, **ASKED})]
        answers.append(await client.get(STATE, headers={"Origin": PAGE, "X-Agent-API-Key": agent.secret}))
    assert [answer.status_code for answer in answers] == [405, 200]
    assert not [name for answer in answers for name in answer.headers if name.startswith(PREFIX) or name == "vary"]


@pytest.mark.parametrize("origin", [PAGE, OTHER])
async def test_a_listed_origin(archived: Settings, origin: str) -> None:
    async with served(archived, ServerOptions(cors=(PAGE, OTHER))) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        for path, methods in ((STATE, "GET, HEAD, POST"), (f"{STATE}/", "GET, HEAD, POST"), (f"{SESSION}/end", "POST")):
            answer = await client.options(path, headers={"Origin": origin, **ASKED})
            assert (answer.status_code, answer.content) == (200, b"")
            assert {name: value for name, value in answer.headers.items() if name.startswith(PREFIX)} == {
                "access-control-allow-origin": origin,
                "access-control-allow-methods": methods,
                "access-control-allow-headers": "Authorization, Content-Type, X-Agent-API-Key",
                "access-control-max-age": "600",
            }
            assert answer.headers.get_list("vary") == ["Origin"]
        headers = {"Origin": origin, "Authorization": agent.secret}
        answers = [await client.get(STATE, headers=headers), await client.post(STATE, json={}, headers=headers)]
        answers += [await client.get(path, headers={"Origin": origin}) for path in (STATE, "/nowhere", "/api/health")]
        answers += [await client.request(name, STATE, headers=headers) for name in ("PUT", "OPTIONS")]
        answers.append(await client.options("/nowhere", headers={**headers, **ASKED}))
        assert [answer.status_code for answer in answers] == [200, 400, 401, 404, 200, 405, 405, 404]
        for answer in answers:
            assert answer.headers.get_list("access-control-allow-origin") == [origin]
            assert answer.headers.get_list("vary") == ["Origin"]
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert {name for name in answer.headers if name.startswith(("x-r", "x-a"))} <= set(exposed)
        assert 'method="other",route="other",status="200"} 3.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize("origin", STRANGERS, ids=lambda origin: repr(origin)[:40])
async def test_another_origin(archived: Settings, origin: str) -> None:
    """The response says that it depends on the origin, so that no cache passes it on to an allowed page."""
    async with served(archived, ServerOptions(cors=(PAGE, OTHER))) as api, client_of(api) as client:
        answers = [
            await client.request(method, STATE, headers={"Origin": origin, **more})
            for method, more in (("OPTIONS", ASKED), ("GET", {}))
        ]
    assert [answer.status_code for answer in answers] == [405, 401]
    for answer in answers:
        assert "access-control-allow-origin" not in answer.headers and answer.headers["vary"] == "Origin"


async def test_requests_without_an_origin_or_with_two(archived: Settings) -> None:
    async with served(archived, ServerOptions(cors=(PAGE,))) as api, client_of(api) as client:
        for headers in (
            [],
            [("Origin", PAGE), ("Origin", PAGE)],
            [("Origin", PAGE), ("Origin", "https://evil.example")],
        ):
            for method, more in (("GET", {}), ("OPTIONS", ASKED)):
                answer = await client.request(method, STATE, headers=[*headers, *more.items()])
                assert answer.status_code == (401 if method == "GET" else 405)
                assert "access-control-allow-origin" not in answer.headers and answer.headers["vary"] == "Origin"


async def test_any_origin_without_credentials(archived: Settings) -> None:
    async with served(archived, ServerOptions(cors=("*", PAGE))) as api, client_of(api) as client:
        for origin in (PAGE, "https://any.example", "null", "x" * 30_000):
            headers = {"Origin": origin, "Cookie": "a=b"}
            for answer in (
                await client.options(STATE, headers={**headers, **ASKED}),
                await client.get(STATE, headers=headers),
            ):
                assert answer.headers.get_list("access-control-allow-origin") == ["*"]
                assert "access-control-allow-credentials" not in answer.headers
                assert origin not in answer.headers.values() and "vary" not in answer.headers
