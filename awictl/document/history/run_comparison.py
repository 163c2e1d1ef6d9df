"""Compare two runs: the trajectories of two sessions, aligned, and where they diverge."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from ...errors import InvalidData
from ..action_keys import key_of
from ..json_codec import json_equal
from ..merge import DocumentDifference, compare, pointer
from ..schema import OWN_FIELDS, as_object, shared_state
from .alignment import MAX_CELLS, Pair, align
from .timeline import StateAt, Step, Timeline

#: What is compared of two actions that have been found equal: their outcomes.
OUTCOME_FIELDS = ("success", "delta", "observation")


class Aligned(StrEnum):
    """How an action in one run and one in the other are related."""

    #: The same action with the same outcome.
    EQUAL = "equal"
    #: The same action with another outcome.
    OUTCOME = "outcome"
    #: An action that only one of the runs has at this place.
    FIRST = "first"
    SECOND = "second"


class AlignedRow(NamedTuple):
    """An action of both runs, or of one of them."""

    first: Step | None
    second: Step | None
    #: Those of OUTCOME_FIELDS in which they differ.
    differs: tuple[str, ...] = ()

    @property
    def kind(self) -> Aligned:
        """How the two are related."""
        if self.first is None:
            return Aligned.SECOND
        if self.second is None:
            return Aligned.FIRST
        return Aligned.OUTCOME if self.differs else Aligned.EQUAL

    def row(self) -> dict[str, Any]:
        """The pair as JSON values."""
        return {"kind": self.kind.value, **_pair(self.first, self.second), "differs": list(self.differs)}


@dataclass(frozen=True)
class StateComparison:
    """How the states of two runs differ at some moment: what a session and its agent have by themselves is left out."""

    first: dict[str, Any]
    second: dict[str, Any]
    difference: DocumentDifference
    #: JSON pointers to what is unknown in at least one of them.
    unknown: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return {
            "delta": self.difference.delta,
            "removed": self.difference.removed,
            "unknown": list(self.unknown),
        }


@dataclass(frozen=True)
class Divergence:
    """The first place at which the actions of two runs differ."""

    #: The next action of each run; None if it has no more.
    first: Step | None
    second: Step | None
    #: The states just before; None if one of the runs has no state there.
    states: StateComparison | None

    def row(self) -> dict[str, Any]:
        """The place as JSON values."""
        states = self.states.row() if self.states is not None else None
        return {**_pair(self.first, self.second), "states_before": states}


@dataclass(frozen=True)
class RunComparison:
    """Two runs, aligned."""

    rows: Sequence[AlignedRow]
    #: None if both have the same actions.
    divergence: Divergence | None
    #: Whether the alignment is a longest common subsequence (see `alignment`).
    exact: bool

    @property
    def equal(self) -> bool:
        """Whether both runs have the same actions with the same outcomes."""
        return all(one.kind is Aligned.EQUAL for one in self.rows)

    @property
    def other_outcome(self) -> AlignedRow | None:
        """The first action that both runs have, with different outcomes."""
        return next((one for one in self.rows if one.kind is Aligned.OUTCOME), None)

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        kinds = [one.kind for one in self.rows]
        return {kind.value: kinds.count(kind) for kind in Aligned}

    def row(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        outcome = self.other_outcome
        return {
            "equal": self.equal,
            "counts": self.counts(),
            "exact": self.exact,
            "divergence": self.divergence.row() if self.divergence is not None else None,
            "other_outcome": outcome.row() if outcome is not None else None,
            "actions": [one.row() for one in self.rows],
        }


def compare_runs(first: Timeline, second: Timeline, max_cells: int = MAX_CELLS) -> RunComparison:
    """Align the trajectories of two sessions by name and input of their actions, and find where they diverge.

    `max_cells`: see `alignment.align`. Raises InvalidData if the states are nested too deeply.
    """
    found = align([_key(one.action) for one in first.steps], [_key(one.action) for one in second.steps], max_cells)
    rows = list(_rows(first.steps, second.steps, found.pairs))
    parted = next((at for at, one in enumerate(rows) if one.kind in (Aligned.FIRST, Aligned.SECOND)), None)
    if parted is None:
        return RunComparison(rows, None, found.exact)
    # the common beginning is aligned: both runs have had equally many actions
    one, other = (timeline.steps[parted] if parted < len(timeline.steps) else None for timeline in (first, second))
    return RunComparison(rows, Divergence(one, other, _states_before(first, second, parted)), found.exact)


def _key(action: Any) -> Hashable:
    """What is compared of an action to align it: its name and its input, as JSON values."""
    if not isinstance(action, dict):
        return key_of(action)
    return key_of({name: action[name] for name in ("action", "input") if name in action})


def _rows(first: Sequence[Step], second: Sequence[Step], pairs: Sequence[Pair]) -> Iterator[AlignedRow]:
    at, other_at = 0, 0
    for end, other_end in (*pairs, (len(first), len(second))):
        for one in first[at:end]:
            yield AlignedRow(one, None)
        for one in second[other_at:other_end]:
            yield AlignedRow(None, one)
        if end < len(first) and other_end < len(second):
            yield AlignedRow(first[end], second[other_end], _differing(first[end].action, second[other_end].action))
        at, other_at = end + 1, other_end + 1


def _differing(first: Any, second: Any) -> tuple[str, ...]:
    """The fields of the outcome in which two actions differ."""
    one, other = as_object(first), as_object(second)
    return tuple(
        name
        for name in OUTCOME_FIELDS
        if (name in one) is not (name in other) or (name in one and not json_equal(one[name], other[name]))
    )


def _states_before(first: Timeline, second: Timeline, index: int) -> StateComparison | None:
    """Compare the states before the actions with this index."""
    states = [_state_before(one, index) for one in (first, second)]
    if states[0] is None or states[1] is None:
        return None
    return compare_run_states(states[0], states[1])


def compare_run_states(first: StateAt, second: StateAt) -> StateComparison:
    """Compare states of two runs as far as both are known. Raises InvalidData if they are nested too deeply."""
    unknown = set(first.unknown), set(second.unknown)
    one, other = shared_state(first.head), shared_state(second.head)
    try:
        one, other = _comparable(one, other, unknown[1]), _comparable(other, one, unknown[0])
    except RecursionError:
        raise InvalidData("the states are nested too deeply to be compared") from None
    own = {pointer("", name) for name in OWN_FIELDS}
    places = sorted(place for place in unknown[0] | unknown[1] if "/".join(place.split("/")[:2]) not in own)
    return StateComparison(one, other, compare(one, other), tuple(places))


def _state_before(timeline: Timeline, index: int) -> StateAt | None:
    before = [one.ordinal for one in timeline.steps[:index] if not one.overwritten]
    return timeline.state_at(before[-1]) if before else None


def _comparable(state: dict[str, Any], other: dict[str, Any], unknown: set[str], path: str = "") -> dict[str, Any]:
    """A state without the fields that the `other` one lacks because they are `unknown` there."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        place = pointer(path, key)
        if key in other:
            inner = isinstance(value, dict) and isinstance(other[key], dict)
            found[key] = _comparable(value, other[key], unknown, place) if inner else value
        elif path not in unknown and place not in unknown:
            found[key] = value
    return found


def _pair(first: Step | None, second: Step | None) -> dict[str, Any]:
    return {"first": step_row(first), "second": step_row(second)}


def step_row(step: Step | None) -> dict[str, Any] | None:
    """An action as JSON values: its own fields, with its ordinal."""
    if step is None:
        return None
    action = step.action if isinstance(step.action, dict) else {"action": step.action}
    return {**action, "ordinal": step.ordinal} | ({"overwritten": True} if step.overwritten else {})
