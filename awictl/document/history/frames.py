"""The frames of a replay: each action of a trajectory with the state after it, and the fields that it changed."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from typing import Any, NamedTuple

from ...errors import InvalidData
from ..action_numbers import gap_row
from ..json_codec import json_equal
from ..merge import pointer
from ..schema import as_object
from .partial_state import ABSENT, UNKNOWN
from .timeline import StateAt, Step, Timeline

#: Fields that are not part of the state of a frame: the action itself is there already.
_LEFT_OUT = "history"
#: Fields that every action changes by itself.
_COUNTERS = ("total_actions", "successful_actions", "failed_actions", "last_activity")
_BOOKKEEPING = {"/last_updated", *(f"/statistics/{name}" for name in _COUNTERS)}
#: So many frames are computed at once.
_BLOCK = 128


class ChangeKind(StrEnum):
    """How a field changed."""

    CHANGED = "changed"
    NEW = "new"
    REMOVED = "removed"
    #: Its value before the action, or after it, is unknown.
    UNKNOWN = "unknown"


class FieldChange(NamedTuple):
    """A field that an action changed, or may have changed."""

    #: A JSON pointer.
    field: str
    #: The values; ABSENT, or UNKNOWN.
    before: Any
    after: Any

    @property
    def kind(self) -> ChangeKind:
        """How it changed."""
        if self.before is UNKNOWN or self.after is UNKNOWN:
            return ChangeKind.UNKNOWN
        if self.before is ABSENT:
            return ChangeKind.NEW
        return ChangeKind.REMOVED if self.after is ABSENT else ChangeKind.CHANGED


class Frame(NamedTuple):
    """An action, and the states before and after it."""

    step: Step
    #: None if nothing is known of it: this is the oldest action that is known.
    before: StateAt | None
    #: None if the action was overwritten, and no older action is known.
    after: StateAt | None
    #: The ordinals of the first and the last action that are missing before this one. If their number is unknown: the
    #: ordinal of this one, and None.
    gap: tuple[int, int | None] | None = None

    @property
    def state(self) -> dict[str, Any]:
        """The state after the action: the document without its history, as far as it is known."""
        head = self.after.head if self.after is not None else {}
        return {name: value for name, value in head.items() if name != _LEFT_OUT}

    @property
    def unknown(self) -> tuple[str, ...]:
        """JSON pointers to what is unknown of the state."""
        return self.after.unknown if self.after is not None else ("",)

    def changes(self) -> list[FieldChange]:
        """The fields that the action changed, or may have changed. Raises InvalidData if they are nested too deeply.

        Without the counts and times that each action changes, unless its delta sets them.
        """
        if self.step.overwritten or self.after is None:
            return []
        delta = as_object(as_object(self.step.action).get("delta"))
        try:
            if self.before is None:
                return [*_set_by(delta, self.state, "")]
            found = [*_changes(self.before.head, self.after.head, _Unknown(self.before, self.after), "")]
        except RecursionError:
            raise InvalidData("the states are nested too deeply to be compared") from None
        set_itself = {pointer("", name) for name in delta}
        return [one for one in found if one.field not in _BOOKKEEPING or f"/{one.field.split('/')[1]}" in set_itself]

    def row(self) -> dict[str, Any]:
        """The frame as JSON values."""
        action = self.step.action if isinstance(self.step.action, dict) else {"action": self.step.action}
        names = ("action", "input", "success", "observation")
        return {
            "t": action.get("t"),
            "ordinal": self.step.ordinal,
            "timestamp": action.get("timestamp"),
            **{name: action.get(name) for name in names},
            "overwritten": self.step.overwritten,
            "gap": gap_row(*self.gap) if self.gap is not None else None,
            "changed": [one.field for one in self.changes()],
            "unknown": list(self.unknown),
            "state": self.state,
        }


def frames(timeline: Timeline, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """The frames of the actions with the indexes from `start` to before `stop`, oldest first, in one pass."""
    steps = timeline.steps[:stop]
    first = next((at for at in range(start - 1, -1, -1) if not steps[at].overwritten), None)
    kept = [one.ordinal for one in steps[first or 0 :] if not one.overwritten]
    states = timeline.states(kept[0], kept[-1]) if kept else iter(())
    before = next(states) if first is not None else None
    for step in steps[start:]:
        if step.overwritten:
            yield Frame(step, before, before)
        else:
            after = next(states)
            yield Frame(step, before, after, _gap(timeline, before, step.ordinal))
            before = after


def _gap(timeline: Timeline, before: StateAt | None, ordinal: int) -> tuple[int, int | None] | None:
    """The gap before an action. `before`: the state after the previous one."""
    expected = before.ordinal + 1 if before is not None else 0
    if ordinal > expected:
        return expected, ordinal - 1
    return (ordinal, None) if ordinal in timeline.breaks else None


class Frames:
    """The frames of a session by index. Those near the last one that was read cost little."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._blocks: dict[int, list[Frame]] = {}

    def __len__(self) -> int:
        return len(self.timeline.steps)

    def __getitem__(self, index: int) -> Frame:
        block = index // _BLOCK
        if block not in self._blocks:
            nearby = {one: found for one, found in self._blocks.items() if abs(one - block) == 1}
            self._blocks = nearby | {block: [*frames(self.timeline, block * _BLOCK, (block + 1) * _BLOCK)]}
        return self._blocks[block][index - block * _BLOCK]


class _Unknown:
    """What is unknown of two states."""

    def __init__(self, before: StateAt, after: StateAt) -> None:
        self.before, self.after = frozenset(before.unknown), frozenset(after.unknown)


def _changes(before: dict[str, Any], after: dict[str, Any], unknown: _Unknown, path: str) -> Iterator[FieldChange]:
    for key in chain(after, (key for key in before if key not in after)):
        if not path and key == _LEFT_OUT:
            continue
        place = pointer(path, key)
        old, new = _at(before, key, place, path, unknown.before), _at(after, key, place, path, unknown.after)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, unknown, place)
        elif old is not new and (ABSENT in (old, new) or UNKNOWN in (old, new) or not json_equal(old, new)):
            yield FieldChange(place, old, new)


def _at(state: dict[str, Any], key: str, place: str, path: str, unknown: frozenset[str]) -> Any:
    if key in state:
        return state[key]
    return UNKNOWN if place in unknown or path in unknown else ABSENT


def _set_by(delta: dict[str, Any], state: Any, path: str) -> Iterator[FieldChange]:
    """The fields that a delta set in a state, of which nothing before is known."""
    for key, value in delta.items():
        place = pointer(path, key)
        new = as_object(state).get(key, UNKNOWN)
        if isinstance(value, dict) and isinstance(new, dict) and new:
            yield from _set_by(value, new, place)
        elif new is not UNKNOWN:
            yield FieldChange(place, UNKNOWN, new)
