"""The states that a session has gone through, computed from its trajectory and its present state.

The state after an action is known from two sides: *forward*, from the deltas up to that action, and *backward*, from
the present state without the deltas since then. Neither is complete where actions are missing, so both are combined:

    actions              … missing …   27   28   29   …   126   present state
    forward              (nothing known)────────▶ 29
    backward                                     29 ◀──────────────

If the trajectory begins with the start of the session, the state there is that of a new session (`beginning`). A gap in
the trajectory may have changed anything: nothing is carried over it in either direction. An action that another writer
overwrote is in the trajectory, but its delta is not in any later state.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from ...errors import InvalidData, NotFound
from ..action_numbers import first_ordinal, required_actions
from ..schema import as_object, as_text
from ..timestamps import parse_timestamp, with_offset
from .partial_state import UNKNOWN, combine, known_part, unknown_pointers
from .partial_update import (
    applied,
    beginning,
    copied,
    is_end,
    is_start,
    opened,
    state_of,
    taken_back,
    unchanging,
    with_one_route,
    without_actions,
)

#: A backward state is kept for one in so many actions; those between are computed again when they are needed.
_KEPT_EVERY = 128


class Step(NamedTuple):
    """An action of a trajectory."""

    #: Its position in the session's whole life, from 0. It is its `t`, unless the app cut the session before.
    ordinal: int
    action: Any
    #: Whether another writer overwrote it in Redis after it was archived: its delta is not in any later state.
    overwritten: bool = False


class StateAt(NamedTuple):
    """What is known of a session right after one of its actions."""

    step: Step
    #: The document without its trajectory, as far as it is known.
    head: dict[str, Any]
    #: JSON pointers to what is not: the value there, or, where `head` has an object, its other keys.
    unknown: tuple[str, ...] = ()
    #: JSON pointers to fields of which the present state does not fit the trajectory. `head` has what that says.
    conflicts: tuple[str, ...] = ()

    @property
    def ordinal(self) -> int:
        """The ordinal of the action."""
        return self.step.ordinal

    def row(self) -> dict[str, Any]:
        """The moment as JSON values, as it is added to a document of then."""
        action = as_object(self.step.action)
        return {
            "t": action.get("t"),
            "ordinal": self.ordinal,
            "timestamp": action.get("timestamp"),
            "unknown": list(self.unknown),
        }


def steps_of(document: Mapping[str, Any]) -> list[Step]:
    """The actions of a document, with the ordinals that its own numbers give. Raises InvalidData if it has none."""
    own = dict(document)
    return [Step(ordinal, action) for ordinal, action in enumerate(required_actions(own), first_ordinal(own))]


class Timeline:
    """The states of a session after each of its actions. Raises InvalidData if they are nested too deeply."""

    def __init__(
        self,
        document: dict[str, Any],
        steps: Sequence[Step] | None = None,
        breaks: Collection[int] = (),
        *,
        partial: bool = False,
    ):
        """`document`: the present state. `steps`: the whole trajectory as far as it is known, oldest action first; by
        default, the one in the document. `breaks`: ordinals before which an unknown number of actions is missing.
        `partial`: the document has only a part of the present state, as those that the app archived."""
        self.steps: Sequence[Step] = steps_of(document) if steps is None else steps
        self._kept: list[Step] = [one for one in self.steps if not one.overwritten]
        #: Ordinals before which an unknown number of actions is missing.
        self.breaks = breaks
        #: The present state without its trajectory.
        self.head = without_actions(document)
        self._partial = partial
        self._block_ends: dict[int, dict[str, Any]] = {}
        #: JSON pointers to fields that no delta set, and that are not as in a new session, though it began as one.
        self.beginning_conflicts: tuple[str, ...] = ()

    @property
    def first(self) -> int:
        """The ordinal of the oldest action that is known. Raises NotFound if there is no action."""
        return self._required()[0].ordinal

    @property
    def last(self) -> int:
        """The ordinal of the newest action. Raises NotFound if there is no action."""
        return self._required()[-1].ordinal

    @cached_property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """The first and the last ordinal of each range of actions that are missing, oldest first."""
        ordinals = [-1, *(one.ordinal for one in self._kept)]
        return tuple((before + 1, after - 1) for before, after in pairwise(ordinals) if after > before + 1)

    @property
    def beginning_known(self) -> bool:
        """Whether the state at the start of the session is known."""
        return self._forward_start is not None

    @property
    def why_unknown(self) -> str:
        """Why parts of a state may be unknown, as the end of a sentence."""
        if self._partial:
            return "because only a part of the session was kept"
        return "because " + ("earlier actions are missing" if self.gaps or self.breaks else "no action says")

    def state_at(self, ordinal: int) -> StateAt:
        """The state right after an action. Raises NotFound if that is not known."""
        index = self._index(ordinal)
        return next(self._states(index, index + 1))

    def document_at(self, state: StateAt) -> dict[str, Any]:
        """The whole document right after an action, with the trajectory up to there, as far as both are known."""
        actions = [one.action for one in self._kept[: self._index(state.ordinal) + 1]]
        return {**state.head, "history": {**state.head["history"], "actions": actions}}

    def states(self, start: int | None = None, stop: int | None = None) -> Iterator[StateAt]:
        """The states after the actions from ordinal `start` to ordinal `stop`, both included, oldest first.

        None: from the oldest, to the newest known action. Overwritten actions are left out.
        """
        wanted = [
            index
            for index, one in enumerate(self._kept)
            if (start is None or one.ordinal >= start) and (stop is None or one.ordinal <= stop)
        ]
        if wanted:
            yield from self._states(wanted[0], wanted[-1] + 1)

    def lazy_states(self) -> Iterator[tuple[Step, Callable[[], StateAt]]]:
        """All actions but overwritten ones, oldest first, each with a function that computes the state after it."""
        forward: Any = None
        for index, step in enumerate(self._kept):
            forward = self._after(index, forward)
            yield step, partial(self._state, index, forward)

    def steps_until(self, ordinal: int, *, consecutive: bool = False) -> list[Step]:
        """The actions up to an ordinal, without overwritten ones. Raises NotFound if that one is not known.

        `consecutive`: only those after the last gap.
        """
        index = self._index(ordinal)
        return self._kept[self._run_start(index) if consecutive else 0 : index + 1]

    def actions_between(self, start: int, stop: int) -> list[Any] | None:
        """The actions after ordinal `start`, up to `stop`; None if some of them are missing. Raises NotFound."""
        indexes = range(self._index(start) + 1, self._index(stop) + 1)
        return [self._kept[one].action for one in indexes] if all(map(self._follows, indexes)) else None

    def ordinal_at(self, moment: datetime) -> int:
        """The ordinal of the newest action that was taken until then. Raises NotFound if there is none."""
        first: datetime | None = None
        for one in self._kept[::-1]:
            taken = time_of(one)
            if taken is not None and taken <= moment:
                return one.ordinal
            first = taken or first
        since = f": the oldest action that is known is of {with_offset(first)}" if first is not None else ""
        raise NotFound(f"no action is known from before {with_offset(moment)}{since}")

    def _required(self) -> Sequence[Step]:
        if not self._kept:
            raise NotFound("the session has no actions")
        return self._kept

    def _index(self, ordinal: int) -> int:
        kept = self._required()
        index: int = bisect_left(kept, ordinal, key=attrgetter("ordinal"))
        if index == len(kept) or kept[index].ordinal != ordinal:
            missing = ", ".join(f"{first} to {last}" if first < last else str(first) for first, last in self.gaps)
            raise NotFound(
                f"there is no action {ordinal}: the newest is {kept[-1].ordinal}"
                + (f", and these are missing: {missing}" if missing else "")
            )
        return index

    # -- states

    def _states(self, start: int, stop: int) -> Iterator[StateAt]:
        """The states after the kept actions with these indexes."""
        newest = len(self._kept) - 1
        try:
            forward: Any = None
            for index in range(self._run_start(start) if start < newest else newest, stop):
                forward = self._after(index, forward)
                if index >= start:
                    yield self._state(index, forward)
        except RecursionError:
            raise InvalidData("the states are nested too deeply to be computed") from None

    def _state(self, index: int, forward: dict[str, Any]) -> StateAt:
        step = self._kept[index]
        if index == len(self._kept) - 1:
            return StateAt(step, self.head, tuple(unknown_pointers(self._present)) if self._partial else ())
        conflicts: list[str] = []
        state = self._with_times(combine(forward, self._backward(index), conflicts), index)
        known = known_part(state) | {"history": self._history_at(index)}
        head = {name: known[name] for name in (*self.head, *known) if name in known}
        return StateAt(step, head, tuple(unknown_pointers(state)), tuple(conflicts))

    def _with_times(self, state: dict[str, Any], index: int) -> dict[str, Any]:
        """The state after an action with its times, where they are unknown: each action sets them to its own."""
        state = copied(state)
        if state.get("last_updated", UNKNOWN) is UNKNOWN and (now := _timestamp(self._kept[index])):
            state["last_updated"] = now
        statistics = state.get("statistics")
        if isinstance(statistics, dict) and statistics.get("last_activity", UNKNOWN) is UNKNOWN:
            while is_end(self._kept[index].action) and index and self._follows(index):
                index -= 1
            active = self._kept[index]
            if not is_end(active.action) and (moment := _timestamp(active)):
                state["statistics"] = copied(statistics)
                state["statistics"]["last_activity"] = moment
        return state

    def _history_at(self, index: int) -> dict[str, Any]:
        """The history after an action, without the actions: as new sessions and updates write it."""
        action = self._kept[index].action
        missing = self._kept[index].ordinal - index
        own = {name: value for name, value in self.head["history"].items() if name != "trimmed_actions"}
        return (
            own
            | {"last_action": None if is_start(action) else action}
            | ({"trimmed_actions": missing} if missing else {})
        )

    def _run_start(self, index: int) -> int:
        """The index of the first of the actions up to this one between which none is missing."""
        while index and self._follows(index):
            index -= 1
        return index

    def _follows(self, index: int) -> bool:
        """Whether no action is missing before this one."""
        ordinal = self._kept[index].ordinal
        return ordinal == (self._kept[index - 1].ordinal + 1 if index else 0) and ordinal not in self.breaks

    def _after(self, index: int, before: dict[str, Any] | None) -> dict[str, Any]:
        """What the trajectory says of the state after an action. `before`: the same after the previous one."""
        if before is None or (index and not self._follows(index)):
            before = self._forward_start if index == 0 and self._forward_start is not None else self._nothing
        return applied(before, self._kept[index].action)

    @cached_property
    def _forward_start(self) -> dict[str, Any] | None:
        """The state before the first action; None if that is not known."""
        start = beginning(self.head, self._kept[0].action) if self._kept and self._follows(0) else None
        if start is None:
            return None
        conflicts: list[str] = []
        found: dict[str, Any] = combine(start, taken_back(self._backward(0), self._kept[0].action), conflicts)
        self.beginning_conflicts = tuple(conflicts)
        return None if conflicts else with_one_route(found)

    @property
    def _nothing(self) -> dict[str, Any]:
        """What is known of each state."""
        return unchanging(state_of(self.head))

    @cached_property
    def _present(self) -> dict[str, Any]:
        """What is known of the present state."""
        return opened(state_of(self.head)) if self._partial else state_of(self.head)

    def _backward_end(self, stop: int) -> dict[str, Any]:
        """The backward state after the action before `stop`, if it is the last one, or followed by a gap."""
        return self._present if stop == len(self._kept) else self._nothing

    def _backward(self, index: int) -> dict[str, Any]:
        """What the present state says of the state after an action."""
        block = index // _KEPT_EVERY
        if self._block is None or self._block[0] != block:
            self._block = block, self._block_states(block)
        return self._block[1][index - block * _KEPT_EVERY]

    _block: tuple[int, list[dict[str, Any]]] | None = None

    def _block_states(self, block: int) -> list[dict[str, Any]]:
        """The backward states after the actions of a block, oldest first."""
        first, stop = block * _KEPT_EVERY, min((block + 1) * _KEPT_EVERY, len(self._kept))
        state = self._block_end(block)
        states = [state]
        for index in range(stop - 1, first, -1):
            state = self._backward_step(index, state)
            states.append(state)
        return states[::-1]

    def _block_end(self, block: int) -> dict[str, Any]:
        """The backward state after the last action of a block."""
        count = len(self._kept)
        if not self._block_ends:
            self._block_ends[(count - 1) // _KEPT_EVERY] = self._backward_end(count)
        for later in range(min(self._block_ends), block, -1):
            state = self._block_ends[later]
            first, stop = later * _KEPT_EVERY, min((later + 1) * _KEPT_EVERY, count)
            for index in range(stop - 1, first - 1, -1):
                state = self._backward_step(index, state)
            self._block_ends[later - 1] = state
        return self._block_ends[block]

    def _backward_step(self, index: int, state: dict[str, Any]) -> dict[str, Any]:
        """The backward state before an action, from the one after it."""
        return taken_back(state, self._kept[index].action) if self._follows(index) else self._backward_end(index)


def time_of(step: Step) -> datetime | None:
    """When an action was taken; None if its record does not say so."""
    return parse_timestamp(as_object(step.action).get("timestamp"))


def _timestamp(step: Step) -> str | None:
    return as_text(as_object(step.action).get("timestamp"))
