"""What each endpoint answers. The shapes are the app's (`views.py`)."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from ..agents.api_keys import Permission
from ..document import keys
from ..document.schema import as_object
from ..document.timestamps import timestamp
from ..errors import AwiError, InvalidInput, Unreachable
from . import response_bodies
from .asgi import Response, json_response, number_of
from .endpoint import ApiRequest
from .options import DEFAULT_PAGE, MAX_OFFSET, MAX_PAGE, SITE_FIELDS
from .problems import HTTPProblem

log = logging.getLogger("awictl.server")

#: Seconds that an agent waits for its session to be archived; a sweep does it then.
ARCHIVE_SECONDS = 5.0
#: Seconds in which a backend that is well answers.
HEALTH_SECONDS = 2.0
#: What an update may be made of.
UPDATE_FIELDS = frozenset({"delta", "action", "input", "success", "observation", "op_id"})


async def get_state(call: ApiRequest) -> Response:
    """`GET /api/agent/session/state`. One round trip where the agent's session is known."""
    return Response(200, call.worker.answers.answer(await call.visit("state")))


async def get_diff(call: ApiRequest) -> dict[str, Any]:
    """`GET /api/agent/session/diff`. One round trip where the agent's session is known."""
    visit = await call.visit("diff", diff=True)
    return response_bodies.diff(visit.last_delta, timestamp())


async def get_history(call: ApiRequest) -> dict[str, Any]:
    """`GET /api/agent/session/history?limit=20&offset=0`."""
    limit = number_of(call.scope, "limit", DEFAULT_PAGE, MAX_PAGE)
    offset = number_of(call.scope, "offset", 0, MAX_OFFSET)
    visit = await call.visit("history")
    page = await call.worker.manager.get_action_history(visit.session_id, limit, offset)
    return response_bodies.history(visit.session_id, page)


async def get_cache(call: ApiRequest) -> dict[str, Any]:
    """`GET /api/agent/session/cache`: the first results of the query that the session is at, if they are cached."""
    visit = await call.visit("cache")
    cache = as_object(visit.head.get("query_cache"))
    cache_key = cache.get("active_cache_key")
    results = None
    if isinstance(cache_key, str):
        results = await call.worker.manager.get_cached_query_results(cache_key)
    return response_bodies.cached(cache_key, cache.get("cached_at"), results)


async def update_state(call: ApiRequest) -> dict[str, Any]:
    """`POST /api/agent/session/state`: merge a delta and record the action, at most once for an `op_id`."""
    body = await call.body.json()
    if unknown := body.keys() - UPDATE_FIELDS:
        raise InvalidInput(f"an update has no {sorted(unknown)[0]!r:.80}: only {', '.join(sorted(UPDATE_FIELDS))}")
    if not isinstance(body.get("delta"), dict):
        raise InvalidInput("delta is required: a JSON object")
    for name in SITE_FIELDS:
        if name in body["delta"]:
            raise HTTPProblem(403, "Permission denied", f"The site decides on {name}: a delta cannot change it")
    entry = {name: value for name, value in body.items() if name != "delta"}
    visit = await call.visit("update")
    fresh = keys.new_op_id()
    call.op_id = entry.get("op_id") or fresh
    updated = await call.worker.manager.apply(
        visit.session_id, body["delta"], entry, base=visit.base, fresh_op_id=fresh
    )
    answer = response_bodies.state_at(visit.session_id, updated.head, datetime.now(UTC))
    return answer | {"action": updated.action, "op_id": updated.op_id, "applied": updated.action is not None}


async def end_session(call: ApiRequest) -> dict[str, Any]:
    """`POST /api/agent/session/end`: the session ends for the agent now, and for good once it is archived."""
    await call.body.read()
    manager = call.worker.manager
    visit = await call.visit("end", create=False)
    await manager.record_end(visit.session_id)
    await manager.agent_sessions.unmap(call.caller.agent_id, visit.session_id)
    archived = False
    if manager.archive is not None:
        try:
            async with asyncio.timeout(ARCHIVE_SECONDS):
                await manager.end_session(visit.session_id)
            archived = True
        except (AwiError, TimeoutError) as error:
            log.warning("%s has ended, and waits to be archived: %s", visit.session_id, error)
            call.worker.metrics.not_archived.inc()
    return {
        "success": True,
        "message": "Session ended successfully",
        "sessionId": visit.session_id,
        "archived": archived,
        "archivedToMongoDB": archived and call.worker.archives_to_mongodb,
        "timestamp": timestamp(),
    }


async def register(call: ApiRequest) -> Response:
    """`POST /api/agent/register`: a key for a new agent, where the operator allows it."""
    if not call.worker.options.allow_register:
        raise HTTPProblem(403, "Registration is off", "Ask the operator for a key: `awictl agent register NAME`")
    body = await call.body.json()
    name, description = body.get("name"), body.get("description")
    if not isinstance(name, str) or not name:
        raise HTTPProblem(400, "Agent name is required", "name is text")
    if description is not None and not isinstance(description, str):
        raise InvalidInput("description is text")
    made = await call.worker.agents.register(
        name, permissions=_permissions(body.get("permissions")), description=description
    )
    return json_response(response_bodies.registered(made.key, made.secret, call.worker.options.rate_limit), 201)


def _permissions(given: Any) -> tuple[Permission, ...]:
    if given is None:
        return (Permission.READ,)
    try:
        wanted = {Permission(one) for one in given} if isinstance(given, list) else set()
    except (ValueError, TypeError):
        wanted = set()
    if not wanted:
        raise InvalidInput(f"permissions is a list of {', '.join(Permission)}")
    return tuple(one for one in Permission if one in wanted)


async def health(call: ApiRequest) -> Response:
    """`GET /api/health`: 200 where Redis and the archive answer, else 503."""
    manager = call.worker.manager
    archive = manager.archive
    redis, archived = await asyncio.gather(
        _status(manager.store.ping()), _status(archive.ping() if archive is not None else None)
    )
    services = {"redis": redis, "mongodb": archived if call.worker.archives_to_mongodb else "disabled"}
    if not call.worker.archives_to_mongodb:
        services["archive"] = archived
    well = all(status in ("connected", "disabled") for status in services.values())
    return json_response({"success": well, "services": services, "timestamp": timestamp()}, 200 if well else 503)


async def _status(ping: Any) -> str:
    if ping is None:
        return "disabled"
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await ping
    except (Unreachable, TimeoutError):
        return "disconnected"
    except AwiError as error:
        log.warning("a backend is not well: %s", error)
        return "error"
    return "connected"


async def metrics(call: ApiRequest) -> Response:
    """`GET /metrics`, for Prometheus."""
    return Response(200, call.worker.metrics.text(), content_type=call.worker.metrics.content_type)


async def openapi(call: ApiRequest) -> Response:
    """`GET /openapi.json`."""
    return Response(200, call.worker.openapi)
