"""Documents that the app itself wrote to the archive, as sessions: read as far as they go, never written.

There are two shapes of them, from its archive of ended sessions and from the time before it kept sessions in Redis.
They share their names; the older one tells more of each action. What they lost is not made up: fields that they do
not have are not there.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from ..document.schema import as_array, as_object, as_text
from ..document.timestamps import timestamp
from .base import Archived, ArchivedSummary, Shape
from .snapshot import count_of
from .trajectory import count_actions

#: Names of an action in the app's documents → those of an action record.
_ACTION_NAMES = {"parameters": "input", "observationSummary": "observation"}


def archived(found: dict[str, Any]) -> Archived:
    """A document of the app, as it came from MongoDB, as an archived session."""
    return Archived(summary(found), session_document(found), None, as_object(plain(found)))


def summary(found: dict[str, Any]) -> ArchivedSummary:
    """What a listing tells of a document of the app."""
    statistics = as_object(found.get("statistics"))
    shown = as_object(plain({name: found.get(name) for name in ("agentId", "agentName")}))
    return ArchivedSummary(
        session_id=str(found.get("sessionId")),
        agent_id=shown["agentId"],
        agent_name=shown["agentName"],
        route=as_text(as_object(found.get("currentState")).get("currentRoute")),
        started_at=moment(found.get("sessionStartedAt")),
        last_activity_at=moment(found.get("lastActivityAt")),
        ended_at=moment(found.get("sessionEndedAt")),
        active=found.get("sessionActive") is True,
        total_actions=count_of(plain(statistics.get("totalActions"))),
        successful_actions=count_of(plain(statistics.get("successfulActions"))),
        failed_actions=count_of(plain(statistics.get("failedActions"))),
        bytes=None,
        shape=Shape.APP,
        action_counts=count_actions(as_array(found.get("actionHistory"))),
    )


def session_document(found: dict[str, Any]) -> dict[str, Any]:
    """What there is in a document of the app, by the names of a session document."""
    source = as_object(plain(found))
    state = as_object(source.get("currentState"))
    pagination = as_object(state.get("pagination"))
    sort = as_object(state.get("sortBy"))
    statistics = as_object(source.get("statistics"))
    actions = [_action(number, one) for number, one in enumerate(as_array(source.get("actionHistory")))]
    offered = [as_object(one) for one in as_array(source.get("availableActions"))]
    return {
        **_present({"session_id": source.get("sessionId"), "agent_id": source.get("agentId")}),
        **_present({"agent_name": source.get("agentName"), "current_url": state.get("currentRoute")}),
        "page_state": _present(
            {
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
        ),
        "action_state": {
            "available_actions": [one.get("action") for one in offered if one.get("enabled")],
            "disabled_actions": [one.get("action") for one in offered if not one.get("enabled")],
        },
        "history": {"actions": actions, "last_action": actions[-1] if actions else None},
        "statistics": _present(
            {
                "total_actions": statistics.get("totalActions"),
                "successful_actions": statistics.get("successfulActions"),
                "failed_actions": statistics.get("failedActions"),
                "session_start": source.get("sessionStartedAt"),
                "session_end": source.get("sessionEndedAt"),
                "last_activity": source.get("lastActivityAt"),
            }
        ),
        **_present({"last_updated": source.get("updatedAt")}),
    }


def plain(value: Any) -> Any:
    """A value from MongoDB as plain JSON: moments as the app prints them, ids as hex digits, binary data in base64."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)  # also of MongoDB's own kind of integer
    return value if isinstance(value, (float, str)) else str(value)


def moment(value: Any) -> datetime | None:
    """A date from MongoDB, None where it is none."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _action(number: int, action: Any) -> dict[str, Any]:
    renamed = {_ACTION_NAMES.get(name, name): value for name, value in as_object(action).items()}
    return {"t": number, **renamed}


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
