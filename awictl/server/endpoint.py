"""The steps around every handler: time limit, authentication, metrics, access log, and errors as responses."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ..document.token_estimate import estimated_tokens
from ..errors import AwiError, RateLimited
from ..util.http.connections import DRAINING
from .api_request import ApiRequest
from .asgi import (
    DEGRADED,
    Body,
    Receive,
    Response,
    Scope,
    Send,
    headers_of,
    json_response,
    limit_headers,
    problem_response,
)
from .auth import authenticate, authorize
from .problems import HTTPProblem, problem_of
from .request_limit import NO_AGENT
from .routes import Route
from .worker import Worker

#: Statuses of refusals that count towards the rate limit, too.
COUNTED = frozenset({400, 403, 408, 413})

log = logging.getLogger("awictl.server")
access = logging.getLogger("awictl.access")


class Endpoint:
    """A route of one worker, as an ASGI application."""

    def __init__(self, worker: Worker, route: Route) -> None:
        self._worker = worker
        self._route = route
        metrics = worker.metrics
        self._seconds = metrics.seconds.labels(route.path)
        self._in_flight = metrics.in_flight
        self._requests = metrics.requests
        #: Of the routes whose responses are what an agent reads of its session.
        self._tokens = metrics.tokens.labels(route.method, route.path) if route.operation else None
        self._counters: dict[tuple[str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._in_flight.inc()
        method, status = scope["method"], 0
        try:
            response = await self._respond(scope, receive)
            status = response.status
            await response.send(send, head_only=method == "HEAD")
            if self._tokens is not None and status == 200 and method != "HEAD":
                self._tokens.inc(estimated_tokens(len(response.body)))
        finally:
            self._in_flight.dec()
            seconds = time.perf_counter() - started
            self._seconds.observe(seconds)
            counter = self._counters.get((method, status))
            if counter is None:
                counter = self._counters[method, status] = self._requests.labels(method, self._route.path, str(status))
            counter.inc()
            if self._worker.options.access_log:
                path = self._route.path
                extra = {"method": method, "route": path, "status": status, "ms": round(seconds * 1000, 2)}
                access.info("%s %s %s", method, path, status, extra=extra)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        options = self._worker.options
        headers = headers_of(scope)
        body = Body(headers, receive, options.max_body_bytes, options.body_seconds)
        request = ApiRequest(self._worker, scope, body, self._route.operation)
        try:
            async with asyncio.timeout(options.request_seconds):
                response = await self._answer(request, headers)
        except HTTPProblem as problem:
            response = problem_response(problem)
        except TimeoutError:
            response = request.interrupted("The request took too long.")
        except asyncio.CancelledError:  # uvicorn cancels requests that outlast timeout_graceful_shutdown
            response = request.interrupted("The server is stopping.")
            response.headers.append((b"connection", b"close"))
            return response
        except Exception:
            log.exception("unexpected error in a request", extra={"route": self._route.path})
            response = problem_response(
                HTTPProblem(500, "Internal error", "An unexpected error occurred. It was logged.")
            )
        if request.rate_limit is not None:
            response.headers += limit_headers(request.rate_limit, time.time())
        if request.degraded:
            response.headers.append(DEGRADED)
            self._worker.metrics.degraded.inc()
        scope[DRAINING] = True
        if await body.left_unread():
            response.headers.append((b"connection", b"close"))
        return response

    async def _answer(self, request: ApiRequest, headers: dict[bytes, bytes]) -> Response:
        """The response of the handler. Raises HTTPProblem; refusals count towards the rate limit, too."""
        try:
            return await self._handle(request, headers)
        except HTTPProblem as problem:
            if request.key is not None and problem.status in COUNTED:
                try:
                    await request.count()
                except RateLimited as error:
                    raise problem_of(error) from None
                except AwiError as error:
                    log.warning("a refused request was not counted: %s", error)
            raise

    async def _handle(self, request: ApiRequest, headers: dict[bytes, bytes]) -> Response:
        worker, route = self._worker, self._route
        try:
            if not route.public:
                request.key = await authenticate(headers, worker.agents, worker.unknown_keys, request.scope)
                authorize(request.key, route.permission)
                worker.agents.count(request.key, route.operation)
            if route.takes_slot:
                agent_id = request.caller.agent_id
                with worker.agent_requests.counted(agent_id):
                    if route.method == "POST":
                        await request.body.read()  # before: a slow sender takes no slot
                    async with worker.agent_slots.taken(agent_id):
                        value = await route.handler(request)
            elif route.request is not None:
                with worker.agent_requests.counted(NO_AGENT):
                    value = await route.handler(request)
            else:
                value = await route.handler(request)
        except AwiError as error:
            raise problem_of(error) from error
        if isinstance(value, Response):
            return value
        return json_response({**value, "degraded": True} if request.degraded else value)
