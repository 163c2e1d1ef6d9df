"""Apply an action to what is known of a state, and take it back; the state of a new session.

A state is a document without its history. `update.apply_update` does the same to whole documents: it merges the delta,
counts the action, and sets the times.
"""

from __future__ import annotations

from typing import Any

from ..schema import APP_DOCUMENT_ID, FORKED_FROM, PROTECTED_FIELDS, SESSION_END, SESSION_START, as_object, new_document
from .partial_state import UNKNOWN, MaybeObject, OpenObject, redo, undo

#: Fields of which the value in a new session depends on who creates it. Times: the app reads the clock several times.
_VARYING = (
    ("agent_name",),
    ("user_id",),
    ("current_url",),
    ("page_state", "route"),
    ("statistics", "session_start"),
    ("statistics", "last_activity"),
    ("last_updated",),
)


def is_start(action: Any) -> bool:
    """Whether an action is the start of a session, which is not counted and has no outcome."""
    record = as_object(action)
    return record.get("action") == SESSION_START and "success" not in record


def is_end(action: Any) -> bool:
    """Whether an action is the end of a session, which is not counted and has no outcome."""
    record = as_object(action)
    return record.get("action") == SESSION_END and "success" not in record


def applied(state: dict[str, Any], action: Any) -> dict[str, Any]:
    """What is known of a state without history after an action; see `update.apply_update`."""
    record = as_object(action)
    delta = _delta_of(record)
    after: dict[str, Any] = redo(state, delta) if delta is not None else unchanging(state)
    if is_start(action):
        return after
    now = record.get("timestamp", UNKNOWN)
    if isinstance(statistics := after.get("statistics"), dict):
        after["statistics"] = _counted(statistics, action, now)
    after["last_updated"] = now
    return after


def taken_back(state: dict[str, Any], action: Any) -> dict[str, Any]:
    """What is known of a state without history before an action, from the one after it."""
    delta = _delta_of(as_object(action))
    if delta is None:
        return unchanging(state)
    before = copied(state)
    if not is_start(action):
        if isinstance(statistics := before.get("statistics"), dict):
            before["statistics"] = _uncounted(statistics, action)
        elif type(statistics) is MaybeObject:
            before["statistics"] = MaybeObject(_uncounted(statistics.fields, action))
        before["last_updated"] = UNKNOWN
    undone: dict[str, Any] = undo(before, delta)
    return undone


def _delta_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """The delta of an action; None if it is not known, as in documents that the app archived."""
    delta = record.get("delta", {} if record.get("action") in (SESSION_START, SESSION_END) else None)
    return delta if isinstance(delta, dict) else None


def unchanging(state: dict[str, Any]) -> dict[str, Any]:
    """What is known of any other state of a session: the fields that no delta changes."""
    return OpenObject({name: state[name] for name in PROTECTED_FIELDS if name in state})


def _counted(statistics: dict[str, Any], action: Any, now: Any) -> dict[str, Any]:
    """What is known of statistics after an action; see `update.counted`."""
    after = copied(statistics)
    if is_end(action):
        after["session_end"] = now
        return after
    for name in counts_of(action):
        count = after.get(name, UNKNOWN if type(after) is OpenObject else 0)
        if type(count) is int:
            after[name] = count + 1
    after["last_activity"] = now
    return after


def _uncounted(statistics: dict[str, Any], action: Any) -> dict[str, Any]:
    """What is known of statistics before an action, from those after it."""
    before = copied(statistics)
    if is_end(action):
        before["session_end"] = UNKNOWN
        return before
    for name in counts_of(action):
        if type(count := before.get(name)) is int:
            # the counts of a new session are there; those of other statistics are added by the first action
            certain = count > 1 or (count == 1 and "session_start" in before)
            before[name] = count - 1 if certain else UNKNOWN
    before["last_activity"] = UNKNOWN
    return before


def counts_of(action: Any) -> tuple[str, str]:
    """The names of the counts that an action increases; the start and the end of a session increase none."""
    succeeded = as_object(action).get("success") is not False
    return "total_actions", "successful_actions" if succeeded else "failed_actions"


def copied(state: dict[str, Any]) -> dict[str, Any]:
    return OpenObject(state) if type(state) is OpenObject else dict(state)


def opened(state: dict[str, Any]) -> dict[str, Any]:
    """A state that says nothing of the fields that it and its objects lack."""
    return OpenObject({name: opened(value) if isinstance(value, dict) else value for name, value in state.items()})


def without_actions(document: dict[str, Any]) -> dict[str, Any]:
    """A document without its trajectory."""
    history = {name: value for name, value in as_object(document.get("history")).items() if name != "actions"}
    return {**document, "history": history}


def state_of(head: dict[str, Any]) -> dict[str, Any]:
    """A document without its history: the part of it that deltas change."""
    return {name: value for name, value in head.items() if name != "history"}


def beginning(head: dict[str, Any], first: Any) -> dict[str, Any] | None:
    """The state of a new session, as the app and awictl create it; None if the session did not begin as one.

    `first`: its first action.
    """
    if not is_start(first) or APP_DOCUMENT_ID in head or APP_DOCUMENT_ID in as_object(head.get(FORKED_FROM)):
        return None
    state = state_of(new_document(head.get("session_id", ""), head.get("agent_id", ""), "", "", ""))
    for *parents, name in _VARYING:
        place = state
        for parent in parents:
            place = place[parent]
        place[name] = UNKNOWN
    return state | ({FORKED_FROM: head[FORKED_FROM]} if FORKED_FROM in head else {})


def with_one_route(start: dict[str, Any]) -> dict[str, Any]:
    """The state of a new session with both fields that have its route, `current_url` too, if one of them is known."""
    page, url = start.get("page_state"), start.get("current_url", UNKNOWN)
    if type(page) is not dict or (url is UNKNOWN) == (page.get("route", UNKNOWN) is UNKNOWN):
        return start
    return start | ({"current_url": page["route"]} if url is UNKNOWN else {"page_state": page | {"route": url}})
