"""Loads the calling agent's session for each request of a site."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from ...document.keys import check_agent_id
from ...errors import AwiError
from ...sessions.manager import StateManager
from ...settings import Settings
from ..addresses import UnknownKeyLimit
from ..asgi import App, Receive, Scope, Send, headers_of, problem_response, url_of
from ..auth import AUTHORIZATION, KEY_HEADER, authenticate, authorize
from ..options import UNKNOWN_KEYS_PER_MINUTE
from ..problems import HTTPProblem
from .agent_request import STATE_NAME, Agent, AgentRequest
from .lifespan import run_lifespan

log = logging.getLogger("awictl.server")


class LoadSession:
    """Loads the session of the calling agent, or creates one. The outermost of the three.

    `identify`: returns the calling agent for a scope, or None, for sites with their own authentication. By default, the
    agent is found by the API key in `X-Agent-API-Key`, or in `Authorization`, with or without `Bearer`, if it starts
    with `agent_`; a request with an invalid key is answered with 401 or 403, or with 429 after `unknown_keys` requests
    with unknown keys per minute from one address (the client of the scope); 0 disables that limit.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        identify: Callable[[Scope], Awaitable[Agent | None]] | None = None,
        unknown_keys: int = UNKNOWN_KEYS_PER_MINUTE,
    ) -> None:
        self._app = app
        self._settings = settings
        self._identify = identify or self._by_key
        self._unknown_keys = UnknownKeyLimit(unknown_keys)
        self._manager: StateManager | None = None
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(self._app, scope, receive, send, self._close)
            return
        if scope["type"] == "http":
            try:
                found = await self._load(scope)
            except HTTPProblem as problem:
                await problem_response(problem).send(send)
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
            visit = await manager.agent_sessions.get_or_create(agent.agent_id, agent.name, route=url_of(scope))
            head = copy.deepcopy(visit.head)
            return AgentRequest(manager, agent, visit.session_id, head, degraded=visit.degraded)
        except AwiError as error:
            log.warning("request is served without its session: %s", error, extra={"kind": type(error).__name__})
            return None

    async def _by_key(self, scope: Scope) -> Agent | None:
        headers = headers_of(scope)
        token = headers.get(AUTHORIZATION, b"").lower()
        if KEY_HEADER not in headers and not token.startswith((b"agent_", b"bearer agent_")):
            return None  # no token, or one of the site's own
        key = await authenticate(headers, (await self._opened()).agents, self._unknown_keys, scope)
        authorize(key)
        return key

    async def _opened(self) -> StateManager:
        if self._manager is None:
            async with self._opening:
                if self._manager is None:
                    manager = await self._open.enter_async_context(StateManager.open(self._settings))
                    await self._open.enter_async_context(manager.journal_watched())
                    self._manager = manager
        return self._manager

    async def _close(self) -> None:
        self._manager = None
        await self._open.aclose()
