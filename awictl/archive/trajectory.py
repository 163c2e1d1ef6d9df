"""The trajectory of an archived session: put trimmed actions back, and count actions by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..document.json_codec import encodable, json_equal
from ..document.schema import SESSION_END, SESSION_START, as_array, as_object
from .chunks import Chunk


@dataclass(frozen=True)
class ActionCount:
    """How often an action was taken in a session."""

    count: int = 0
    failed: int = 0


def with_trimmed_actions(document: dict[str, Any], chunks: Iterable[Chunk]) -> dict[str, Any]:
    """Return the document with the actions in `chunks` put back in front of its trajectory.

    `history.trimmed_actions` of the result is the number of actions that are still missing; it is absent if there are
    none. Chunks may overlap, since several processes may have trimmed the same actions. If they disagree about the
    action at one position, both are kept.
    """
    history = as_object(document.get("history"))
    trimmed = history.get("trimmed_actions")
    if type(trimmed) is not int or trimmed <= 0:
        return document
    by_ordinal: dict[int, list[Any]] = {}
    for chunk in chunks:
        for ordinal, action in enumerate(chunk.actions, chunk.first):
            known = by_ordinal.setdefault(ordinal, [])
            if ordinal < trimmed and not any(json_equal(action, one) for one in known):
                known.append(action)
    restored = [action for ordinal in sorted(by_ordinal) for action in by_ordinal[ordinal]]
    missing = trimmed - sum(1 for known in by_ordinal.values() if known)
    others = {name: value for name, value in history.items() if name not in ("actions", "trimmed_actions")}
    still_trimmed = {"trimmed_actions": missing} if missing else {}
    actions = restored + as_array(history.get("actions"))
    return {**document, "history": {**others, **still_trimmed, "actions": actions}}


def count_actions(actions: Iterable[Any]) -> dict[str, ActionCount]:
    """Count actions by name. The start and the end of a session are not counted."""
    counts: dict[str, list[int]] = {}
    for action in actions:
        name = action.get("action") if isinstance(action, dict) else None
        if isinstance(name, str) and name not in (SESSION_START, SESSION_END):
            count = counts.setdefault(encodable(name), [0, 0])
            count[0] += 1
            count[1] += action.get("success") is False
    return {name: ActionCount(*count) for name, count in counts.items()}
