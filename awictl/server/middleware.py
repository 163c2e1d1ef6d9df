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
from http import HTTPStatus
from typing import Any

from ..document.keys import check_agent_id
from ..errors import AwiError
from ..sessions.manager import StateManager
from ..settings import Settings
from .agent_request import STATE_NAME, Agent, AgentRequest, WithSession, agent_request
from .asgi import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    headers_of,
    masked_url,
    problem_reply,
    url_of,
)
from .auth import KEY_HEADER, identify
from .enriching import EnrichResponse
from .problems import Problem

__all__ = ["Agent", "AgentRequest", "EnrichResponse", "LoadSession", "RecordAction", "agent_request"]

log = logging.getLogger("awictl.server")

#: Seconds that actions have to be recorded when the site stops.
DRAIN_SECONDS = 10.0


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
            visit = await manager.visits.visit(agent.agent_id, agent.name, route=url_of(scope))
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


class RecordAction(WithSession):
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
            await _with_last_words(self.app, scope, receive, send, self._drain)
            return
        found = self.found(scope)
        if found is None:
            await self.app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value  # what the server makes of an app that raises
        asked = {"method": scope["method"], "endpoint": url_of(scope)}
        name = masked_url(f"{scope['method']} {scope['path']}")
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
            await self.app(scope, receive, sent)
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


async def _with_last_words(
    app: App, scope: Scope, receive: Receive, send: Send, last: Callable[[], Awaitable[None]]
) -> None:
    """Run an app's lifespan; `last` is done once it has shut down, before the server is told."""

    async def sent(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await last()
        await send(message)

    await app(scope, receive, sent)


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
