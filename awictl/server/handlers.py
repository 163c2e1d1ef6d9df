"""The handler of each route.

The OpenAPI document takes an operation's id from the name of its handler, and the summary from the docstring.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime

from ..agents.api_keys import Permission
from ..document import keys
from ..document.schema import as_object
from ..document.timestamps import timestamp
from ..errors import AwiError, Unreachable
from . import response_bodies
from . import response_types as types
from .api_request import ApiRequest
from .asgi import QueryNumber, Response, json_response
from .options import SITE_FIELDS
from .problems import HTTPProblem
from .request_bodies import RegistrationRequest, UpdateRequest, validated

log = logging.getLogger("awictl.server")

#: Seconds that an agent waits for its session to be archived; after that, a sweep archives it.
ARCHIVE_SECONDS = 5.0
#: Seconds after which a health check reports a backend as disconnected.
HEALTH_SECONDS = 2.0

#: The page of a history.
LIMIT = QueryNumber("limit", "maximum number of actions", default=20, maximum=1_000)
OFFSET = QueryNumber("offset", "number of the newest actions to skip", default=0, maximum=10_000_000)


async def get_state(request: ApiRequest) -> Response:
    """Get the state of the session, without its trajectory."""
    return Response(200, request.worker.state_responses.body(await request.visit("state")))


async def get_diff(request: ApiRequest) -> types.DiffResponse | types.NoDiffResponse:
    """Get what the last update changed."""
    visit = await request.visit("diff", diff=True)
    return response_bodies.diff(visit.last_delta)


async def get_history(request: ApiRequest) -> types.HistoryResponse:
    """Get a page of the trajectory."""
    limit, offset = LIMIT.of(request.scope), OFFSET.of(request.scope)
    visit = await request.visit("history")
    page = await request.worker.manager.get_action_history(visit.session_id, limit, offset)
    return response_bodies.history(visit.session_id, page)


async def get_cache(request: ApiRequest) -> types.CacheResponse:
    """Get the first cached results of the session's current query."""
    visit = await request.visit("cache")
    cache = as_object(visit.head.get("query_cache"))
    cache_key = cache.get("active_cache_key")
    results = None
    if isinstance(cache_key, str):
        results = await request.worker.manager.get_cached_query_results(cache_key)
    return response_bodies.cached(cache_key, cache.get("cached_at"), results)


async def update_state(request: ApiRequest) -> types.UpdateResponse:
    """Merge a delta into the state and record the action, once per `op_id`."""
    update = validated(await request.body.json(), UpdateRequest)
    for name in SITE_FIELDS:
        if name in update.delta:
            raise HTTPProblem(403, "Permission denied", f"Only the site can change {name}; remove it from the delta.")
    visit = await request.visit("update")
    fresh = keys.new_op_id()
    request.op_id = update.op_id or fresh
    updated = await request.worker.manager.apply(
        visit.session_id, update.delta, update.entry(), base=visit.base, fresh_op_id=fresh
    )
    return {
        **response_bodies.state(visit.session_id, updated.head, datetime.now(UTC)),
        "action": updated.action,
        "op_id": updated.op_id,
        "applied": updated.action is not None,
    }


async def end_session(request: ApiRequest) -> types.EndResponse:
    """End the session for the agent and archive it."""
    await request.body.read()
    manager = request.worker.manager
    visit = await request.visit("end", create=False)
    await manager.record_end(visit.session_id)
    await manager.agent_sessions.unmap(request.caller.agent_id, visit.session_id)
    archived = False
    if manager.archive is not None:
        try:
            async with asyncio.timeout(ARCHIVE_SECONDS):
                await manager.end_session(visit.session_id)
            archived = True
        except (AwiError, TimeoutError) as error:
            log.warning("%s has ended, but is not archived yet: %s", visit.session_id, error)
            request.worker.metrics.not_archived.inc()
    return {
        "success": True,
        "message": "Session ended successfully",
        "sessionId": visit.session_id,
        "archived": archived,
        "archivedToMongoDB": archived and request.worker.archives_to_mongodb,
        "timestamp": timestamp(),
    }


async def register(request: ApiRequest) -> Response:
    """Register a new agent and create its API key, if the operator allows it."""
    worker = request.worker
    if not worker.options.allow_register:
        raise HTTPProblem(403, "Registration is off", "Ask the operator for a key: `awictl agent register NAME`")
    body = await request.body.json()
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise HTTPProblem(400, "Agent name is required", "name must be a non-empty string.")
    agent = validated(body, RegistrationRequest)
    made = await worker.agents.register(
        agent.name, permissions=agent.permissions or (Permission.READ,), description=agent.description
    )
    return json_response(response_bodies.registered(made.key, made.secret, worker.options.rate_limit), 201)


async def get_health(request: ApiRequest) -> Response:
    """Check whether Redis and the archive respond."""
    manager = request.worker.manager
    archive = manager.archive
    redis, archived = await asyncio.gather(
        _status(manager.store.ping()), _status(archive.ping() if archive is not None else None)
    )
    to_mongodb = request.worker.archives_to_mongodb
    body: types.HealthResponse = {
        "success": not {redis, archived} & {"disconnected", "error"},
        "services": {"redis": redis, "mongodb": archived if to_mongodb else "disabled"},
        "timestamp": timestamp(),
    }
    if not to_mongodb:
        body["services"]["archive"] = archived
    return json_response(body, 200 if body["success"] else 503)


async def _status(ping: Awaitable[object] | None) -> types.Status:
    if ping is None:
        return "disabled"
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await ping
    except (Unreachable, TimeoutError):
        return "disconnected"
    except AwiError as error:
        log.warning("health check failed: %s", error)
        return "error"
    return "connected"


async def get_metrics(request: ApiRequest) -> Response:
    """Get metrics in the Prometheus text format."""
    return Response(200, request.worker.metrics.text(), content_type=request.worker.metrics.content_type)


async def get_description(request: ApiRequest) -> Response:
    """Get this description of the API."""
    return Response(200, request.worker.openapi)
