"""Verify a session: does its history explain its state, and is everything in it as the data contract demands?

`verify` checks a document and, if they are given, its stored bytes, its last delta and further actions of its
trajectory. What it finds wrong is a `Discrepancy`; what is remarkable, but right, is a note. Not wrong is what
the app does by design (DESIGN, section 2): a start and an end without success, which it does not count; a `t` that
sticks at 100; a trajectory that was cut to its last 100 actions; times of one update that differ by some milliseconds.

What a document alone cannot show: a change of what no delta set and no new session has (the agent, the first route),
and of what nothing else depends on (names, inputs, observations and times of earlier actions, deltas that later ones
replaced). An archived copy shows that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final

from ...util.humanize import plural
from ..action_numbers import required_actions, t_of
from ..history.partial_state import ABSENT
from ..history.partial_update import is_start
from ..history.timeline import Step, steps_of
from ..json_codec import json_equal
from ..schema import ARCHIVED_BY_APP, as_object
from .action_checks import check_actions, check_numbers
from .discrepancy import DamageKind, Discrepancy, Origin, Verification, is_from_app
from .layout_checks import check_layout
from .quick import continues_plainly, is_plainly_sound
from .state_checks import check_counts, check_origin, check_state, check_times

__all__ = ["DamageKind", "Discrepancy", "Origin", "Verification", "verify"]

#: What is said of a session of which only the app archived a part.
NOTHING_KEPT = "archived by the app, which kept no deltas and no state: nothing can be verified"
#: No check of the last delta is wanted.
NO_DIFF: Final = object()


def verify(
    session_id: str,
    document: dict[str, Any],
    *,
    raw: bytes | None = None,
    diff: Any = NO_DIFF,
    steps: Sequence[Step] | None = None,
    origin: Origin | None = None,
) -> Verification:
    """Return what is wrong with the document of a session.

    `session_id`: that of its key. `raw`: its stored bytes. `diff`: the decoded AWI:DIFF of the session. `steps`: the
    whole trajectory as far as it is known; by default, the one in the document. `origin`: an earlier version, such as
    an archived one. Raises InvalidData if it has no trajectory.
    """
    found = Verification()
    if document.get(ARCHIVED_BY_APP) is True:
        found.notes.append(NOTHING_KEPT)
        return found
    is_sound = steps is None and is_plainly_sound(session_id, document, raw)
    if is_sound and origin is not None and continues_plainly(origin, document):
        origin = None
    if is_sound and origin is None and diff is NO_DIFF:
        return found
    steps = steps_of(document) if steps is None else steps
    if not is_sound:
        found = _checked(session_id, document, steps)
        if found.differences and (otherwise := _with_overwritten(document)) is not None:
            other, its_steps, count = otherwise
            without = _checked(session_id, other, its_steps)
            if not without.differences:
                found, steps = without, its_steps
                found.notes.append(f"another writer overwrote {plural(count, 'action')}")
        if raw is not None:
            check_layout(raw, document, found)
    kept = [one for one in steps if not one.overwritten]
    if origin is not None:
        with suppress(RecursionError):  # noted above
            check_origin(document, kept, origin, found)
    if diff is not NO_DIFF:
        _check_diff(diff, kept, found)
    return found


def _checked(session_id: str, document: dict[str, Any], steps: Sequence[Step]) -> Verification:
    """All that the document and its trajectory tell."""
    found = Verification()
    kept = [one for one in steps if not one.overwritten]
    _check_identity(session_id, document, found)
    check_actions(document, steps, found)
    check_numbers(document, found)
    _note_gaps(document, kept, found)
    try:
        check_state(document, kept, found)
        check_counts(document, kept, found)
        check_times(document, kept, found)
    except RecursionError:
        found.notes.append("its values are nested too deeply: the state could not be verified")
    return found


def _with_overwritten(document: dict[str, Any]) -> tuple[dict[str, Any], list[Step], int] | None:
    """The document without actions that another writer overwrote, if numbers that repeat tell of some; and how many.

    While a session is ended, the app may write it back without actions that were recorded meanwhile. Then the ended
    session has the actions of both versions (see `rejoin`), and the state of the last one.
    """
    actions = required_actions(document)
    if not actions or not is_start(actions[0]) or t_of(actions[0]) != 0:
        return None  # in a session that the app cut, its numbers repeat as well
    kept: list[Any] = []
    for action in actions:
        number = t_of(action)
        while kept and number is not None and (before := t_of(kept[-1])) is not None and before >= number:
            kept.pop()
        kept.append(action)
    if len(kept) == len(actions) or kept[0] is not actions[0]:
        return None
    other = {**document, "history": {**document["history"], "actions": kept}}
    return other, steps_of(other), len(actions) - len(kept)


def _check_identity(session_id: str, document: Mapping[str, Any], found: Verification) -> None:
    stored = document.get("session_id", ABSENT)
    if stored != session_id or not isinstance(stored, str):
        found.add(DamageKind.IDENTITY, "/session_id", session_id, stored, "is not the id in the session's key")
    agent_id = document.get("agent_id", ABSENT)
    if not isinstance(agent_id, str) or not agent_id:
        found.add(DamageKind.IDENTITY, "/agent_id", "a string", agent_id, "is not the id of an agent")


def _note_gaps(document: Mapping[str, Any], kept: Sequence[Step], found: Verification) -> None:
    ordinals = [-1, *(one.ordinal for one in kept)]
    gaps = [(before + 1, after - 1) for before, after in pairwise(ordinals) if after > before + 1]
    for first, last in gaps:
        found.notes.append(f"actions {first} to {last} are missing" if last > first else f"action {first} is missing")
    if is_from_app(document):
        found.notes.append("copied from the app's own session in MongoDB, which recorded no deltas: its state before")
        found.notes[-1] += " the copy cannot be verified"


def _check_diff(diff: Any, kept: Sequence[Step], found: Verification) -> None:
    """Check the last delta, which is derived from the last action."""
    record = as_object(diff)
    action = record.get("action", ABSENT)
    last = kept[-1] if kept else None
    if last is not None and json_equal(action, last.action):
        delta = as_object(last.action).get("delta")
        if not json_equal(record.get("delta", ABSENT), delta):
            text = "AWI:DIFF has another delta than the last action"
            found.add(DamageKind.DIFF, "/delta", delta, record.get("delta", ABSENT), text, last)
        return
    if any(json_equal(action, one.action) for one in reversed(kept[-20:])):
        found.notes.append("AWI:DIFF is of an earlier action than the last one")
        return
    expected = last.action if last is not None else ABSENT
    found.add(DamageKind.DIFF, "/action", expected, action, "AWI:DIFF has an action that is not the last one", last)
