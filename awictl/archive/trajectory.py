"""A trajectory that is complete: the actions that left a session early, and those that it still had at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..document.json_codec import dumps, encodable, json_equal
from ..document.schema import SESSION_END, SESSION_START, as_array, as_object


@dataclass(frozen=True)
class Chunk:
    """Actions that left a session, oldest first."""

    #: How many actions had left before.
    first: int
    actions: Sequence[Any]


@dataclass(frozen=True)
class ActionCount:
    """How often an action was taken in a session."""

    count: int = 0
    failed: int = 0


def complete(document: dict[str, Any], chunks: Iterable[Chunk]) -> dict[str, Any]:
    """The document with the actions in `chunks` back in its trajectory.

    `history.trimmed_actions` is then the number of those that are still missing, and gone where none are. Chunks may
    overlap, since several processes may have dropped the same actions; where they differ, both actions are kept.
    """
    history = as_object(document.get("history"))
    left = history.get("trimmed_actions")
    if type(left) is not int or left <= 0:
        return document
    dropped: dict[int, list[Any]] = {}
    for chunk in chunks:
        for number, action in enumerate(chunk.actions, chunk.first):
            known = dropped.setdefault(number, [])
            if number < left and not any(_same(action, one) for one in known):
                known.append(action)
    actions = [action for number in sorted(dropped) for action in dropped[number]]
    missing = left - sum(1 for known in dropped.values() if known)
    rest = {name: value for name, value in history.items() if name not in ("actions", "trimmed_actions")}
    counted = {"trimmed_actions": missing} if missing else {}
    whole = {**rest, **counted, "actions": actions + as_array(history.get("actions"))}
    return {**document, "history": whole}


def _same(one: Any, other: Any) -> bool:
    try:
        return json_equal(one, other)
    except RecursionError:  # nested deeper than that they are the same only to the letter
        return dumps(one) == dumps(other)


def count_actions(actions: Iterable[Any]) -> dict[str, ActionCount]:
    """How often each action was taken, by its name; the start and the end of a session are none."""
    counts: dict[str, list[int]] = {}
    for action in actions:
        name = action.get("action") if isinstance(action, dict) else None
        if isinstance(name, str) and name not in (SESSION_START, SESSION_END):
            count = counts.setdefault(encodable(name), [0, 0])
            count[0] += 1
            count[1] += action.get("success") is False
    return {name: ActionCount(*count) for name, count in counts.items()}
