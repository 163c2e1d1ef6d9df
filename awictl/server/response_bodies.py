"""Builds response bodies from session documents, history pages and API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from ..agents.api_keys import AgentKey
from ..document.schema import NEXT_PAGE, PREVIOUS_PAGE, as_array, as_object
from ..document.timestamps import optional_timestamp, parse_timestamp, timestamp
from ..store.base import HistoryPage
from . import response_types as types

_TENTH = Decimal("0.1")
_MILLISECOND = timedelta(milliseconds=1)


def state(session_id: str, head: dict[str, Any], now: datetime) -> types.StateResponse:
    """The body of `GET …/state` at `now`. `head`: the session document without its trajectory."""
    page = as_object(head.get("page_state"))
    actions = as_object(head.get("action_state"))
    cache = as_object(head.get("query_cache"))
    statistics = as_object(head.get("statistics"))
    return {
        "success": True,
        "sessionId": session_id,
        "currentState": {
            "route": page.get("route"),
            "pagination": page.get("pagination"),
            "filters": page.get("filters"),
            "sort": page.get("sort"),
            "visibleItems": len(as_array(page.get("visible_items"))),
            "metadata": page.get("metadata"),
        },
        "actionState": {
            "available": as_array(actions.get("available_actions")),
            "disabled": as_array(actions.get("disabled_actions")),
        },
        "statistics": {
            **_counts(statistics),
            "sessionDuration": duration_ms(started_at(head), now),
            "lastActivity": statistics.get("last_activity"),
        },
        "cacheInfo": {"activeCacheKey": cache.get("active_cache_key"), "cachedAt": cache.get("cached_at")},
        "timestamp": timestamp(now),
    }


def started_at(head: dict[str, Any]) -> datetime | None:
    """When a session was created; None if its document has no valid time."""
    return parse_timestamp(as_object(head.get("statistics")).get("session_start"))


def duration_ms(started: datetime | None, now: datetime) -> int | None:
    """Milliseconds since a session was created, at least 0; None if that is not known."""
    return max(0, (now - started) // _MILLISECOND) if started is not None else None


def session_state(session_id: str, head: dict[str, Any]) -> dict[str, Any]:
    """The member `_sessionState` that `EnrichResponse` adds to the responses of a site."""
    page = as_object(head.get("page_state"))
    pagination = as_object(page.get("pagination"))
    actions = as_object(head.get("action_state"))
    return {
        "sessionId": session_id,
        "currentState": {
            "route": page.get("route"),
            "page": pagination.get("cursor"),
            "filters": page.get("filters"),
            "sort": page.get("sort"),
            "pagination": page.get("pagination"),
        },
        "availableActions": [{"action": action} for action in as_array(actions.get("available_actions"))],
        "disabledActions": [
            {"action": action, "reason": _why_disabled(action, pagination)}
            for action in as_array(actions.get("disabled_actions"))
        ],
        "statistics": _counts(as_object(head.get("statistics"))),
        "lastUpdated": head.get("last_updated"),
    }


def history(session_id: str, page: HistoryPage) -> types.HistoryResponse:
    """The body of `GET …/history`."""
    return {
        "success": True,
        "sessionId": session_id,
        "trajectory": page.trajectory,
        "total": page.total,
        "limit": page.limit,
        "offset": page.offset,
    }


def diff(last_delta: dict[str, Any] | None) -> types.DiffResponse | types.NoDiffResponse:
    """The body of `GET …/diff`. `last_delta`: the delta and action of the last update; None if it has expired."""
    if last_delta is None:
        return {"success": False, "message": "Nothing changed in the last five minutes", "timestamp": timestamp()}
    return {
        "success": True,
        "delta": last_delta["delta"],
        "last_action": last_delta["last_action"],
        "timestamp": timestamp(),
    }


def cached(cache_key: Any, cached_at: Any, results: list[Any] | None) -> types.CacheResponse:
    """The body of `GET …/cache`. `results`: None if they have expired."""
    if not cache_key:
        return {"success": True, "cached": False, "message": "No active cache"}
    return {
        "success": True,
        "cached": results is not None,
        "cacheKey": cache_key,
        "cachedAt": cached_at,
        "resultCount": len(results or []),
        "results": (results or [])[: types.CACHE_PREVIEW],
    }


def registered(key: AgentKey, secret: str, rate_limit: int) -> types.RegistrationResponse:
    """The body of `POST /api/agent/register`, the only one that contains a secret."""
    return {
        "success": True,
        "message": "Agent registered successfully",
        "agent": {
            "id": key.agent_id,
            "name": key.name,
            "apiKey": secret,
            "permissions": list(key.permissions),
            "description": key.description,
            "rateLimit": {"requestsPerHour": key.requests_per_hour or rate_limit},
            "createdAt": timestamp(key.created_at),
            "expiresAt": optional_timestamp(key.expires_at),
        },
        "usage": {"header": "X-Agent-API-Key", "example": f"X-Agent-API-Key: {secret}"},
    }


def _counts(statistics: dict[str, Any]) -> types.ActionCounts:
    total, successful = statistics.get("total_actions"), statistics.get("successful_actions")
    return {
        "totalActions": total,
        "successfulActions": successful,
        "failedActions": statistics.get("failed_actions"),
        "successRate": _rate(successful, total) if type(total) is int and type(successful) is int else "N/A",
    }


@lru_cache
def _rate(successful: int, total: int) -> str:
    """A percentage as JavaScript's `toFixed(1)` formats it: halves are rounded up, not to even."""
    if total <= 0:
        return "N/A"
    return f"{Decimal(successful / total * 100).quantize(_TENTH, ROUND_HALF_UP)}%"


def _why_disabled(action: Any, pagination: dict[str, Any]) -> str:
    cursor, pages = _number(pagination.get("cursor")), _number(pagination.get("total_pages"))
    if action == PREVIOUS_PAGE:
        return "Already on first page" if cursor is not None and cursor <= 1 else ""
    if action == NEXT_PAGE:
        return "Already on last page" if cursor is not None and pages is not None and cursor >= pages else ""
    return "Action not available in current state"


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
