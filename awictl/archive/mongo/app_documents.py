"""Read the documents that the app itself wrote to `agentsessions`, in their two shapes. They are never written.

One shape is of the app's archive of ended sessions, the other of sessions from before it kept them in Redis. Both have
the same field names; the older one has more fields in each action. Fields that a document lacks are left out, not
guessed. So are those that have their default in the app's schema: the app archives a session without its page, and
mongoose then fills in a page that the agent may never have seen.
"""

from __future__ import annotations

from typing import Any

from ...document.schema import as_array, as_object, as_text
from ..base import Archived, ArchivedSummary, Shape
from ..decision import ArchivedState
from ..trajectory import count_actions
from ..values import as_count
from .values import as_datetime, to_json

#: Fields of an action in the app's documents, and their names in an action record.
_ACTION_NAMES = {"parameters": "input", "observationSummary": "observation"}
#: Defaults of the fields of `currentState` in the app's schema, as in a session that the app archived.
_DEFAULT_STATE: dict[str, Any] = {
    "currentRoute": "/api/agent/posts",
    "currentPage": 1,
    "pagination": {"currentPage": 1, "itemsPerPage": 10},
    "activeFilters": {"tags": []},
    "sortBy": {"field": "createdAt", "order": "desc"},
}


def archived(found: dict[str, Any]) -> Archived:
    """Convert a document of the app to an archived session."""
    return Archived(summary(found), session_document(found), None, as_object(to_json(found)))


def summary(found: dict[str, Any]) -> ArchivedSummary:
    """Return the row of a listing for a document of the app."""
    statistics = as_object(found.get("statistics"))
    agent = as_object(to_json({name: found.get(name) for name in ("agentId", "agentName")}))
    return ArchivedSummary(
        session_id=str(found.get("sessionId")),
        agent_id=as_text(agent["agentId"]),
        agent_name=as_text(agent["agentName"]),
        route=as_text(_written_state(found.get("currentState")).get("currentRoute")),
        started_at=as_datetime(found.get("sessionStartedAt")),
        last_activity_at=as_datetime(found.get("lastActivityAt")),
        ended_at=as_datetime(found.get("sessionEndedAt")),
        state=ArchivedState.LIVE if found.get("sessionActive") is True else ArchivedState.ENDED,
        total_actions=as_count(to_json(statistics.get("totalActions"))),
        successful_actions=as_count(to_json(statistics.get("successfulActions"))),
        failed_actions=as_count(to_json(statistics.get("failedActions"))),
        bytes=None,
        shape=Shape.APP,
        action_counts=count_actions(as_array(found.get("actionHistory"))),
    )


def session_document(found: dict[str, Any]) -> dict[str, Any]:
    """Convert a document of the app to a session document, as far as its fields go."""
    source = as_object(to_json(found))
    state = _written_state(source.get("currentState"))
    pagination = as_object(state.get("pagination"))
    sort = as_object(state.get("sortBy"))
    statistics = as_object(source.get("statistics"))
    actions = [_action(number, one) for number, one in enumerate(as_array(source.get("actionHistory")))]
    offered = [as_object(one) for one in as_array(source.get("availableActions"))]
    page_state = {
        "route": state.get("currentRoute"),
        "pagination": _present(
            {
                "cursor": pagination.get("currentPage", state.get("currentPage")),
                "total_pages": pagination.get("totalPages"),
                "page_size": pagination.get("itemsPerPage"),
                "total_items": pagination.get("totalItems"),
            }
        ),
        "filters": state.get("activeFilters"),
        "sort": _present({"key": sort.get("field"), "order": sort.get("order")}),
    }
    action_state = {
        "available_actions": [one.get("action") for one in offered if one.get("enabled")],
        "disabled_actions": [one.get("action") for one in offered if not one.get("enabled")],
    }
    return {
        **_present({"session_id": source.get("sessionId"), "agent_id": source.get("agentId")}),
        **_present({"agent_name": source.get("agentName"), "current_url": state.get("currentRoute")}),
        **_present({"page_state": _present(page_state), "action_state": action_state if offered else None}),
        "history": {"actions": actions, "last_action": actions[-1] if actions else None},
        "statistics": _present(
            {
                "total_actions": statistics.get("totalActions"),
                "successful_actions": statistics.get("successfulActions"),
                "failed_actions": statistics.get("failedActions"),
                "session_start": source.get("sessionStartedAt"),
                "session_end": source.get("sessionEndedAt"),
                "last_activity": source.get("lastActivityAt") if _is_active_until_end(found) else None,
            }
        ),
        **_present({"last_updated": source.get("updatedAt")}),
    }


def _action(number: int, action: Any) -> dict[str, Any]:
    renamed = {_ACTION_NAMES.get(name, name): value for name, value in as_object(action).items()}
    return {"t": number, **renamed}


def _written_state(state: Any) -> dict[str, Any]:
    """Return the fields of `currentState` that the app wrote: without those that have their default."""
    fields = {
        name: value for name, value in as_object(state).items() if not _is_default(value, _DEFAULT_STATE.get(name))
    }
    if filters := as_object(fields.get("activeFilters")):
        fields["activeFilters"] = {name: value for name, value in filters.items() if value != []}  # mongoose adds lists
    return fields


def _is_default(value: Any, default: Any) -> bool:
    """Whether a value is its default: an object is if each of its fields is."""
    if isinstance(value, dict) and isinstance(default, dict):
        return value.items() <= default.items()
    return bool(value == default)


def _is_active_until_end(found: dict[str, Any]) -> bool:
    """Whether the last activity is not after the end: then it is a default, the time at which the app archived it."""
    last, end = as_datetime(found.get("lastActivityAt")), as_datetime(found.get("sessionEndedAt"))
    return last is None or end is None or last <= end


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields without those that are None or an empty object."""
    return {name: value for name, value in fields.items() if value is not None and value != {}}
