"""The app's view of a session that awictl archived: the field names of the app's own documents, for its own queries.

The view is the only lossy part of an archived document. Characters that MongoDB does not allow in field names are
replaced, integers beyond 64 bits (signed) become doubles, and of a very long trajectory only the newest actions are
included. The exact bytes are stored beside the view (see `archive.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import bson
from bson import ObjectId

from ...document.json_codec import dumps, encodable
from ...document.keys import is_object_id
from ...document.schema import as_array, as_object
from ..snapshot import Snapshot
from ..values import MAX_TEXT, parse_datetime

#: Maximum BSON size of all actions, and of one field of an action, in bytes; a whole document is limited to 16 MiB.
ACTIONS_BYTES = 4_194_304
ACTION_BYTES = 131_072
#: Maximum BSON size of the filters, and of each other value that an agent can choose, in bytes.
VALUE_BYTES = 262_144
#: A session of up to this many bytes of JSON is below all of these limits; nothing needs to be measured.
_SMALL_BYTES = 262_144
#: Maximum number of actions that are listed as available or disabled.
_MAX_AVAILABLE = 500
#: Maximum nesting of a value; MongoDB allows 100 levels in a whole document.
_MAX_DEPTH = 60

_INT64 = range(-(2**63), 2**63)
#: Characters that are not allowed in field names, or not as the first one, and similar characters that replace them.
_REPLACED = str.maketrans({".": "．", "$": "＄", "\0": "␀"})


def app_view(snapshot: Snapshot) -> dict[str, Any]:
    """Return the fields that the app's documents have, for a snapshot."""
    document = snapshot.document
    small = len(snapshot.raw) <= _SMALL_BYTES and snapshot.full_document is document
    started, ended = snapshot.started_at, snapshot.ended_at
    history = [_action(one) for one in snapshot.actions]
    return {
        "sessionId": snapshot.session_id,
        "agentId": app_agent_id(snapshot.agent_id),
        "agentName": _to_bson(snapshot.agent_name),
        "sessionStartedAt": started,
        "sessionEndedAt": ended,
        "sessionActive": not snapshot.ended,
        "lastActivityAt": snapshot.last_activity_at,
        "currentState": _current_state(as_object(document.get("page_state")), small),
        "availableActions": _available(as_object(document.get("action_state"))),
        "actionHistory": history if small else _newest(history),
        "statistics": {
            "totalActions": snapshot.count("total_actions"),
            "successfulActions": snapshot.count("successful_actions"),
            "failedActions": snapshot.count("failed_actions"),
        },
    }


def app_agent_id(agent_id: str | None) -> ObjectId | str | None:
    """Return an agent's id as the app stores it: an ObjectId if it consists of 24 hex digits."""
    if agent_id is not None and is_object_id(agent_id):
        return ObjectId(agent_id)
    return encodable(agent_id) if agent_id is not None else None


def _current_state(page: dict[str, Any], small: bool) -> dict[str, Any]:
    pagination = as_object(page.get("pagination"))
    cursor, pages = pagination.get("cursor"), pagination.get("total_pages")
    around = {}
    if isinstance(cursor, int) and isinstance(pages, int):
        around = {"hasNextPage": cursor < pages, "hasPrevPage": cursor > 1}
    sort = as_object(page.get("sort"))
    state = {
        "currentRoute": page.get("route"),
        "currentPage": cursor,
        "pagination": {
            "currentPage": cursor,
            "itemsPerPage": pagination.get("page_size"),
            "totalItems": pagination.get("total_items"),
            "totalPages": pages,
            **around,
        },
        "activeFilters": page.get("filters"),
        "sortBy": {"field": sort.get("key"), "order": sort.get("order")},
    }
    return {name: _bounded(_to_bson(value), VALUE_BYTES, small) for name, value in state.items()}


def _available(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the actions as the app lists them, the available ones first."""
    listed = [(name, enabled) for names, enabled in (("available_actions", True), ("disabled_actions", False))
              for name in as_array(state.get(names)) if isinstance(name, str)]  # fmt: skip
    return [{"action": encodable(name[:MAX_TEXT]), "enabled": enabled} for name, enabled in listed[:_MAX_AVAILABLE]]


def _action(action: Any) -> dict[str, Any]:
    if not isinstance(action, dict):
        return {"action": _to_bson(action)}
    stored = action.get("timestamp")
    shown = {
        "action": _to_bson(action.get("action")),
        "timestamp": parse_datetime(stored) or _to_bson(stored),
        "t": _to_bson(action.get("t")),
    }
    if "success" in action:
        shown["success"] = _to_bson(action["success"])
    if parameters := action.get("input"):
        shown["parameters"] = _to_bson(parameters)
    if (observation := action.get("observation")) is not None:
        shown["observationSummary"] = _to_bson(observation)
    return shown


def _newest(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return as many of the newest actions as fit into `ACTIONS_BYTES`, oldest first."""
    kept: list[dict[str, Any]] = []
    size = 0
    for action in reversed(history):
        fitting = {name: _bounded(value, ACTION_BYTES, False) for name, value in action.items()}
        size += len(bson.encode(fitting)) + 16
        if size > ACTIONS_BYTES:
            break
        kept.append(fitting)
    return kept[::-1]


def _bounded(value: Any, limit: int, small: bool) -> Any:
    if small or len(bson.encode({"": value})) <= limit:
        return value
    return f"left out: more than {limit:,} bytes"


def _to_bson(value: Any, depth: int = 0) -> Any:
    """Convert a JSON value to one that BSON can represent and that MongoDB's query language can address."""
    kind = type(value)
    if kind is str:
        return encodable(value)
    if kind is dict or kind is list:
        if depth >= _MAX_DEPTH:
            return encodable(dumps(value).decode())
        if kind is list:
            return [_to_bson(item, depth + 1) for item in value]
        return {_field_name(key): _to_bson(item, depth + 1) for key, item in value.items()}
    if kind is int and value not in _INT64:
        return float(value)
    return value


@lru_cache(4_096)
def _field_name(key: str) -> str:
    return encodable(key).translate(_REPLACED)
