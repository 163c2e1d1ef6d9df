"""What the app's own tools see of a session that awictl archived: the fields and names of the app's documents.

This is a view, and the one part of an archived document that may lose something: keys that MongoDB's query language
cannot name are respelled, integers beyond 64 bits with sign are doubles, and of very long trajectories only the newest
actions are there. What was archived stands beside it, as bytes (see `mongo.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import bson
from bson import ObjectId

from ..document.json_codec import dumps, encodable
from ..document.schema import as_array, as_object
from .snapshot import MAX_TEXT, Snapshot, moment_of

#: Bytes of BSON that the actions may take up, of the 16 MiB that a document may have; and one action of them.
ACTIONS_BYTES = 4_194_304
ACTION_BYTES = 131_072
#: Bytes of BSON for the filters and other values that an agent chose.
VALUE_BYTES = 262_144
#: A document of so few bytes of JSON fits into all of these without measuring it.
_SMALL_BYTES = 262_144
#: Actions that are listed as available or disabled at the most.
_MAX_AVAILABLE = 500
#: Deepest nesting of a value; MongoDB allows 100 levels of a whole document.
_DEPTH = 60

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_INT64 = range(-(2**63), 2**63)
#: What field names in MongoDB must not have in them, or begin with: respelled with the look-alikes of Unicode.
_RESPELLED = str.maketrans({".": "．", "$": "＄", "\0": "␀"})


def app_view(snapshot: Snapshot) -> dict[str, Any]:
    """The fields of the app for a snapshot."""
    document = snapshot.document
    small = len(snapshot.raw) <= _SMALL_BYTES and snapshot.complete is document
    started, ended = snapshot.started_at, snapshot.ended_at
    history = [_action(one) for one in snapshot.actions]
    return {
        "sessionId": snapshot.session_id,
        "agentId": app_agent_id(snapshot.agent_id),
        "agentName": _plain(snapshot.agent_name),
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
    """An agent's id as the app stores it: an ObjectId where it is 24 hex digits."""
    if agent_id is not None and _OBJECT_ID.fullmatch(agent_id):
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
    return {name: _bounded(_plain(value), VALUE_BYTES, small) for name, value in state.items()}


def _available(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The actions as the app lists them, the possible ones first."""
    listed = [(name, enabled) for names, enabled in (("available_actions", True), ("disabled_actions", False))
              for name in as_array(state.get(names)) if isinstance(name, str)]  # fmt: skip
    return [{"action": encodable(name[:MAX_TEXT]), "enabled": enabled} for name, enabled in listed[:_MAX_AVAILABLE]]


def _action(action: Any) -> dict[str, Any]:
    if not isinstance(action, dict):
        return {"action": _plain(action)}
    stored = action.get("timestamp")
    shown = {
        "action": _plain(action.get("action")),
        "timestamp": moment_of(stored) or _plain(stored),
        "t": _plain(action.get("t")),
    }
    if "success" in action:
        shown["success"] = _plain(action["success"])
    if given := action.get("input"):
        shown["parameters"] = _plain(given)
    if (observation := action.get("observation")) is not None:
        shown["observationSummary"] = _plain(observation)
    return shown


def _newest(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many of the newest actions as there is room for, oldest first."""
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


def _plain(value: Any, depth: int = 0) -> Any:
    """A JSON value that BSON can hold and MongoDB's query language can name."""
    kind = type(value)
    if kind is str:
        return encodable(value)
    if kind is dict or kind is list:
        if depth >= _DEPTH:
            return encodable(dumps(value).decode())
        if kind is list:
            return [_plain(item, depth + 1) for item in value]
        return {_name(key): _plain(item, depth + 1) for key, item in value.items()}
    if kind is int and value not in _INT64:
        return float(value)
    return value


@lru_cache(4_096)
def _name(key: str) -> str:
    return encodable(key).translate(_RESPELLED)
