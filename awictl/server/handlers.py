"""The handler of each route.

The OpenAPI document takes an operation's id from the name of its handler, and the summary from the docstring.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from ..agents.api_keys import Permission
from ..document import keys
from ..document.schema import as_object
from ..document.timestamps import timestamp
from ..errors import AwiError, TooLarge, Unreachable
from . import response_bodies
from . import response_types as types
from .addresses import client_address
from .api_request import ApiRequest
from .asgi import QueryNumber, Response, json_response
from .options import SITE_FIELDS, UNUSED_KEY_MS
from .problems import HTTPProblem
from .request_bodies import RegistrationRequest, UpdateRequest, validated

log = logging.getLogger("awictl.server")

#: Seconds that an agent waits for its session to be archived; after that, a sweep archives it.
ARCHIVE_SECONDS = 5.0

#: Seconds that a scrape of the metrics waits for the journal.
JOURNAL_SECONDS = 1.0
#: Maximum number of bytes of a session that are read for a page of its history.
MAX_HISTORY_BYTES = 8_388_608
#: The page of a history.
LIMIT = QueryNumber("limit", "maximum number of actions", default=20, maximum=1_000)
OFFSET = QueryNumber("offset", "number of the newest actions to skip", default=0, maximum=10_000_000)


async def get_state(request: ApiRequest) -> Response:
    """Get the state of the session, without its trajectory."""
    return Response(200, request.worker.state_responses.body(await request.visit()))


async def get_diff(request: ApiRequest) -> types.DiffResponse | types.NoDiffResponse:
    """Get what the last update changed."""
    visit = await request.visit(diff=True)
    return response_bodies.diff(visit.last_delta)


async def get_history(request: ApiRequest) -> types.HistoryResponse:
    """Get a page of the trajectory."""
    limit, offset = LIMIT.of(request.scope), OFFSET.of(request.scope)
    visit = await request.visit()
    manager = request.worker.manager
    try:
        page = await manager.get_action_history(
            visit.session_id, limit, offset, max_bytes=MAX_HISTORY_BYTES, journaled=visit.degraded
        )
    except TooLarge:
        why = f"These actions, with those that are newer, have more than {MAX_HISTORY_BYTES:,} bytes. Ask for fewer."
        raise HTTPProblem(413, "Too large", why) from None
    request.degraded |= page.degraded
    return response_bodies.history(visit.session_id, page)


async def get_cache(request: ApiRequest) -> types.CacheResponse:
    """Get the first cached results of the session's current query."""
    visit = await request.visit()
    cache = as_object(visit.head.get("query_cache"))
    cache_key = cache.get("active_cache_key")
    results = None
    if isinstance(cache_key, str):
        try:
            results = await request.worker.manager.get_cached_query_results(cache_key)
        except Unreachable:
            if not request.degraded:
                raise
    return response_bodies.cached(cache_key, cache.get("cached_at"), results)


async def update_state(request: ApiRequest) -> types.UpdateResponse:
    """Merge a delta into the state and record the action, once per `op_id`."""
    update = validated(await request.body.json(), UpdateRequest)
    for name in SITE_FIELDS:
        if name in update.delta:
            raise HTTPProblem(403, "Permission denied", f"Only the site can change {name}; remove it from the delta.")
    visit = await request.visit()
    manager = request.worker.manager
    if update.op_id is not None:
        earlier = await manager.earlier_sessions.find(request.caller.agent_id, visit, update.op_id)
        if earlier is not None:
            return {
                **response_bodies.state(visit.session_id, visit.head, datetime.now(UTC)),
                "action": None,
                "op_id": update.op_id,
                "applied": False,
                "appliedTo": earlier,
            }
    fresh = keys.new_op_id()
    request.op_id = update.op_id or fresh
    updated = await manager.apply(visit.session_id, update.delta, update.entry(), base=visit.base, fresh_op_id=fresh)
    request.degraded = updated.degraded  # Redis may be back since the visit
    return {
        **response_bodies.state(visit.session_id, updated.head, datetime.now(UTC)),
        "action": updated.action,
        "op_id": updated.op_id,
        "applied": updated.action is not None,
        "appliedTo": None,
    }


async def end_session(request: ApiRequest) -> types.EndResponse:
    """End the session for the agent and archive it."""
    await request.body.read()
    manager = request.worker.manager
    visit = await request.visit(create=False)
    request.degraded = await manager.record_end(visit.session_id)
    await manager.earlier_sessions.ended(request.caller.agent_id, visit.session_id)
    await manager.agent_sessions.unmap(request.caller.agent_id, visit.session_id)
    archived = False
    if manager.archive is not None and not request.degraded:
        try:
            async with asyncio.timeout(ARCHIVE_SECONDS):
                await manager.end_session(visit.session_id)
            archived = True
        except (AwiError, TimeoutError) as error:
            why = error if isinstance(error, AwiError) else f"the archive took longer than {ARCHIVE_SECONDS:g} s"
            log.warning("%s has ended, but is not archived yet: %s", visit.session_id, why)
            request.worker.metrics.not_archived.inc()
            with suppress(AwiError):  # otherwise, only Redis has the end
                await manager.journal_end(visit.session_id, visit.head)
    if archived:
        with suppress(AwiError):  # the note expires; until then, it costs the agent's next session a read
            await manager.earlier_sessions.archived(request.caller.agent_id, visit.session_id)
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
    worker, options = request.worker, request.worker.options
    if not options.allow_register:
        raise HTTPProblem(403, "Registration is off", "Ask the operator for a key: `awictl agent register NAME`")
    if options.register_limit:
        who = f"address {client_address(request.scope)}"
        await worker.manager.agent_sessions.count(who, "register", options.register_limit)
    body = await request.body.json()
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise HTTPProblem(400, "Agent name is required", "name must be a non-empty string.")
    agent = validated(body, RegistrationRequest)
    granted = set(agent.permissions or (Permission.READ,)) & set(options.register_permissions)
    if not granted:
        allowed = ", ".join(options.register_permissions)
        raise HTTPProblem(403, "Permission denied", f"An agent that registers itself can have: {allowed}")
    made = await worker.agents.register(
        agent.name,
        permissions=tuple(granted),
        expires_in_ms=UNUSED_KEY_MS,
        description=agent.description,
        provisional=True,
    )
    return json_response(response_bodies.registered(made.key, made.secret, options.rate_limit), 201)


async def get_health(request: ApiRequest) -> Response:
    """Check whether Redis and the archive respond."""
    manager = request.worker.manager
    live, archived = await request.worker.health.statuses(manager)
    to_mongodb = request.worker.archives_to_mongodb
    redis: types.Status = live
    mongodb: types.Status = archived if to_mongodb else "disabled"
    if not manager.settings.use_redis:
        redis = "disabled"
        mongodb = live if live != "connected" or not to_mongodb else archived
    breaker = manager.breaker
    away = redis == "disconnected" or (breaker is not None and not breaker.is_closed)
    degraded = breaker is not None and away and archived == "connected"
    body: types.HealthResponse = {
        "success": degraded or not {live, archived} & {"disconnected", "error"},
        "services": {"redis": redis, "mongodb": mongodb},
        "degraded": degraded,
        "breaker": breaker.state.value if breaker is not None else "disabled",
        "timestamp": timestamp(),
    }
    if not to_mongodb:
        body["services"]["archive"] = archived
    return json_response(body, 200 if body["success"] else 503)


async def get_metrics(request: ApiRequest) -> Response:
    """Get metrics in the Prometheus text format."""
    metrics, fallback = request.worker.metrics, request.worker.manager.fallback
    if fallback is not None:
        with suppress(AwiError, TimeoutError):  # the numbers stay as they were
            async with asyncio.timeout(JOURNAL_SECONDS):
                counts = await fallback.journal.counts()
            metrics.journal_pending.set(counts.pending)
            metrics.journal_set_aside.set(counts.set_aside)
    return Response(200, metrics.text(), content_type=metrics.content_type)


async def get_description(request: ApiRequest) -> Response:
    """Get this description of the API."""
    return Response(200, request.worker.descriptions.openapi)


async def get_capabilities(request: ApiRequest) -> Response:
    """Get the operations of this server, and how to call them."""
    return Response(200, request.worker.descriptions.capabilities)


async def get_llm_text(request: ApiRequest) -> Response:
    """Get the same as text, for a language model."""
    return Response(200, request.worker.descriptions.llm_text, content_type=b"text/plain; charset=utf-8")
