"""What the page `compare` shows of two sessions: the result of `session compare`, in parts of a bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...document.action_numbers import gap_row
from ...document.history.run_comparison import OUTCOME_FIELDS, StateComparison, compare_run_states, compare_runs
from ...document.history.run_lines import Relation, RunLine, run_lines
from ...document.history.timeline import Step, Timeline
from ...document.json_codec import json_equal
from ...document.merge import DocumentDifference, compare, value_at
from ...document.schema import as_object
from ...errors import NotFound
from ...sessions.whole_session import WholeSession
from .bounded import bounded, cut, text_of

#: Maximum number of lines in a part, and of those before the line that it is to have.
MAX_LINES, LINES_BEFORE = 500, 50
#: Maximum number of fields of a difference that are named, and of characters of their values.
MAX_FIELDS, MAX_VALUE = 200, 2_000
#: Maximum number of characters of the input of an action in a line, and of each part of an action that is opened.
MAX_INPUT, MAX_PART = 200, 50_000
#: Maximum number of gaps that are named.
MAX_GAPS = 20


class Wanted(NamedTuple):
    """Names of actions: the ordinal, or `17.0`, `17.1`… for those that were overwritten at 17."""

    first: str | None = None
    second: str | None = None


NOTHING = Wanted()


class SideBySide:
    """Two sessions, aligned. It takes long for long sessions: use it in a thread."""

    def __init__(self, first: WholeSession, second: WholeSession, folded: int | None) -> None:
        """`folded`: see `run_lines`. Raises InvalidData if the states are nested too deeply."""
        self._wholes = first, second
        self._found = compare_runs(first.timeline, second.timeline)
        self._lines: Sequence[RunLine] = list(run_lines(self._found.rows, folded))
        self._names = {id(step): name for one in self._wholes for step, name in _named(one.steps)}

    def part(self, offset: int | None, wanted: Wanted = NOTHING) -> dict[str, Any]:
        """The lines from `offset` on, and what is said of all; None: a part with a wanted action, or a divergence."""
        parted = self._first(Relation.FIRST, Relation.SECOND, Relation.DIFFERENT)
        if offset is None:
            line = self._line_of(wanted) if any(wanted) else parted
            offset = max(line - LINES_BEFORE, 0) if line is not None and line >= MAX_LINES else 0
        shown = self._lines[offset : offset + MAX_LINES]
        divergence = self._found.divergence
        first, second = self._wholes
        return {
            "first": _side(first),
            "second": _side(second),
            "equal": self._found.equal,
            "exact": self._found.exact,
            "counts": self._found.counts(),
            "divergence": self._divergence(parted),
            "other_outcome": self._place(self._first(Relation.OUTCOME)),
            "states_before": _states(divergence.states if divergence is not None else None),
            "states_at_end": _states(_at_end(first.timeline, second.timeline)),
            "lines": [self._line(one) for one in shown],
            "offset": offset,
            "total": len(self._lines),
            "previous": self._place(self._block_before(offset)),
            "next": self._place(self._block_from(offset + len(shown))),
        }

    def _first(self, *relations: Relation) -> int | None:
        return next((number for number, one in enumerate(self._lines) if one.relation in relations), None)

    def _line_of(self, wanted: Wanted) -> int | None:
        """The line with an action, which may be folded."""
        side, name = (0, wanted.first) if wanted.first is not None else (1, wanted.second)
        ordinal = int(str(name).partition(".")[0])
        around = None
        for number, line in enumerate(self._lines):
            begin = (line.first, line.second)[side]
            last = (line.last.first, line.last.second)[side] if line.last is not None else begin
            if begin is not None and self._names[id(begin)] == name:
                return number
            if begin is not None and last is not None and begin.ordinal <= ordinal <= last.ordinal:
                around = number
        return around

    def _block_before(self, offset: int) -> int | None:
        """The line with which the last difference before a line begins; a difference is a block of lines."""
        lines = self._lines
        found = next((at for at in range(min(offset, len(lines)) - 1, -1, -1) if _differs(lines[at])), None)
        while found and lines[found - 1].block == lines[found].block:
            found -= 1
        return found

    def _block_from(self, begin: int) -> int | None:
        """The line with which the first difference at or after a line begins."""
        lines = self._lines
        starts = (at for at in range(begin, len(lines)) if not at or lines[at - 1].block != lines[at].block)
        return next((at for at in starts if _differs(lines[at])), None)

    def _divergence(self, number: int | None) -> dict[str, Any] | None:
        """The line of the divergence; `steps`: the next actions of both runs, of which the line may have only one."""
        place, found = self._place(number), self._found.divergence
        if place is None or found is None:
            return None
        return place | {"steps": {"first": self._cell(found.first), "second": self._cell(found.second)}}

    def _place(self, number: int | None) -> dict[str, Any] | None:
        return {"line": number, **self._line(self._lines[number])} if number is not None else None

    def _line(self, line: RunLine) -> dict[str, Any]:
        row = {
            "relation": line.relation.value,
            "block": line.block,
            "first": self._cell(line.first),
            "second": self._cell(line.second),
            "differs": list(line.differs),
        }
        if line.last is None or line.last.first is None or line.last.second is None:
            return row
        return row | {"actions": line.actions, "last": [line.last.first.ordinal, line.last.second.ordinal]}

    def _cell(self, step: Step | None) -> dict[str, Any] | None:
        return {"name": self._names[id(step)], **_cell(step)} if step is not None else None


def opened(first: WholeSession, second: WholeSession, wanted: Wanted) -> dict[str, Any]:
    """An action of each session, or of one, with its input and outcome, and the fields that differ. Raises NotFound."""
    steps = [_step(one, name) for one, name in zip((first, second), wanted, strict=True)]
    sides = [as_object(one.action) if one is not None else {} for one in steps]
    parts = []
    for name in ("input", *OUTCOME_FIELDS, "timestamp"):
        if not any(name in one for one in sides):
            continue
        values = [_part(one[name]) if name in one else None for one in sides]
        same = all(name in one for one in sides) and json_equal(sides[0][name], sides[1][name])
        parts.append({"name": name, "first": values[0], "second": values[1], "equal": same})
    changes = None
    if None not in steps:
        one, other = ({name: side[name] for name in ("input", *OUTCOME_FIELDS) if name in side} for side in sides)
        changes = _changes(one, other, compare(one, other))
    return {"parts": parts, "changes": changes}


def _named(steps: Sequence[Step]) -> list[tuple[Step, str]]:
    """Actions with their names."""
    overwritten: Counter[int] = Counter()
    found = []
    for one in steps:
        name = str(one.ordinal)
        if one.overwritten:
            name = f"{name}.{overwritten[one.ordinal]}"
            overwritten[one.ordinal] += 1
        found.append((one, name))
    return found


def _step(whole: WholeSession, wanted: str | None) -> Step | None:
    if wanted is None:
        return None
    for step, name in _named(whole.steps):
        if name == wanted:
            return step
    raise NotFound(f"session {whole.session_id} has no action {wanted} that is known")


def _differs(line: RunLine) -> bool:
    return line.relation is not Relation.EQUAL


def _side(whole: WholeSession) -> dict[str, Any]:
    """What is said of a session as a whole."""
    gaps = [gap_row(first, last) for first, last in whole.timeline.gaps]
    gaps += [gap_row(ordinal, None) for ordinal in sorted(whole.breaks)]
    return {
        "session_id": whole.session_id,
        "agent_id": bounded(whole.document.get("agent_id"), MAX_VALUE),
        "agent_name": bounded(whole.document.get("agent_name"), MAX_VALUE),
        "place": "live" if whole.stored is not None else "archived",
        "degraded": whole.degraded,
        "notices": [one for one in (whole.origin, *whole.notices) if one],
        "total": len(whole.steps),
        "gaps": gaps[:MAX_GAPS],
        "gaps_total": len(gaps),
        "overwritten": sum(one.overwritten for one in whole.steps),
    }


def _cell(step: Step) -> dict[str, Any]:
    action = as_object(step.action)
    given = action.get("input")
    return {
        "ordinal": step.ordinal,
        "action": text_of(action.get("action", step.action), MAX_INPUT),
        "input": text_of(given, MAX_INPUT) if given else None,
        "failed": action.get("success") is False,
        "overwritten": step.overwritten,
    }


def _at_end(first: Timeline, second: Timeline) -> StateComparison | None:
    try:
        return compare_run_states(first.state_at(first.last), second.state_at(second.last))
    except NotFound:  # there is no action
        return None


def _states(states: StateComparison | None) -> dict[str, Any] | None:
    if states is None:
        return None
    return {
        **_changes(states.first, states.second, states.difference),
        "unknown": [cut(one, MAX_VALUE) for one in states.unknown[:MAX_FIELDS]],
        "unknown_total": len(states.unknown),
    }


def _changes(first: dict[str, Any], second: dict[str, Any], difference: DocumentDifference) -> dict[str, Any]:
    """The fields that differ: the first of them, and how many there are."""
    places = difference.pointers(first)
    missing: Any = object()

    def at(state: dict[str, Any], place: str) -> str | None:
        value = value_at(state, place, missing)
        return None if value is missing else text_of(value, MAX_VALUE)

    fields = [
        {"pointer": cut(one, MAX_VALUE), "first": at(first, one), "second": at(second, one)}
        for one in places[:MAX_FIELDS]
    ]
    return {"fields": fields, "total": len(places)}


def _part(value: Any) -> dict[str, Any]:
    """A value as text; `json`: whether the text is complete JSON."""
    text = text_of(value, MAX_PART)
    return {"text": text, "json": not isinstance(value, str) and len(text) <= MAX_PART}
