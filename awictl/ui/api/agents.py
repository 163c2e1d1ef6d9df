"""The data of the pages of agents: what `awictl agent list`, `show`, `usage`, `session`, `audit` and `events` say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...agents.current import CurrentSession, current_sessions
from ...agents.records import AgentRecord, UsageSort, sorted_records
from ...document.timestamps import optional_timestamp, parse_timestamp, timestamp
from ...errors import AwiError, InvalidInput
from ..http.responses import json_response, problem_of, redacted_value
from ..inspector import Inspector, inspector_of, manager_of
from ..results.bounded import bounded
from ..results.recent import Recent

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: Maximum number of agents in a response, of past suspensions, and of entries of the audit log.
MAX_AGENTS, MAX_SUSPENSIONS, MAX_ENTRIES = 200, 50, 50
#: Maximum number of items of an array, or fields of an object, in a response.
_MAX_ITEMS = 200
#: The sort key besides those of `agent usage`: the newest first, as in `agent list`.
CREATED = "created"
#: The fields of an agent in the list.
_LISTED = (
    *("agent_id", "name", "permissions", "state", "suspended_until", "suspension_reason", "created_at", "expires_at"),
    *("made_by", "last_used_at", "requests", "requests_of_app", "requests_of_awictl", "requests_per_hour"),
    *("reputation", "reputation_score", "violations"),
)


async def agent_list(request: Request) -> Response:
    """Agents that have a key, with their usage and their current sessions.

    `q`: text in the name, id or description; `state`; `sort`: `created` or one of `agent usage --sort`; `reverse`: 1;
    `offset`.
    """
    wanted = request.query_params
    by, offset = wanted.get("sort") or CREATED, wanted.get("offset") or "0"
    if by != CREATED and by not in list(UsageSort):
        raise InvalidInput(f"sort must be one of {CREATED}, {', '.join(UsageSort)}")
    if not (offset.isascii() and offset.isdigit() and len(offset) < 16):
        raise InvalidInput("offset must be a number from 0 on")
    records = await inspector_of(request).shared(_records).get()
    states = [one.key.state().value for one in records]
    text, state = wanted.get("q", "").casefold(), wanted.get("state") or None
    found = [
        one for one, own in zip(records, states, strict=True) if state in (None, own) and (not text or _has(one, text))
    ]
    reverse = wanted.get("reverse") == "1"
    if by == CREATED:
        found = found[::-1] if reverse else found
    else:
        found = sorted_records(found, UsageSort(by), reverse=reverse)
    shown = found[int(offset) : int(offset) + MAX_AGENTS]
    problem = None
    current: dict[str, CurrentSession] = {}
    try:
        current = await current_sessions(manager_of(request).store, [one.key.agent_id for one in shown])
    except AwiError as error:
        problem = f"current sessions are not available: {error}"
    value = {
        "agents": [_listed(one, current.get(one.key.agent_id)) for one in shown],
        "offset": int(offset),
        "matching": len(found),
        "total": len(records),
        "states": {one: states.count(one) for one in sorted(set(states))},
        "problem": problem,
    }
    return _response(request, value)


async def agent(request: Request) -> Response:
    """All that is known about an agent. What could not be read is in `problems`, and the rest is there all the same."""
    given, manager = request.path_params["id"], manager_of(request)
    problems: dict[str, dict[str, Any]] = {}
    record: AgentRecord | None = None
    session: dict[str, Any] | None = None
    agent_id = given
    try:
        record = await (await manager.existing_agents()).record(given)
        agent_id = record.key.agent_id
    except AwiError as error:
        problems["key"] = problem_of(error)
    try:
        found = await manager.get_agent_session(agent_id)
        if found is not None:
            session = {"session_id": found.session_id, "ttl_ms": found.ttl_ms, "exists": found.exists}
            session["degraded"] = found.degraded
    except AwiError as error:
        problems["session"] = problem_of(error)
    row = record.row() if record is not None else None
    if row is not None and record is not None:
        row["last_used_at"] = await _last_used(manager, record)
        row["suspensions_total"] = len(row["suspensions"])
        row["suspensions"] = row["suspensions"][-MAX_SUSPENSIONS:][::-1]
    return _response(request, {"agent_id": agent_id, "record": row, "session": session, "problems": problems})


async def audit(request: Request) -> Response:
    """The newest entries of the app's audit log about an agent, and the newest security events."""
    from ...agents.audit import AuditQuery

    manager = manager_of(request)
    log = manager.audit_log
    agent_id, name = await (await manager.existing_agents()).identify(request.path_params["id"])
    query = AuditQuery(agent_id, name)
    value = {
        "entries": await _all(log.entries(query, MAX_ENTRIES)),
        "events": await _all(log.events(query, MAX_ENTRIES)),
        "limit": MAX_ENTRIES,
        "where": log.where,
    }
    return _response(request, value)


ROUTES = [
    Route("/api/agents", agent_list),
    Route("/api/agents/{id:path}", agent),
    Route("/api/audit/{id:path}", audit),
]


def _records(inspector: Inspector) -> Recent[Sequence[AgentRecord]]:
    """The agents, read once for all pages."""
    return Recent(lambda: _read(inspector.manager))


async def _read(manager: StateManager) -> Sequence[AgentRecord]:
    return await (await manager.existing_agents()).records()


def _has(record: AgentRecord, text: str) -> bool:
    key = record.key
    return any(text in one.casefold() for one in (key.agent_id, key.name, key.description or ""))


async def _last_used(manager: StateManager, record: AgentRecord) -> str | None:
    try:
        current = await current_sessions(manager.store, [record.key.agent_id])
    except AwiError:
        current = {}  # which is reported beside the current session
    return _newest_use(record, current.get(record.key.agent_id))


def _newest_use(record: AgentRecord, current: CurrentSession | None) -> str | None:
    """When its key was used last, or its current session, as ISO 8601."""
    used = [record.last_used, parse_timestamp(current.last_activity) if current is not None else None]
    return optional_timestamp(max((one for one in used if one is not None), default=None))


def _listed(record: AgentRecord, current: CurrentSession | None) -> dict[str, Any]:
    row = record.row()
    return {name: row[name] for name in _LISTED} | {
        "last_used_at": _newest_use(record, current),
        "session_id": current.session_id if current is not None else None,
    }


async def _all(batches: AsyncGenerator[list[dict[str, Any]], None]) -> list[dict[str, Any]]:
    async with aclosing(batches) as found:
        return [one async for batch in found for one in batch]


def _response(request: Request, value: dict[str, Any]) -> Response:
    """A response with a value that is redacted before it is cut: a part of a secret is not recognized."""
    redaction = inspector_of(request).options.redaction
    if redaction is not None:
        value = redacted_value(value, redaction)
    return json_response(request, bounded(value, items=_MAX_ITEMS) | {"now": timestamp()}, redacted=True)
