"""The app's three middleware functions, for any ASGI site (Starlette, FastAPI, …).

    from awictl import Settings
    from awictl.server.middleware import EnrichResponse, LoadSession, RecordAction

    app = Starlette(routes=…, middleware=[
        Middleware(LoadSession, settings=Settings.load()),   # request.state.awi: the agent's session, or None
        Middleware(RecordAction),                            # after each response: an action in the trajectory
        Middleware(EnrichResponse),                          # JSON objects get `_sessionState`
    ])

A request without an agent's key goes on without a session, and so does every request while Redis is away.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

from ..agents import without_secrets
from ..errors import AwiError, InvalidData
from ..manager import StateManager
from ..settings import Settings
from ..state.codec import dumps, loads
from ..state.keys import check_agent_id
from . import views
from .auth import KEY_HEADER, identify
from .calls import App, Message, Receive, Scope, Send, headers_of, problem_reply, url_of
from .problems import Problem

log = logging.getLogger("awictl.server")

#: What responses are enriched with.
STATE_MEMBER = "_sessionState"
#: Where a request's state holds the session: `request.state.awi`.
STATE_NAME = "awi"
#: Longest URL that is recorded, in characters.
MAX_URL = 2_048
#: Seconds that actions have to be recorded when the site stops.
DRAIN_SECONDS = 10.0
#: Largest JSON response that is enriched, in bytes; larger ones pass as they are.
MAX_ENRICHED = 4_194_304


class Agent(Protocol):
    """Who calls, as far as sessions go: an `AgentKey`, or what a site with its own authentication has."""

    @property
    def agent_id(self) -> str: ...

    @property
    def name(self) -> str: ...


@dataclass
class AgentRequest:
    """What `request.state.awi` holds: the calling agent's session, and what is to be recorded of this request."""

    manager: StateManager
    agent: Agent
    session_id: str
    #: The session document without its trajectory. Put a newer one here after an update of your own.
    head: dict[str, Any]
    #: What the action is called; the method and the path where it is not said.
    action: str | None = None
    #: What the agent was told, in a few words; the status where it is not said.
    observation: Any = None
    #: What the request changed in the session.
    delta: dict[str, Any] = field(default_factory=dict)
    #: Whether it is recorded at all.
    record: bool = True


def agent_request(scope: Scope) -> AgentRequest | None:
    """The calling agent's session, where `LoadSession` found one."""
    found: AgentRequest | None = scope.get("state", {}).get(STATE_NAME)
    return found


class LoadSession:
    """Loads the session of the calling agent; a new one where it has none. The outermost of the three.

    `identify`: tells who calls from the scope, for sites that authenticate agents on their own; otherwise the key in
    `X-Agent-API-Key` (or a bearer token that is one) does, and a request with a key that is not valid is answered with
    401 or 403.
    """

    def __init__(
        self, app: App, settings: Settings, identify: Callable[[Scope], Awaitable[Agent | None]] | None = None
    ) -> None:
        self._app = app
        self._settings = settings
        self._identify = identify or self._by_key
        self._manager: StateManager | None = None
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _with_last_words(self._app, scope, receive, send, self._close)
            return
        if scope["type"] == "http":
            try:
                found = await self._load(scope)
            except Problem as problem:
                await problem_reply(problem).send(send)
                return
            scope.setdefault("state", {})[STATE_NAME] = found
        await self._app(scope, receive, send)

    async def _load(self, scope: Scope) -> AgentRequest | None:
        try:
            agent = await self._identify(scope)
            if agent is None:
                return None
            check_agent_id(agent.agent_id)
            manager = await self._opened()
            visit = await manager.visits.visit(agent.agent_id, agent.name, route=_url(scope))
            return AgentRequest(manager, agent, visit.session_id, copy.deepcopy(visit.head))
        except AwiError as error:
            log.warning("a request goes on without its session: %s", error, extra={"kind": type(error).__name__})
            return None

    async def _by_key(self, scope: Scope) -> Agent | None:
        headers = headers_of(scope)
        if KEY_HEADER not in headers and not headers.get(b"authorization", b"").lower().startswith(b"bearer agent_"):
            return None  # some token of the site's own, or none
        return await identify(headers, (await self._opened()).agents)

    async def _opened(self) -> StateManager:
        if self._manager is None:
            async with self._opening:
                if self._manager is None:
                    self._manager = await self._open.enter_async_context(StateManager.open(self._settings))
        return self._manager

    async def _close(self) -> None:
        self._manager = None
        await self._open.aclose()


class _WithSession:
    """A middleware that works on what `LoadSession` found; it has to be inside of it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._told = False

    def _found(self, scope: Scope) -> AgentRequest | None:
        if scope["type"] != "http":
            return None
        if STATE_NAME not in scope.get("state", {}) and not self._told:
            self._told = True
            log.error("%s does nothing: LoadSession is not around it", type(self).__name__)
        return agent_request(scope)


class RecordAction(_WithSession):
    """Records each request of an agent as an action of its session, once the response is sent.

    Method, endpoint, status and observation are recorded, never a body. It is done by a task of its own, which goes on
    where the client hangs up; stopping, the site waits for it. A response that breaks off is a failure.
    """

    def __init__(self, app: App, action: str | Callable[[Scope], str] | None = None) -> None:
        super().__init__(app)
        self._action = action
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _with_last_words(self._app, scope, receive, send, self._drain)
            return
        found = self._found(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value  # what the server makes of an app that raises
        asked = {"method": scope["method"], "endpoint": _url(scope)}
        name = without_secrets(f"{scope['method']} {scope['path']}")[:MAX_URL]
        recording: asyncio.Task[None] | None = None

        def record(*, broken: bool = False) -> None:
            nonlocal recording
            if recording is None:
                entry: dict[str, Any] = {
                    "action": name,
                    "input": {**asked, "status": status},
                    "success": status < HTTPStatus.BAD_REQUEST and not broken,
                    "observation": _phrase(status),
                }
                recording = asyncio.create_task(self._record(found, scope, entry))
                self._tasks.add(recording)
                recording.add_done_callback(self._tasks.discard)

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                record()  # now: the app may have work in the background, while the client goes on

        try:
            await self._app(scope, receive, sent)
        except BaseException as error:
            record(broken=isinstance(error, Exception))
            raise
        record()
        if recording is not None:
            # the server waits for this one too when it stops, where it runs no lifespan
            await asyncio.shield(recording)

    async def _record(self, found: AgentRequest, scope: Scope, entry: dict[str, Any]) -> None:
        if not found.record:
            return
        try:
            named = self._action(scope) if callable(self._action) else self._action
            entry["action"] = found.action or named or entry["action"]
            if found.observation is not None:
                entry["observation"] = found.observation
            await found.manager.update_state_with_delta(found.session_id, found.delta, entry)
        except AwiError as error:
            log.error(
                "an action of %s was not recorded: %s", found.session_id, error, extra={"action": entry["action"]}
            )
        except Exception:
            log.exception("an action of %s was not recorded", found.session_id)

    async def _drain(self) -> None:
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
            if left:
                log.error("%d actions were not recorded: the site stops", len(left))
                for task in left:
                    task.cancel()
                await asyncio.wait(left)


class EnrichResponse(_WithSession):
    """Adds `_sessionState` to responses that are JSON objects: where the agent is, and what it can do there.

    The body stays as it is, byte for byte, but for what is added at its end. What has the state in it is not to be
    cached. All else passes: other kinds, arrays, what is compressed already, parts, and what is too large.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Enriching(found, send, scope["method"] == "HEAD").send)


class _Enriching:
    """One response, held back until all of it is there, if it is JSON."""

    def __init__(self, found: AgentRequest, send: Send, bodiless: bool) -> None:
        self._found = found
        self._send = send
        self._bodiless = bodiless
        #: The beginning of the response, while it is held back.
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _may_be_enriched(message):
            if not self._bodiless:
                self._start = message
                return
            # the length of a body that is not sent, and its tag, would be those of another one
            message = _with_headers(message, _OUTDATED)
        if self._start is None:
            await self._send(message)
        elif message["type"] != "http.response.body":
            await self._pass_on(message)  # a file that the server sends, say
        else:
            self._body += message.get("body", b"")
            more = bool(message.get("more_body"))
            if len(self._body) > MAX_ENRICHED:
                await self._pass_on({"type": "http.response.body", "body": bytes(self._body), "more_body": more})
            elif not more:
                await self._finish(self._start)

    async def _pass_on(self, message: Message) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)
        await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = self._enriched()
        if body is not None:
            length = (b"content-length", b"%d" % len(body))
            self._start = _with_headers(start, _OUTDATED | _CACHING, length, (b"cache-control", b"no-store"))
        await self._pass_on({"type": "http.response.body", "body": bytes(self._body) if body is None else body})

    def _enriched(self) -> bytes | None:
        """The body with the state in it; None where it is no JSON object, or has something of that name."""
        body = bytes(self._body).strip(b" \t\r\n")
        if not body.startswith(b"{"):
            return None
        try:
            value = loads(body)
        except InvalidData:
            return None
        if STATE_MEMBER in value:
            return None
        inside = body[1:-1].strip(b" \t\r\n")
        state = dumps(views.session_state(self._found.session_id, self._found.head))
        return b"".join((b"{", inside, b"," if inside else b"", b'"%s":' % STATE_MEMBER.encode(), state, b"}"))


#: Headers that do not fit the body any more once something was added.
_OUTDATED = frozenset({b"content-length", b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest"})
#: Headers that say how long others may be shown the same; with the state of an agent in it, nobody may.
_CACHING = frozenset({b"cache-control", b"expires", b"last-modified"})


def _with_headers(start: Message, without: frozenset[bytes], *more: tuple[bytes, bytes]) -> Message:
    kept = [(name, value) for name, value in start.get("headers", ()) if name.lower() not in without]
    return {**start, "headers": [*kept, *more]}


def _may_be_enriched(start: Message) -> bool:
    """Whether it is JSON as it is, and not a part of it."""
    headers = {name.lower(): value.lower() for name, value in start.get("headers", ())}
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip()
    return (
        (kind == b"application/json" or kind.endswith(b"+json"))
        and b"content-encoding" not in headers
        and start["status"] not in _BODILESS_OR_PARTIAL
    )


_BODILESS_OR_PARTIAL = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED})


async def _with_last_words(
    app: App, scope: Scope, receive: Receive, send: Send, last: Callable[[], Awaitable[None]]
) -> None:
    """Run an app's lifespan; `last` is done once it has shut down, before the server is told."""

    async def sent(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await last()
        await send(message)

    await app(scope, receive, sent)


def _url(scope: Scope) -> str:
    """The URL without API keys; decoded where a key in it is escaped."""
    url = without_secrets(url_of(scope))
    if "%" in url:
        plain = unquote(url)
        masked = without_secrets(plain)
        url = masked if masked != plain else url
    return url[:MAX_URL]


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
