"""The server as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..agents.api_keys import Permission
from ..document.json_codec import dumps
from ..settings import Settings
from . import handlers
from .asgi import COMMON_HEADERS, Receive, Scope, Send
from .endpoint import OTHER, Endpoint
from .json_logging import configure
from .options import ServerOptions
from .worker import Worker

SESSION = "/api/agent/session"


class Api:
    """Routes requests to their endpoints.

    The path of an endpoint is looked up before Starlette sees the request: measured, its routing and its layers of
    middleware cost a sixth of the throughput of the hot routes (`benchmarks/README.md`). What is left to it is the
    lifespan, and to say what is wrong with requests that no endpoint is for.
    """

    def __init__(self, settings: Settings, options: ServerOptions) -> None:
        self.worker = Worker(settings, options)
        endpoints = self._endpoints()
        self._by_path = {(one.method, one.route): one for one in endpoints}
        routes: dict[str, dict[str, Endpoint]] = {}
        for one in endpoints:
            routes.setdefault(one.route, {})[one.method] = one
        self._starlette = Starlette(
            routes=[Route(path, _ByMethod(methods), methods=list(methods)) for path, methods in routes.items()],
            exception_handlers={HTTPException: self._not_routed},
            lifespan=self._lifespan,
        )
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            endpoint = self._by_path.get((scope["method"], scope["path"]))
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._starlette(scope, receive, send)

    def _endpoints(self) -> list[Endpoint]:
        worker = self.worker
        read, write = Permission.READ, Permission.WRITE
        return [
            Endpoint(worker, "GET", f"{SESSION}/state", handlers.get_state, read),
            Endpoint(worker, "POST", f"{SESSION}/state", handlers.update_state, write),
            Endpoint(worker, "GET", f"{SESSION}/diff", handlers.get_diff, read),
            Endpoint(worker, "GET", f"{SESSION}/history", handlers.get_history, read),
            Endpoint(worker, "GET", f"{SESSION}/cache", handlers.get_cache, read),
            # any key will do, as in the app: to end it is no change of what the session says
            Endpoint(worker, "POST", f"{SESSION}/end", handlers.end_session),
            Endpoint(worker, "POST", "/api/agent/register", handlers.register, public=True),
            Endpoint(worker, "GET", "/api/health", handlers.health, public=True),
            Endpoint(worker, "GET", "/metrics", handlers.metrics, public=True),
            Endpoint(worker, "GET", "/openapi.json", handlers.openapi, public=True),
        ]

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self.worker.opened():
            yield

    async def _not_routed(self, request: Request, error: Exception) -> Response:
        """The answer to a request that there is no endpoint for."""
        if not isinstance(error, HTTPException):
            raise error
        self.worker.metrics.requests.labels(OTHER, OTHER, str(error.status_code)).inc()
        if error.status_code == 405:
            body = {"success": False, "error": "Method not allowed", "message": "See /openapi.json"}
        else:
            body = {"success": False, "error": "Not found", "message": "There is nothing here. See /openapi.json"}
        headers = {name.decode(): value.decode() for name, value in COMMON_HEADERS} | dict(error.headers or {})
        headers["connection"] = "close"  # whatever body there is stays unread
        return Response(dumps(body), error.status_code, headers, "application/json")


class _ByMethod:
    """The endpoints of one path, for Starlette: it adds HEAD to GET."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._endpoints[method](scope, receive, send)


def create_app(settings: Settings, options: ServerOptions, level: int = logging.WARNING) -> Api:
    """The application of one worker, logging as the server does."""
    configure(level)
    return Api(settings, options)
