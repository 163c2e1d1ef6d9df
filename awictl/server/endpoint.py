"""What every endpoint does around its handler: time limit, caller, counting, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ..agents.api_keys import AgentKey, Permission
from ..errors import AwiError
from ..sessions.get_or_create import RateLimitStatus, Visit
from .asgi import (
    Body,
    Receive,
    Response,
    Scope,
    Send,
    headers_of,
    json_response,
    limit_headers,
    problem_response,
    url_of,
)
from .auth import identify
from .problems import UNKNOWN_OUTCOME, HTTPProblem, problem_of, unavailable

if TYPE_CHECKING:
    from .worker import Worker

log = logging.getLogger("awictl.server")
access = logging.getLogger("awictl.access")

#: The label of what is no route.
OTHER = "other"


class ApiRequest:
    """One request, for its handler."""

    __slots__ = ("body", "key", "op_id", "rate_limit", "scope", "worker")

    def __init__(self, worker: Worker, scope: Scope, body: Body) -> None:
        self.worker = worker
        self.scope = scope
        self.body = body
        #: The key of the calling agent; None where the endpoint asks for nobody.
        self.key: AgentKey | None = None
        #: How many requests are left, once that is known.
        self.rate_limit: RateLimitStatus | None = None
        #: What the update is called that this request makes, once it is on its way.
        self.op_id: str | None = None

    @property
    def caller(self) -> AgentKey:
        """The key of the calling agent, of an endpoint that asks for one."""
        if self.key is None:
            raise RuntimeError("this endpoint asks for nobody")
        return self.key

    async def visit(self, operation: str, *, diff: bool = False, create: bool = True) -> Visit:
        """The session of the calling agent; a new one where it has none, unless `create` is false."""
        key = self.caller
        limit = key.requests_per_hour or self.worker.options.rate_limit
        visit = await self.worker.manager.agent_sessions.get_or_create(
            key.agent_id,
            key.name,
            route=url_of(self.scope),
            operation=operation,
            limit=limit if self.worker.options.rate_limit else 0,
            diff=diff,
            create=create,
        )
        self.rate_limit = visit.rate_limit
        return visit

    def given_up(self, why: str) -> Response:
        """The answer where nobody waits for the handler any more."""
        if self.op_id is None:
            return problem_response(unavailable(f"{why} Try again."))
        return problem_response(unavailable(f"{why} {UNKNOWN_OUTCOME}", op_id=self.op_id))


Handler = Callable[[ApiRequest], Awaitable[Any]]


class Endpoint:
    """An endpoint, as an ASGI application."""

    def __init__(
        self,
        worker: Worker,
        method: str,
        route: str,
        handler: Handler,
        permission: Permission | None = None,
        *,
        public: bool = False,
    ) -> None:
        self.method = method
        self.route = route
        self._worker = worker
        self._handler = handler
        self._permission = permission
        self._public = public
        metrics = worker.metrics
        self._seconds = metrics.seconds.labels(route)
        self._in_flight = metrics.in_flight
        self._requests = metrics.requests
        self._counters: dict[tuple[str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._in_flight.inc()
        status = 0
        try:
            reply = await self._reply(scope, receive)
            status = reply.status
            await reply.send(send, head_only=scope["method"] == "HEAD")
        finally:
            self._in_flight.dec()
            seconds = time.perf_counter() - started
            self._seconds.observe(seconds)
            method = scope["method"] if scope["method"] in (self.method, "HEAD") else OTHER
            counter = self._counters.get((method, status))
            if counter is None:
                counter = self._counters[method, status] = self._requests.labels(method, self.route, str(status))
            counter.inc()
            if self._worker.options.access_log:
                shown = {"method": method, "route": self.route, "status": status, "ms": round(seconds * 1000, 2)}
                access.info("%s %s %s", method, self.route, status, extra=shown)

    async def _reply(self, scope: Scope, receive: Receive) -> Response:
        options = self._worker.options
        headers = headers_of(scope)
        body = Body(headers, receive, options.max_body_bytes, options.body_seconds)
        call = ApiRequest(self._worker, scope, body)
        try:
            async with asyncio.timeout(options.request_seconds):
                if not self._public:
                    call.key = await identify(headers, self._worker.agents, self._permission)
                value = await self._handler(call)
            reply = value if isinstance(value, Response) else json_response(value)
        except HTTPProblem as problem:
            reply = problem_response(problem)
        except AwiError as error:
            reply = problem_response(problem_of(error))
        except TimeoutError:
            reply = call.given_up("The request took too long.")
        except asyncio.CancelledError:  # which is how uvicorn ends what the grace period was too short for
            reply = call.given_up("The server is stopping.")
            reply.headers.append((b"connection", b"close"))
            return reply
        except Exception:
            log.exception("a request failed unexpectedly", extra={"route": self.route})
            reply = problem_response(HTTPProblem(500, "Internal error", "An unexpected error occurred. It was logged."))
        if call.rate_limit is not None:
            reply.headers += limit_headers(call.rate_limit, time.time())
        if await body.left_behind():
            reply.headers.append((b"connection", b"close"))
        return reply
