"""Make a new session of a state that a session has gone through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..action_numbers import first_ordinal, required_actions
from ..schema import APP_DOCUMENT_ID, FORKED_FROM, as_array, as_object
from .partial_update import is_end
from .timeline import StateAt, Step, Timeline

#: The time of an end that may have been among missing actions does not matter to a session that goes on.
_IRRELEVANT = "/statistics/session_end"


class ForkedDocument(NamedTuple):
    """A new session."""

    document: dict[str, Any]
    #: Earlier actions that are known and that its document lacks, oldest first.
    earlier: Sequence[Step]


def before_end(timeline: Timeline, state: StateAt) -> StateAt | None:
    """The state, or if that is the end of a session, the one before it; None if that is not known."""
    while is_end(state.step.action):
        steps = timeline.steps_until(state.ordinal, consecutive=True)
        if len(steps) < 2:
            return None
        state = timeline.state_at(steps[-2].ordinal)
    return state


def unknown_in_fork(state: StateAt) -> list[str]:
    """JSON pointers to what of a state is unknown, and would be missing from a session that begins with it."""
    return [place for place in state.unknown if place != _IRRELEVANT]


def fork(
    original_id: str,
    original: dict[str, Any],
    timeline: Timeline,
    state: StateAt,
    session_id: str,
    agent_id: str | None,
    max_actions: int,
) -> ForkedDocument:
    """A session with this id and state, and with the actions until then, of which its document has `max_actions`.

    `original`: the document of the timeline, as it is stored. At its newest action, the new document has exactly the
    same actions. `state`: one that `before_end` returned. `agent_id`: its agent; None: the same. Its document has no
    gap in its trajectory: what is before one is in `earlier`.
    """
    own = required_actions(original)
    steps = timeline.steps_until(state.ordinal, consecutive=True)
    as_stored = state.ordinal == timeline.last and 0 < len(own) <= min(max_actions, len(steps))
    steps = steps[-len(own) :] if as_stored else steps[-max_actions:]
    head = _with_earlier_end(timeline, state)
    unknown = state.unknown if head is state.head else unknown_in_fork(state)
    first = steps[0].ordinal
    if as_stored:
        history = original["history"]
    else:
        history = {name: value for name, value in state.head["history"].items() if name != "trimmed_actions"}
        history |= {"trimmed_actions": first} if first else {}
    document = {
        **{name: value for name, value in head.items() if name not in ("history", APP_DOCUMENT_ID)},
        "session_id": session_id,
        **_agent(head, agent_id),
        FORKED_FROM: _origin(original_id, timeline.head, state, unknown),
        "history": {**history, "actions": [one.action for one in steps]},
    }
    since = max((one for one in timeline.breaks if one <= state.ordinal), default=0)
    earlier = [one for one in timeline.steps_until(state.ordinal) if since <= one.ordinal < first]
    # they are archived by their ordinals, so these have to follow from the document
    return ForkedDocument(document, earlier if first_ordinal(document) == first else ())


def _with_earlier_end(timeline: Timeline, state: StateAt) -> dict[str, Any]:
    """The head of a state, with the time of the last end before it, after which the session went on."""
    ended = [one.action for one in timeline.steps_until(state.ordinal, consecutive=True) if is_end(one.action)]
    if not ended or _IRRELEVANT not in state.unknown:
        return state.head
    return {**state.head, "statistics": {**state.head["statistics"], "session_end": ended[-1].get("timestamp")}}


def _agent(head: dict[str, Any], agent_id: str | None) -> dict[str, Any]:
    if agent_id is None or agent_id == head.get("agent_id"):
        return {}
    return {"agent_id": agent_id, "agent_name": agent_id}


def _origin(session_id: str, head: dict[str, Any], state: StateAt, unknown: Sequence[str]) -> dict[str, Any]:
    """Where a session was forked from, and what was `unknown`, so that the fork lacks it."""
    origin: dict[str, Any] = {
        "session_id": session_id,
        "t": as_object(state.step.action).get("t"),
        "ordinal": state.ordinal,
    }
    if unknown:
        origin["unknown"] = list(unknown)
    if APP_DOCUMENT_ID in head:  # it did not begin as a new session
        origin[APP_DOCUMENT_ID] = head[APP_DOCUMENT_ID]
    return with_earlier_origin(origin, head)


def with_earlier_origin(origin: dict[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    """Where a copy of a session was made from; with what a session that is a copy itself lacks since then."""
    earlier = as_object(head.get(FORKED_FROM))
    if unknown := [*dict.fromkeys([*as_array(origin.get("unknown")), *as_array(earlier.get("unknown"))])]:
        origin["unknown"] = unknown
    if APP_DOCUMENT_ID in earlier:
        origin.setdefault(APP_DOCUMENT_ID, earlier[APP_DOCUMENT_ID])
    return origin
