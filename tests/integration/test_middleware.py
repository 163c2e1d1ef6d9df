"""The middleware in ASGI sites: it loads sessions, records actions and enriches responses."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from support.archives import drop_sockets
from support.documents import AGENT_ID, SESSION_ID, compact, document, plain, put, session_key
from support.mongo import MongoServer
from support.sites import Exchange, client_of, exchange, request_scope, running, served
from support.valkey import ValkeyServer, free_port
from support.waiting import within

from awictl import Settings, StateManager
from awictl.agents.registry import Registered
from awictl.document import keys
from awictl.server.asgi import App, Message, Receive, Scope, Send
from awictl.server.middleware import (
    AgentRequest,
    EnrichResponse,
    LoadSession,
    RecordAction,
    enrich_response,
    record_action,
)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Caller:
    """An agent, as a site with its own authentication represents it."""

    agent_id: str = AGENT_ID
    name: str = "Agent"


async def always(_: Scope) -> Caller:
    """A site's own authentication: every request is from the same agent."""
    return Caller()


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def whoami(request: Request) -> Response:
    awi: AgentRequest | None = request.state.awi
    return PlainTextResponse(awi.session_id if awi is not None else "nobody")


def site(
    settings: Settings,
    *handlers: Handler,
    around: Sequence[Middleware] = (),
    inside: Sequence[Middleware] = (),
    record: dict[str, Any] | None = None,
    **load: Any,
) -> Starlette:
    """A Starlette site with the middleware; each handler has the path of its name."""
    methods = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(
        routes=[Route(f"/{one.__name__}", one, methods=methods) for one in handlers],
        middleware=[
            *around,
            Middleware(LoadSession, settings=settings, **load),
            Middleware(RecordAction, **(record or {})),
            Middleware(EnrichResponse),
            *inside,
        ],
    )


def wrapped(settings: Settings, app: App, identify: Callable[[Scope], Awaitable[Any]] = always) -> LoadSession:
    """A bare ASGI app inside all three middleware classes."""
    return LoadSession(RecordAction(EnrichResponse(app)), settings, identify)


def all_actions(valkey: ValkeyServer) -> list[dict[str, Any]]:
    """The trajectory of the only session."""
    [key] = valkey.raw.keys("AWI:SESSION:*")
    found: list[dict[str, Any]] = plain(valkey.raw.get(key))["history"]["actions"]
    return found


def recorded(valkey: ValkeyServer) -> list[dict[str, Any]]:
    """The actions of the only session that requests recorded."""
    return [action for action in all_actions(valkey) if action["action"] != "session_start"]


def only(valkey: ValkeyServer) -> dict[str, Any]:
    """The only recorded action."""
    [action] = recorded(valkey)
    return action


@pytest.fixture
def settings(valkey: ValkeyServer, tmp_path: Path) -> Settings:
    """Settings with an archive, where the API keys are stored."""
    return valkey.settings(archive_url=f"sqlite:///{tmp_path / 'archive.db'}")


@pytest.fixture
async def key(settings: Settings) -> Registered:
    async with StateManager.open(settings) as manager:
        return await manager.agents.register("Browser agent")


# -- loading


async def test_a_session_is_created_and_found_again(settings: Settings, key: Registered, valkey: ValkeyServer) -> None:
    async with client_of(site(settings, whoami), **{"X-Agent-API-Key": key.secret}) as client:
        first = (await client.get("/whoami?page=2")).text
        assert first.startswith("sess_") and (await client.get("/whoami")).text == first
    stored = plain(valkey.raw.get(session_key(first)))
    assert (stored["agent_id"], stored["agent_name"]) == (key.key.agent_id, "Browser agent")
    assert stored["current_url"] == stored["page_state"]["route"] == "/whoami?page=2"
    async with client_of(site(settings, whoami), Authorization=f"Bearer {key.secret}") as client:  # another process
        assert (await client.get("/whoami")).text == first


async def test_the_session_of_the_app_is_loaded(settings: Settings, valkey: ValkeyServer) -> None:
    made = document([10, 20])
    put(valkey, compact(made))
    valkey.raw.set(keys.agent_key(AGENT_ID), SESSION_ID, px=60_000)

    async def page(request: Request) -> Response:
        awi: AgentRequest = request.state.awi
        assert awi.session_id == SESSION_ID and awi.agent == Caller() and "actions" not in awi.head["history"]
        return JSONResponse(awi.head["page_state"])

    async with client_of(site(settings, page, identify=always)) as client:
        answer = (await client.get("/page")).json()
    assert answer.pop("_sessionState")["sessionId"] == SESSION_ID
    assert answer == made["page_state"]


@pytest.mark.parametrize("token", [None, "Bearer eyJhbGciOi.J9", "Basic YTpi", "bearer agentX", "Bearer"], ids=repr)
async def test_a_request_without_a_key_is_served_without_a_session(
    settings: Settings, valkey: ValkeyServer, token: str | None
) -> None:
    """Tokens of the site's own are left to the site."""

    async def seen(request: Request) -> Response:
        assert request.state.awi is None
        return JSONResponse({"authorization": request.headers.get("authorization")})

    async with client_of(site(settings, seen), **({"Authorization": token} if token else {})) as client:
        answer = await client.get("/seen")
    assert answer.status_code == 200 and answer.json() == {"authorization": token}
    assert valkey.raw.keys("*") == []


@pytest.mark.parametrize(
    "header",
    [
        {"X-Agent-API-Key": "agent_" + "0" * 32},
        {"X-Agent-API-Key": ""},
        {"Authorization": "Bearer agent_" + "0" * 32},
        {"Authorization": "bearer Agent_" + "0" * 32},
        {"Authorization": "agent_" + "0" * 32},
    ],
    ids=str,
)
async def test_a_wrong_key_is_refused(
    settings: Settings, key: Registered, valkey: ValkeyServer, header: dict[str, str]
) -> None:
    async def unreached(_: Request) -> Response:
        raise AssertionError

    async with client_of(site(settings, unreached), **header) as client:
        answer = await client.get("/unreached")
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["success"] is False and answer.json()["error"]
    assert valkey.raw.keys("*") == []


async def test_a_revoked_key_is_refused(settings: Settings, key: Registered) -> None:
    async with StateManager.open(settings) as manager:
        await manager.agents.revoke(key.key.agent_id)
    async with client_of(site(settings, hello), **{"X-Agent-API-Key": key.secret}) as client:
        answer = await client.get("/hello")
    assert answer.status_code == 401 and answer.json()["error"] == "API key inactive or expired"


async def test_a_suspended_agent_of_the_app(valkey: ValkeyServer, mongo: MongoServer) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    agent = {"name": "Agent", "permissions": ["read"], "active": True, "createdAt": datetime.now(UTC)}
    suspended = {"suspended": True, "suspendedUntil": until, "suspensionReason": "Too loud."}
    good = {"_id": ObjectId(AGENT_ID), "key": "agent_" + "a" * 32, **agent}
    mongo.raw["agentapikeys"].insert_many([good, {"key": "agent_" + "b" * 32, **agent, **suspended}])
    async with client_of(site(valkey.settings(mongodb_uri=mongo.uri), hello)) as client:
        answer = await client.get("/hello", headers={"X-Agent-API-Key": "agent_" + "b" * 32})
        assert answer.status_code == 403 and answer.json()["errorCode"] == "AGENT_SUSPENDED"
        assert "Too loud." in answer.json()["message"]
        assert valkey.raw.keys("*") == []
        answer = await client.get("/hello", headers={"X-Agent-API-Key": good["key"]})
        assert answer.status_code == 200 and "_sessionState" in answer.json()
    assert valkey.raw.exists(keys.agent_key(AGENT_ID))


async def test_a_site_identifies_the_agent_itself(settings: Settings, valkey: ValkeyServer) -> None:
    async def by_cookie(scope: Scope) -> Caller | None:
        name = Request(scope).cookies.get("agent")
        return Caller(name, name.title()) if name else None

    async with client_of(site(settings, whoami, identify=by_cookie)) as client:
        assert (await client.get("/whoami")).text == "nobody"
        alice = (await client.get("/whoami", headers={"Cookie": "agent=alice"})).text
        bob = (await client.get("/whoami", headers={"Cookie": "agent=bob", "X-Agent-API-Key": "the site's own"})).text
    assert plain(valkey.raw.get(session_key(alice)))["agent_name"] == "Alice"
    assert plain(valkey.raw.get(session_key(bob)))["agent_id"] == "bob"


@pytest.mark.parametrize("agent_id", [42, "", "a\nb", None, "x" * 300], ids=lambda value: repr(value)[:10])
async def test_a_site_that_returns_invalid_agent_ids(
    settings: Settings, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture, agent_id: Any
) -> None:
    async def by_row(_: Scope) -> Caller:
        return Caller(agent_id)

    async with client_of(site(settings, whoami, identify=by_row)) as client:
        assert (await client.get("/whoami")).text == "nobody"
    assert "is not an agent id" in caplog.text and valkey.raw.keys("*") == []


async def test_changing_the_head_in_a_handler_does_not_change_the_session(
    settings: Settings, valkey: ValkeyServer
) -> None:
    async def careless(request: Request) -> Response:
        awi: AgentRequest = request.state.awi
        awi.head["page_state"]["filters"]["mine"] = True
        awi.head["statistics"]["total_actions"] = 1_000
        return JSONResponse({})

    async with client_of(site(settings, careless, identify=always)) as client:
        for _ in range(3):
            await client.get("/careless")
    [key] = valkey.raw.keys("AWI:SESSION:*")
    stored = plain(valkey.raw.get(key))
    assert stored["page_state"]["filters"] == {} and stored["statistics"]["total_actions"] == 3


# -- recording


async def test_an_action_records_the_request_but_no_body(
    settings: Settings, key: Registered, valkey: ValkeyServer
) -> None:
    async def search(request: Request) -> Response:
        await request.body()
        return JSONResponse({"answer": "the answer"}, 201)

    async with client_of(site(settings, search), **{"X-Agent-API-Key": key.secret}) as client:
        query = f"q=a%20b&key={key.secret}&page=2"
        await client.post(f"/search?{query}", json={"question": "the question"})
    action = only(valkey)
    assert action.pop("timestamp") and action.pop("op_id")
    assert action == {
        "t": 1,
        "action": "search",
        "input": {"method": "POST", "endpoint": "/search?q=a%20b&key=agent_********&page=2", "status": 201},
        "delta": {},
        "success": True,
        "observation": "201 Created",
    }
    everything = b"".join(valkey.raw.get(key) for key in valkey.raw.keys("A*"))
    for secret in (key.secret, "the question", "the answer"):
        assert secret.encode() not in everything


async def test_api_keys_are_masked_in_urls_and_paths(settings: Settings, key: Registered, valkey: ValkeyServer) -> None:
    """Also in a part of the path, and percent-encoded."""
    app = site(settings, inside=[])
    escaped = "".join(f"%{ord(one):02x}" for one in key.secret)
    async with client_of(app, **{"X-Agent-API-Key": key.secret}) as client:
        await client.get(f"/agents/{key.secret}/pages")
        await client.get(f"/posts?key={key.secret.replace('_', '%5F')}&page=2")
        await client.get(f"/{escaped}?key={escaped}")
    everything = b"".join(valkey.raw.get(one) for one in valkey.raw.keys("A*"))
    hexadecimal = key.secret.removeprefix("agent_").encode()
    assert hexadecimal not in everything and escaped.encode() not in everything
    assert [action["input"]["endpoint"] for action in recorded(valkey)][:2] == [
        "/agents/agent_********/pages",
        "/posts?key=agent_********&page=2",
    ]
    assert recorded(valkey)[0]["action"] == "GET /agents/agent_********/pages"


async def test_a_handler_sets_the_recorded_action(settings: Settings, valkey: ValkeyServer) -> None:
    async def filtered(request: Request) -> Response:
        awi: AgentRequest = request.state.awi
        awi.action = "filter"
        awi.observation = {"found": 3}
        awi.delta = {"page_state": {"filters": {"a": 1}}}
        return JSONResponse({})

    async def unrecorded(request: Request) -> Response:
        request.state.awi.record = False
        return JSONResponse({})

    async with client_of(site(settings, filtered, unrecorded, identify=always)) as client:
        await client.get("/filtered")
        answer = (await client.get("/unrecorded")).json()
    action = only(valkey)
    assert (action["action"], action["observation"]) == ("filter", {"found": 3})
    assert action["delta"] == {"page_state": {"filters": {"a": 1}}}
    assert answer["_sessionState"]["currentState"]["filters"] == {"a": 1}


async def test_a_handler_that_updates_the_session_itself(settings: Settings, valkey: ValkeyServer) -> None:
    async def turned(request: Request) -> Response:
        awi: AgentRequest = request.state.awi
        awi.head = await awi.manager.update_pagination(awi.session_id, {"cursor": 2, "total_pages": 2})
        awi.record = False
        return JSONResponse({})

    async with client_of(site(settings, turned, identify=always)) as client:
        state = (await client.get("/turned")).json()["_sessionState"]
    assert state["currentState"]["page"] == 2 and state["statistics"]["totalActions"] == 1
    assert only(valkey)["action"] == "paginate"


@pytest.mark.parametrize(
    ("how", "name"),
    [("fixed", "fixed"), (lambda scope: scope["endpoint"].__name__, "hello"), (None, "GET /hello")],
    ids=["text", "function", "none"],
)
async def test_the_name_of_recorded_actions(settings: Settings, valkey: ValkeyServer, how: Any, name: str) -> None:
    async with client_of(site(settings, hello, identify=always, record={"action": how})) as client:
        assert (await client.get("/hello")).status_code == 200
    assert only(valkey)["action"] == name


async def test_a_failing_action_name_function_is_logged(
    settings: Settings, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    def name(scope: Scope) -> str:
        return str(scope["no such thing"])

    async with client_of(site(settings, hello, identify=always, record={"action": name})) as client:
        assert (await client.get("/hello")).status_code == 200
    assert recorded(valkey) == [] and "was not recorded" in caplog.text and "no such thing" in caplog.text


@pytest.mark.parametrize(
    "how",
    [{"observation": object()}, {"delta": {"history": {}}}, {"action": 3}],
    ids=["observation", "delta", "action"],
)
async def test_an_action_that_cannot_be_recorded_is_logged(
    settings: Settings, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture, how: dict[str, Any]
) -> None:
    async def odd(request: Request) -> Response:
        vars(request.state.awi).update(how)
        return JSONResponse({})

    async with client_of(site(settings, odd, identify=always)) as client:
        assert (await client.get("/odd")).status_code == 200
    [entry] = [one for one in caplog.records if one.name == "awictl.server"]
    assert entry.levelno == logging.ERROR and "was not recorded" in entry.message
    assert recorded(valkey) == []


async def test_failed_requests_are_recorded_as_failures(settings: Settings, valkey: ValkeyServer) -> None:
    async def broken(_: Request) -> Response:
        raise ZeroDivisionError

    async def refused(_: Request) -> Response:
        raise HTTPException(422)

    async def odd(_: Request) -> Response:
        return Response(status_code=599)

    async with client_of(site(settings, broken, refused, odd, identify=always), raises=False) as client:
        assert [(await client.get(path)).status_code for path in ("/broken", "/refused", "/odd", "/none")] == [
            500,
            422,
            599,
            404,
        ]
    found = [(one["input"]["status"], one["success"], one["observation"]) for one in recorded(valkey)]
    assert found == [
        (500, False, "500 Internal Server Error"),
        (422, False, re.sub(r".*", found[1][2], "", count=1)),  # its phrase depends on Python's version
        (599, False, "599"),
        (404, False, "404 Not Found"),
    ]
    assert found[1][2].startswith("422 Unprocessable")


async def test_an_incomplete_response_is_recorded_as_a_failure(settings: Settings, valkey: ValkeyServer) -> None:
    async def breaking(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise ZeroDivisionError

        return StreamingResponse(chunks(), media_type="text/plain")

    async with client_of(site(settings, breaking, identify=always), raises=False) as client:
        await client.get("/breaking")
    assert only(valkey)["success"] is False and only(valkey)["input"]["status"] == 200


async def test_an_incomplete_json_response_becomes_a_500(settings: Settings, valkey: ValkeyServer) -> None:
    async def breaking(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"a":'
            raise ZeroDivisionError

        return StreamingResponse(chunks(), media_type="application/json")

    async with client_of(site(settings, breaking, identify=always), raises=False) as client:
        assert (await client.get("/breaking")).status_code == 500
    assert only(valkey)["success"] is False and only(valkey)["input"]["status"] == 500


async def test_a_streamed_response(settings: Settings, valkey: ValkeyServer) -> None:
    """It is passed on chunk by chunk; values that are set while it runs are recorded."""
    exchanged = Exchange()

    async def streamed(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one "
            assert exchanged.body == b"one "
            yield b"two"
            request.state.awi.observation = "two chunks"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    app = site(settings, streamed, identify=always)
    async with client_of(app):
        await app(request_scope("/streamed"), exchanged.receive, exchanged.send)
    assert exchanged.body == b"one two" and only(valkey)["observation"] == "two chunks"


async def test_an_action_is_recorded_before_background_tasks_finish(settings: Settings, valkey: ValkeyServer) -> None:
    """The client has the response and sends the next request: actions are in the order of responses."""
    done = asyncio.Event()

    async def slow(_: Request) -> Response:
        return JSONResponse({}, background=BackgroundTask(done.wait))

    app = site(settings, slow, hello, identify=always)
    async with client_of(app) as client:
        waiting = asyncio.create_task(client.get("/slow"))
        try:
            async with asyncio.timeout(60):
                while valkey.raw.keys("AWI:SESSION:*") == [] or recorded(valkey) == []:
                    await asyncio.sleep(0.005)
            await client.get("/hello")
        finally:
            done.set()
        await waiting
    assert [action["action"] for action in recorded(valkey)] == ["GET /slow", "GET /hello"]


async def test_concurrent_requests_are_all_recorded(settings: Settings, key: Registered, valkey: ValkeyServer) -> None:
    async with client_of(site(settings, hello), **{"X-Agent-API-Key": key.secret}) as client:
        answers = await asyncio.gather(*(client.get(f"/hello?n={n}") for n in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert [action["t"] for action in all_actions(valkey)] == list(range(51))
    assert {action["input"]["endpoint"] for action in recorded(valkey)} == {f"/hello?n={n}" for n in range(50)}


async def test_a_mounted_app_is_recorded_with_its_full_path(settings: Settings, valkey: ValkeyServer) -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = scope["raw_path"] = "changed"  # as some dispatchers do
        await JSONResponse({})(scope, receive, send)

    app = Starlette(
        routes=[Mount("/api", routes=[Route("/hello", hello)]), Mount("/bare", bare)],
        middleware=[Middleware(LoadSession, settings=settings, identify=always), Middleware(RecordAction)],
    )
    async with client_of(app) as client:
        await client.get("/api/hello?a=1")
        await client.get("/bare/b")
    found = [(one["action"], one["input"]["endpoint"]) for one in recorded(valkey)]
    assert found == [("GET /api/hello", "/api/hello?a=1"), ("GET /bare/b", "/bare/b")]


# -- disconnecting clients, stopping sites


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "streaming"])
async def test_a_client_that_disconnects(
    settings: Settings, key: Registered, valkey: ValkeyServer, streams: bool
) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            reached.set()
            await gone.wait()
            yield b"two"

        if streams:
            return StreamingResponse(chunks(), media_type="text/plain")
        reached.set()
        await gone.wait()
        return JSONResponse({})

    async with served(site(settings, slow)) as uvicorn:
        _, writer = await uvicorn.send(f"POST /slow HTTP/1.1\nX-Agent-API-Key: {key.secret}\nContent-Length: 0")
        await asyncio.wait_for(reached.wait(), 60)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        gone.set()
    assert only(valkey)["action"] == "POST /slow"


async def test_a_server_that_cancels_the_app_if_the_client_disconnects(
    settings: Settings, valkey: ValkeyServer
) -> None:
    """Some servers do, and sites with a time limit for requests."""
    reached = asyncio.Event()

    async def slow(_: Request) -> Response:
        reached.set()
        await asyncio.sleep(60)
        return JSONResponse({})

    app = site(settings, slow, identify=always)
    async with client_of(app):
        task = asyncio.create_task(exchange(app, request_scope("/slow")))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert only(valkey)["success"] is False and only(valkey)["input"]["status"] == 500


async def test_an_app_that_is_cancelled_while_its_action_is_recorded(
    new_valkey: Callable[[], ValkeyServer],
) -> None:
    server = new_valkey()

    async def pausing(_: Request) -> Response:
        server.pause()
        return JSONResponse({})

    app = site(server.settings(), pausing, identify=always)
    async with client_of(app):
        exchanged = Exchange()
        task = asyncio.create_task(app(request_scope("/pausing"), exchanged.receive, exchanged.send))
        async with asyncio.timeout(60):
            while len(exchanged.sent) < 2:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
        server.resume()
    assert only(server)["action"] == "GET /pausing"


@pytest.mark.parametrize("lifespan", ["on", "off"])
async def test_a_site_that_stops_right_after_a_response_waits_for_the_action(
    new_valkey: Callable[[], ValkeyServer], lifespan: str
) -> None:
    """Redis is slow. Also on a server without lifespan support."""
    server = new_valkey()

    async def pausing(_: Request) -> Response:
        server.pause()
        return JSONResponse({"a": 1})

    app = site(server.settings(), pausing, identify=always)
    async with served(app, lifespan=lifespan) as uvicorn:
        reader, writer = await uvicorn.send("GET /pausing HTTP/1.1\nConnection: close")
        assert b"_sessionState" in await reader.read()
        writer.close()
        uvicorn.request_stop()
        await asyncio.sleep(0.2)
        assert not uvicorn.stopped
        server.resume()
    async with running(app):
        pass  # closes what stays open without one
    assert only(server)["action"] == "GET /pausing"


async def test_a_stopping_site_waits_for_actions_no_longer_than_the_limit(
    new_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record_action, "DRAIN_SECONDS", 0.05)
    server = new_valkey()

    async def pausing(_: Request) -> Response:
        server.pause()
        raise ZeroDivisionError

    async with client_of(site(server.settings(timeout=0.5), pausing, identify=always), raises=False) as client:
        await client.get("/pausing")
    assert "1 actions were not recorded" in caplog.text
    assert [one for one in asyncio.all_tasks() if "_record" in repr(one)] == []


async def test_an_app_without_a_lifespan(settings: Settings, valkey: ValkeyServer) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan here"
        await JSONResponse({})(scope, receive, send)

    outermost = wrapped(settings, app)
    async with served(outermost, lifespan="auto") as uvicorn:
        reader, writer = await uvicorn.send("GET /a HTTP/1.1\nConnection: close")
        assert b"_sessionState" in await reader.read()
        writer.close()
    await outermost._close()
    assert only(valkey)["action"] == "GET /a"


async def test_actions_are_recorded_when_an_in_process_client_has_the_response(
    settings: Settings, valkey: ValkeyServer
) -> None:
    """As in the tests of a site."""
    async with client_of(site(settings, hello, identify=always)) as client:
        for count in range(1, 4):
            state = (await client.get("/hello")).json()["_sessionState"]
            assert state["statistics"]["totalActions"] == count - 1 and len(recorded(valkey)) == count


# -- unreachable backends


async def test_redis_is_unreachable_and_returns(
    new_valkey: Callable[[], ValkeyServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = new_valkey()
    async with client_of(site(server.settings(timeout=0.5), whoami, hello, identify=always)) as client:
        assert (await client.get("/whoami")).text.startswith("sess_")
        server.kill()
        assert caplog.records == []
        for _ in range(2):
            answer = await client.get("/hello")
            assert answer.status_code == 200 and answer.json() == {"hello": "world"}
        assert [one.levelno for one in caplog.records] == [logging.WARNING] * 2
        assert "served without its session" in caplog.text and str(server.socket) in caplog.text
        server.start()
        assert (await client.get("/whoami")).text.startswith("sess_")
    assert only(server)["action"] == "GET /whoami"


async def test_redis_dies_before_the_action_is_recorded(
    new_valkey: Callable[[], ValkeyServer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awictl.sessions.update.RETRY_SECONDS", 0.2)
    server = new_valkey()

    async def killing(_: Request) -> Response:
        server.kill()
        return JSONResponse({"a": 1})

    async with client_of(site(server.settings(timeout=0.5), killing, identify=always)) as client:
        answer = await client.get("/killing")
    assert answer.status_code == 200 and "_sessionState" in answer.json()
    [entry] = caplog.records
    assert entry.levelno == logging.ERROR and "was not recorded" in entry.message
    assert vars(entry)["action"] == "GET /killing"


async def test_redis_that_does_not_respond(new_valkey: Callable[[], ValkeyServer]) -> None:
    """A request waits no longer than the timeout in the settings."""
    server = new_valkey()
    async with client_of(site(server.settings(timeout=0.2), whoami, identify=always)) as client:
        await client.get("/whoami")
        server.pause()
        assert (await within(1, client.get("/whoami"))).text == "nobody"
        server.resume()
        assert (await client.get("/whoami")).text.startswith("sess_")


@pytest.mark.usefixtures("mongo_sockets")
async def test_the_archive_is_unreachable(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    settings = valkey.settings(mongodb_uri=f"mongodb://user:secret@127.0.0.1:{free_port()}/awi", timeout=0.3)
    async with client_of(site(settings, whoami), **{"X-Agent-API-Key": "agent_" + "a" * 32}) as client:
        answer = await client.get("/whoami")
    await drop_sockets()
    assert (answer.status_code, answer.text) == (200, "nobody")
    entries = [one for one in caplog.records if one.name == "awictl.server"]
    assert [one.levelno for one in entries] == [logging.WARNING] and "secret" not in caplog.text
    assert "agent_aaaa" not in caplog.text


@pytest.mark.parametrize("how", [{"read_only": True}, {}], ids=["read-only", "no archive"])
async def test_settings_that_do_not_allow_sessions(
    valkey: ValkeyServer, caplog: pytest.LogCaptureFixture, how: dict[str, Any]
) -> None:
    own = {"identify": always} if how else {}
    async with client_of(
        site(valkey.settings(**how), whoami, **own), **{"X-Agent-API-Key": "agent_" + "a" * 32}
    ) as one:
        assert (await one.get("/whoami")).text == "nobody"
    assert "served without its session" in caplog.text


async def test_a_stored_session_that_is_invalid(
    settings: Settings, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    put(valkey, b"not JSON")
    valkey.raw.set(keys.agent_key(AGENT_ID), SESSION_ID, px=60_000)
    async with client_of(site(settings, whoami, identify=always)) as client:
        assert (await client.get("/whoami")).text == "nobody"
    assert SESSION_ID in caplog.text
    assert valkey.raw.get(session_key(SESSION_ID)) == b"not JSON"


# -- enriching responses


async def test_the_state_in_a_response(settings: Settings, valkey: ValkeyServer) -> None:
    page = {
        "route": "/posts?page=1",
        "pagination": {"cursor": 1, "total_pages": 1, "page_size": 10, "total_items": 4},
        "filters": {"tag": "ü"},
        "sort": {"key": "createdAt", "order": "desc"},
        "visible_items": [{"id": "1"}],
    }
    statistics = {"total_actions": 16, "successful_actions": 1, "failed_actions": 15}
    made = document(page_state=page, last_updated="2026-11-23T07:09:41.403Z")
    made["action_state"] = {
        "available_actions": ["list_posts", "search"],
        "disabled_actions": ["next_page", "prev_page", "delete_post"],
    }
    put(valkey, compact({**made, "statistics": {**made["statistics"], **statistics}}))
    valkey.raw.set(keys.agent_key(AGENT_ID), SESSION_ID, px=60_000)
    async with client_of(site(settings, hello, identify=always)) as client:
        answer = await client.get("/hello")
    assert answer.json() == {
        "hello": "world",
        "_sessionState": {
            "sessionId": SESSION_ID,
            "currentState": {
                "route": "/posts?page=1",
                "page": 1,
                "filters": page["filters"],
                "sort": page["sort"],
                "pagination": page["pagination"],
            },
            "availableActions": [{"action": "list_posts"}, {"action": "search"}],
            "disabledActions": [
                {"action": "next_page", "reason": "Already on last page"},
                {"action": "prev_page", "reason": "Already on first page"},
                {"action": "delete_post", "reason": "Action not available in current state"},
            ],
            "statistics": {
                "totalActions": 16,
                "successfulActions": 1,
                "failedActions": 15,
                "successRate": "6.3%",  # 6.25: JavaScript's toFixed rounds up
            },
            "lastUpdated": "2026-11-23T07:09:41.403Z",
        },
    }
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("successful", "total", "rate"),
    [
        (0, 0, "N/A"),
        (0, 3, "0.0%"),
        (3, 3, "100.0%"),
        (1, 3, "33.3%"),
        (2, 3, "66.7%"),
        (3, 80, "3.8%"),
        (1, 32, "3.1%"),
    ],
)
async def test_success_rates(settings: Settings, valkey: ValkeyServer, successful: int, total: int, rate: str) -> None:
    made = document()
    counts = {"total_actions": total, "successful_actions": successful, "failed_actions": total - successful}
    put(valkey, compact({**made, "statistics": {**made["statistics"], **counts}}))
    valkey.raw.set(keys.agent_key(AGENT_ID), SESSION_ID, px=60_000)
    async with client_of(site(settings, hello, identify=always)) as client:
        assert (await client.get("/hello")).json()["_sessionState"]["statistics"]["successRate"] == rate


def replying(
    *chunks: bytes, status: int = 200, kind: str | None = "application/json", **headers: str
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """A bare ASGI app with this response."""
    named = {"content-type": kind, **{name.replace("_", "-"): text for name, text in headers.items()}}
    sent = [(name.encode(), text.encode()) for name, text in named.items() if text is not None]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": sent})
        for chunk in chunks[:-1]:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": chunks[-1]})

    return app


async def answered(settings: Settings, app: App, scope: Scope | None = None) -> Exchange:
    """The response of an app inside `LoadSession` and `EnrichResponse`."""
    load = LoadSession(EnrichResponse(app), settings, always)
    try:
        return await exchange(load, scope or request_scope())
    finally:
        await load._close()


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}',
        b"{}",
        b" \r\n{ }\t",
        b'\n{ "a" : [1, {}] \n}\n',
        b'{"a":1.0,"a":1e2,"b":12345678901234567890123,"c":-0,"d":"\\u00e9\xc3\xa9\\/"}',
        b'{"a":"\\ud83d"}',
        b'{"nested":{"_sessionState":1},"text":"\\"_sessionState\\":"}',
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
    ids=lambda body: repr(body)[:40],
)
async def test_objects_are_enriched(settings: Settings, body: bytes) -> None:
    length = str(len(body))
    answer = await answered(settings, replying(body, content_length=length, etag='"1"', digest="sha-256=x"))
    inside = body.strip()[1:-1].strip()
    head = b"{" + inside + (b"," if inside else b"") + b'"_sessionState":{'
    assert answer.body.startswith(head) and answer.body.endswith(b"}}")
    assert json.loads(answer.body)["_sessionState"]["sessionId"].startswith("sess_")
    assert answer.headers[b"content-length"] == b"%d" % len(answer.body)
    assert not {b"etag", b"digest"} & answer.headers.keys()
    for size in (1, 3, len(body)):
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        again = await answered(settings, replying(*parts, b""))
        assert again.body.startswith(head) and again.types == ["http.response.start", "http.response.body"]
        assert again.headers[b"content-length"] == b"%d" % len(again.body)


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON", "application/problem+json", "application/hal+json ;v=1"],
)
async def test_content_types_of_json(settings: Settings, kind: str) -> None:
    answer = await answered(settings, replying(b'{"a":1}', kind=kind))
    assert b"_sessionState" in answer.body and answer.headers[b"content-type"] == kind.encode()


@pytest.mark.parametrize(
    "app",
    [
        replying(b'[{"a":1}]', etag='"1"', content_length="9"),
        replying(b'"text"'),
        replying(b"null"),
        replying(b""),
        replying(b"{"),
        replying(b"{'a': 1}"),
        replying(b'{"a":1,}'),
        replying(b'{"a":1} {"b":2}', content_length="15"),
        replying(b'{"a":1}\n{"b":2}'),
        replying(b"{a}"),
        replying(b'{"a":NaN}'),
        replying(b'{"a":"\xff"}'),
        replying(b'\xef\xbb\xbf{"a":1}'),
        replying(b'{"_sessionState":{"mine":1},"a":1}', etag='"1"'),
        replying(b'{"a":1, "\\u005fsessionState" : 0}'),
        replying(b'{"a":1}', kind="text/plain"),
        replying(b'{"a":1}', kind="application/jsonp"),
        replying(b'{"a":1}', kind="application/x-ndjson"),
        replying(b'{"a":1}', kind=None),
        replying(gzip.compress(b'{"a":1}'), content_encoding="gzip", etag='"1"'),
        replying(b'{"a":1}', content_encoding="br"),
        replying(b"", status=204, kind=None),
        replying(b"", status=204),
        replying(b"", status=304, etag='"1"'),
        replying(b'{"a":{"b":1}', status=206, content_range="bytes 0-11/20"),
        replying(b'{"a":1}', status=206, content_range="bytes 0-6/7"),
    ],
)
async def test_other_responses_are_unchanged(settings: Settings, app: App) -> None:
    direct, answer = await exchange(app, request_scope()), await answered(settings, app)
    assert answer.sent[0] == direct.sent[0] and answer.body == direct.body


async def test_responses_to_head_have_no_length_or_tag(settings: Settings) -> None:
    """The length and the tag would be those of the body without the added member."""
    scope = request_scope(method="HEAD")
    for chunks in ((b"",), (b'{"a":1}',)):
        answer = await answered(settings, replying(*chunks, content_length="7", etag='"1"'), scope)
        assert b"_sessionState" not in answer.body
        assert answer.headers == {b"content-type": b"application/json"}
        answer = await answered(settings, replying(*chunks, kind="text/plain", content_length="7", etag='"1"'), scope)
        assert answer.headers == {b"content-type": b"text/plain", b"content-length": b"7", b"etag": b'"1"'}


async def test_an_enriched_response_is_not_cached(settings: Settings) -> None:
    """It is about one agent, whatever caching headers the site sends."""
    cached = {"cache_control": "public, max-age=600", "expires": "Wed, 21 Oct 2099 07:28:00 GMT", "last_modified": "x"}
    answer = await answered(settings, replying(b'{"a":1}', **cached))
    assert answer.headers == {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(answer.body),
        b"cache-control": b"no-store",
    }
    answer = await answered(settings, replying(b"[]", **cached))
    assert answer.headers[b"cache-control"] == b"public, max-age=600"


async def test_large_responses_are_streamed_unchanged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrich_response, "MAX_ENRICHED", 100)
    exchanged = Exchange()
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in (b'{"a":"', *[b"x" * 60] * 4, b'"}'):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            seen.append(len(exchanged.body))
        await send({"type": "http.response.body"})

    load = LoadSession(EnrichResponse(app), settings, always)
    await load(request_scope(), exchanged.receive, exchanged.send)
    await load._close()
    assert seen == [0, 0, 126, 186, 246, 248]
    assert exchanged.body == b'{"a":"' + b"x" * 240 + b'"}' and exchanged.headers[b"etag"] == b'"1"'
    assert exchanged.sent[-1] == {"type": "http.response.body"}


@pytest.mark.parametrize("size", [92, 93], ids=["just so", "a byte more"])
async def test_the_largest_response_that_is_enriched(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(enrich_response, "MAX_ENRICHED", 100)
    body = b'{"a":"' + b"x" * size + b'"}'
    for chunks in ((body,), (body[:50], body[50:]), (body, b"")):
        answer = await answered(settings, replying(*chunks))
        assert (b"_sessionState" in answer.body) is (len(body) <= 100)
        assert answer.body.startswith(body[:-1])


async def test_a_response_without_headers(settings: Settings) -> None:
    """`headers` is optional in ASGI."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    answer = await answered(settings, app)
    assert answer.sent == [{"type": "http.response.start", "status": 200}, {"type": "http.response.body"}]


async def test_file_responses(settings: Settings, tmp_path: Path) -> None:
    """Also if the server receives a path and reads the file itself."""
    file = tmp_path / "data.json"
    file.write_bytes(b'{"a":1}')

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await FileResponse(file)(scope, receive, send)

    answer = await answered(settings, app)
    assert b"_sessionState" in answer.body
    answer = await answered(settings, app, request_scope(extensions={"http.response.pathsend": {}}))
    assert answer.types == ["http.response.start", "http.response.pathsend"]
    assert answer.headers[b"content-length"] == b"7"
    answer = await answered(settings, app, request_scope(headers=[(b"range", b"bytes=0-6")]))
    assert answer.body == b'{"a":1}' and answer.headers[b"content-range"] == b"bytes 0-6/7"


async def test_trailers_are_passed_on(settings: Settings) -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": b"{}"})
        await send(trailers)

    answer = await answered(settings, app)
    assert b"_sessionState" in answer.sent[1]["body"] and answer.sent[2] == trailers


# -- with other middleware


class Stamped(BaseHTTPMiddleware):
    """A typical middleware of a site."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-session"] = request.state.awi.session_id
        return response


@pytest.mark.parametrize("where", ["around", "inside", "both"])
async def test_with_middleware_of_the_site(settings: Settings, valkey: ValkeyServer, where: str) -> None:
    async def posted(request: Request) -> Response:
        return JSONResponse({"got": await request.json()})

    async def broken(_: Request) -> Response:
        raise ZeroDivisionError

    async def streamed(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"a":'
            yield b"1}"

        return StreamingResponse(chunks(), media_type="application/json")

    given = {name: [Middleware(Stamped)] for name in ("around", "inside") if where in (name, "both")}
    app = site(settings, posted, broken, streamed, identify=always, **given)  # type: ignore[arg-type]
    async with client_of(app, raises=False) as client:
        answer = await client.post("/posted", json={"b": 2})
        assert answer.json()["got"] == {"b": 2} and int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-session"] == answer.json()["_sessionState"]["sessionId"]
        answer = await client.get("/streamed")
        assert answer.json()["a"] == 1 and "_sessionState" in answer.json()
        assert (await client.get("/broken")).status_code == 500
    assert [one["input"]["status"] for one in recorded(valkey)] == [200, 200, 500]


async def test_with_compression(settings: Settings) -> None:
    squeeze = Middleware(GZipMiddleware, minimum_size=1)
    async with client_of(site(settings, hello, identify=always, around=[squeeze])) as client:
        answer = await client.get("/hello")
        assert answer.headers["content-encoding"] == "gzip" and "_sessionState" in answer.json()
    async with client_of(site(settings, hello, identify=always, inside=[squeeze])) as client:
        answer = await client.get("/hello")
        assert answer.headers["content-encoding"] == "gzip" and answer.json() == {"hello": "world"}


@pytest.mark.parametrize("one", [RecordAction, EnrichResponse])
async def test_middleware_outside_of_load_session_logs_an_error(
    settings: Settings, one: type, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """They have no effect there."""
    app = Starlette(
        routes=[Route("/hello", hello)],
        middleware=[Middleware(one), Middleware(LoadSession, settings=settings, identify=always)],
    )
    async with client_of(app) as client:
        for _ in range(3):
            assert (await client.get("/hello")).json() == {"hello": "world"}
    [entry] = caplog.records
    assert entry.levelno == logging.ERROR and one.__name__ in entry.message and "LoadSession" in entry.message


async def test_websockets_are_passed_on(
    settings: Settings, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    app = Starlette(routes=[WebSocketRoute("/echo", echo)], middleware=site(settings, identify=always).user_middleware)
    said: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    heard: list[Message] = []

    async def receive() -> Message:
        return said.pop(0)

    async def send(message: Message) -> None:
        heard.append(message)

    async with client_of(app):
        await app(request_scope("/echo", type="websocket", subprotocols=[]), receive, send)
    assert [one["type"] for one in heard] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert heard[1]["text"] == "hello" and valkey.raw.keys("*") == [] and caplog.records == []
