"""The trajectory of an archived session: put chunks back, and count actions by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..document.action_keys import key_of
from ..document.history.timeline import Step
from ..document.json_codec import encodable
from ..document.schema import SESSION_END, SESSION_START, as_array, as_object, as_text
from .chunks import Chunk


@dataclass(frozen=True)
class ActionCount:
    """How often an action was taken in a session."""

    count: int = 0
    failed: int = 0


def with_chunks(document: dict[str, Any], first: int, chunks: Iterable[Chunk]) -> dict[str, Any]:
    """Return the document with the actions in `chunks` put back into its trajectory (see `arranged`).

    first: ordinal of the first action in the document. `history.trimmed_actions` of the result is the number of
    actions that are still missing; it is absent if there are none.
    """
    chunks = list(chunks)
    if not chunks:
        return document
    history = as_object(document.get("history"))
    steps = arranged(as_array(history.get("actions")), first, chunks)
    ordinals = {one.ordinal for one in steps if not one.overwritten}
    lost = max(ordinals, default=-1) + 1 - len(ordinals)
    others = {name: value for name, value in history.items() if name not in ("actions", "trimmed_actions")}
    still_trimmed = {"trimmed_actions": lost} if lost else {}
    return {**document, "history": {**others, **still_trimmed, "actions": [one.action for one in steps]}}


def arranged(actions: Sequence[Any], first: int, chunks: Iterable[Chunk]) -> list[Step]:
    """Return a trajectory with the actions in `chunks` put back. first: ordinal of the first of its own `actions`.

    Chunks may overlap, since several processes may have stored the same actions. If they disagree about the action at
    one ordinal, both are kept; that of the document counts, or else the one with the latest time: who overwrites an
    action does so later. Overwritten actions are put in front of the action that took the place of the first of them.
    """
    chunks = list(chunks)
    by_ordinal: dict[int, list[Any]] = {}
    for chunk in chunks:
        if not chunk.overwritten:
            for ordinal, action in enumerate(chunk.actions, chunk.first):
                if _add(found := by_ordinal.setdefault(ordinal, []), action) and len(found) > 1:
                    found.sort(key=_time)
    for ordinal, action in enumerate(actions, first):
        others = [one for one in by_ordinal.get(ordinal, ()) if key_of(one) != key_of(action)]
        by_ordinal[ordinal] = [*others, action]
    overwritten: dict[int, list[Step]] = {}
    overwritten_at: dict[int, list[Any]] = {}
    for chunk in chunks:
        if chunk.overwritten:
            for ordinal, action in enumerate(chunk.actions, chunk.first):
                known = overwritten_at.setdefault(ordinal, list(by_ordinal.get(ordinal, ())))
                if _add(known, action):
                    overwritten.setdefault(chunk.first, []).append(Step(ordinal, action, overwritten=True))
    steps: list[Step] = []
    for at in sorted(by_ordinal.keys() | overwritten.keys()):
        steps += overwritten.get(at, ())
        found = by_ordinal.get(at, [])
        steps += [Step(at, one, overwritten=True) for one in found[:-1]]
        steps += [Step(at, one) for one in found[-1:]]
    return steps


def _add(known: list[Any], action: Any) -> bool:
    """Add an action to those at one ordinal, unless it is one of them. Returns whether it was added."""
    if known and key_of(action) in map(key_of, known):
        return False
    known.append(action)
    return True


def _time(action: Any) -> str:
    return as_text(as_object(action).get("timestamp")) or ""


def add_counts(*counts: Mapping[str, ActionCount]) -> dict[str, ActionCount]:
    """Add up counts by name."""
    total: dict[str, ActionCount] = {}
    for one in counts:
        for name, counted in one.items():
            before = total.get(name, ActionCount())
            total[name] = ActionCount(before.count + counted.count, before.failed + counted.failed)
    return total


def count_actions(actions: Iterable[Any]) -> dict[str, ActionCount]:
    """Count actions by name. The start and the end of a session are not counted."""
    found = [one for one in actions if isinstance(one, dict)]
    names = Counter([name for one in found if isinstance(name := one.get("action"), str)])
    failed = Counter(
        [name for one in found if one.get("success") is False and isinstance(name := one.get("action"), str)]
    )
    for name in (SESSION_START, SESSION_END):
        del names[name]
    # different names may become equal when they are made encodable
    return add_counts(*({encodable(name): ActionCount(count, failed[name])} for name, count in names.items()))
