"""Tell quickly that a session is sound: the common kind of session, whose whole history awictl or the app wrote.

`is_plainly_sound` returns true only if `verification` finds nothing at all, which takes ten times as long. It makes a
new session, merges all deltas into it in place, and compares encoded JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from ..byte_layout import CLOSE, encode_head
from ..keys import is_op_id
from ..schema import FORKED_FROM, PROTECTED_FIELDS, SESSION_END, new_document
from .discrepancy import Origin
from .state_checks import APP_TIMES

#: Fields of which a delta needs a closer look: each action sets them as well.
_CLOSER = frozenset({"statistics", "last_updated", *PROTECTED_FIELDS})
_SORTED = orjson.OPT_SORT_KEYS
_parsed = datetime.fromisoformat


def is_plainly_sound(session_id: str, document: dict[str, Any], raw: bytes | None) -> bool:
    """Whether a session is sound. False may also mean that it is of another kind. Arguments: see `verify`."""
    try:
        return _has_sound_document(session_id, document) and (raw is None or _has_layout(raw, document))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
        return False


def _has_sound_document(session_id: str, document: dict[str, Any]) -> bool:
    history, agent_id, url = document["history"], document["agent_id"], document["current_url"]
    actions, user_id, last = history["actions"], document["user_id"], history["last_action"]
    start = actions[0]["timestamp"]
    if len(history) != 2 or type(agent_id) is not str or not agent_id or type(user_id) not in (str, type(None)):
        return False
    state = new_document(session_id, agent_id, document["agent_name"], url, start)
    if _dumps(state.pop("history")["actions"][0]) != _dumps(actions[0]):
        return False
    state["user_id"] = user_id
    state["page_state"]["route"] = route = document["page_state"]["route"]
    if FORKED_FROM in document:
        state[FORKED_FROM] = document[FORKED_FROM]
    _parsed(start)
    latest, end = start, None
    active = actions[0]
    failed, op_ids = 0, []
    are_as_at_start = True
    for t, action in enumerate(actions[1:], 1):
        name, delta, latest = action["action"], action["delta"], action["timestamp"]
        if action["t"] != t or type(action["t"]) is not int or type(name) is not str or not name or end is not None:
            return False
        if type(delta) is not dict or "input" not in action:
            return False
        _parsed(latest)
        if "op_id" in action:
            op_ids.append(action["op_id"])
        if name == SESSION_END and "success" not in action:
            if delta:
                return False
            end = latest
            continue
        success = action["success"]
        if success is not True:
            if success is not False:
                return False
            failed += 1
        active = action
        if delta:
            if not _CLOSER.isdisjoint(delta):
                return False
            page = delta.get("page_state")
            if "current_url" in delta or (type(page) is dict and "route" in page):
                are_as_at_start = False
            _merge_into(state, delta)
    if not type(document["agent_name"]) is type(url) is type(route) is str or (are_as_at_start and url != route):
        return False
    if len(set(op_ids)) != len(op_ids) or not all(map(is_op_id, op_ids)):
        return False
    count = len(actions) - 1 - (end is not None)
    statistics = document["statistics"]
    state["statistics"] = {
        "total_actions": count,
        "successful_actions": count - failed,
        "failed_actions": failed,
        "session_start": statistics["session_start"],
        "last_activity": statistics["last_activity"],
        **({} if end is None else {"session_end": end}),
    }
    state["last_updated"] = document["last_updated"]
    if not (
        _is_time_of(document["last_updated"], actions[-1])
        and _is_time_of(statistics["last_activity"], active)
        and _is_time_of(statistics["session_start"], actions[0])
    ):
        return False
    head = document.copy()
    del head["history"]
    if orjson.dumps(state, option=_SORTED) != orjson.dumps(head, option=_SORTED):
        return False
    return last is None if len(actions) == 1 else _dumps(last) == _dumps(actions[-1])


_dumps = orjson.dumps


def _is_time_of(text: str, action: dict[str, Any]) -> bool:
    """Whether a time is that of an action; the app reads the clock several times for one."""
    expected = action["timestamp"]
    if text == expected:
        return True
    return "op_id" not in action and abs(_parsed(text) - _parsed(expected)) <= APP_TIMES


def continues_plainly(origin: Origin, document: dict[str, Any]) -> bool:
    """Whether an earlier version and the deltas since then give the state of a session that is plainly sound."""
    try:
        state: dict[str, Any] = {}
        _merge_into(state, _without_counts(origin.head))
        for action in document["history"]["actions"][origin.ordinal + 1 :]:
            _merge_into(state, action["delta"])
        return orjson.dumps(state, option=_SORTED) == orjson.dumps(_without_counts(document), option=_SORTED)
    except (TypeError, RecursionError):
        return False


def _without_counts(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that each action sets are those of the trajectory, since the session is sound."""
    return {name: value for name, value in document.items() if name not in ("history", "statistics", "last_updated")}


def _merge_into(target: dict[str, Any], delta: dict[str, Any]) -> None:
    """Merge a delta into a state in place; objects of the delta are copied."""
    for key, value in delta.items():
        if type(value) is dict:
            inner = target.get(key)
            if type(inner) is not dict:
                inner = target[key] = {}
            _merge_into(inner, value)
        else:
            target[key] = value


def _has_layout(raw: bytes, document: dict[str, Any]) -> bool:
    """Whether bytes are those that awictl writes for a document, or are on one line, as the app's."""
    slot = raw.find(b"\n") + 1
    if not slot:
        return True
    head = encode_head(document, slot)
    if len(head) != slot or not raw.startswith(head) or not raw.endswith(CLOSE):
        return False
    actions = document["history"]["actions"]
    for action in actions:  # where they can be found as bytes; see `byte_layout.encode_action`
        if next(iter(action)) != "t" or ("op_id" in action and next(reversed(action)) != "op_id"):
            return False
    return raw[slot : -len(CLOSE)].split(b",\n") == [_dumps(one) for one in actions]
