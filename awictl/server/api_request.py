"""One request, as its handler receives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..agents.api_keys import AgentKey
from ..sessions.get_or_create import RateLimitStatus, Visit
from .asgi import Body, Response, Scope, problem_response, url_of
from .problems import UNKNOWN_OUTCOME, unavailable
from .worker import Worker


class ApiRequest:
    """One request, with what was found out about it so far."""

    __slots__ = ("body", "degraded", "key", "op_id", "operation", "rate_limit", "scope", "worker")

    def __init__(self, worker: Worker, scope: Scope, body: Body, operation: str = "") -> None:
        self.worker = worker
        self.scope = scope
        self.body = body
        #: The operation that the request counts as for the rate limit.
        self.operation = operation
        #: The API key of the calling agent; None on a public route.
        self.key: AgentKey | None = None
        #: The agent's remaining requests; None before its session was found.
        self.rate_limit: RateLimitStatus | None = None
        #: The op_id of the update that was sent to the store; None before that.
        self.op_id: str | None = None
        #: Whether MongoDB was used because Redis is unreachable.
        self.degraded = False

    @property
    def caller(self) -> AgentKey:
        """The API key of the calling agent. Raises RuntimeError on a public route."""
        if self.key is None:
            raise RuntimeError("a public route has no calling agent")
        return self.key

    @property
    def limit(self) -> int:
        """Maximum number of requests per hour for one operation; 0: no limit."""
        default = self.worker.options.rate_limit
        return self.caller.requests_per_hour or default if default else 0

    async def visit(self, *, diff: bool = False, create: bool = True) -> Visit:
        """The session of the calling agent; a new one if it has none and `create` is true.

        The request counts against the agent's rate limit. `diff`: also read the diff of the last update. Raises
        RateLimited; NotFound if `create` is false.
        """
        key = self.caller
        visit = await self.worker.manager.agent_sessions.get_or_create(
            key.agent_id,
            key.name,
            route=url_of(self.scope),
            operation=self.operation,
            limit=self.limit,
            diff=diff,
            create=create,
        )
        self.rate_limit = visit.rate_limit
        self.degraded = visit.degraded
        return visit

    async def count(self) -> None:
        """Count a request that gets no session, because it is refused. Raises RateLimited."""
        if self.rate_limit is None and self.limit:
            agents = self.worker.manager.agent_sessions
            self.rate_limit = await agents.count(self.caller.agent_id, self.operation, self.limit)

    def interrupted(self, why: str) -> Response:
        """The response if the handler was cancelled: 503, with the op_id if an update may have been applied."""
        if self.op_id is None:
            return problem_response(unavailable(f"{why} Try again."))
        return problem_response(unavailable(f"{why} {UNKNOWN_OUTCOME}", op_id=self.op_id))


#: Answers a request, with a response or with a value to serialize as JSON.
Handler = Callable[[ApiRequest], Awaitable[Any]]
