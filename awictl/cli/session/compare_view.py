"""How the comparison of two runs looks on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...document.history.run_comparison import AlignedRow, Divergence, RunComparison, StateComparison
from ...document.history.run_lines import RunLine, run_lines
from ...document.history.timeline import Step
from ...document.schema import as_object
from ...util.humanize import plural
from ..framework.cells import known, shortened
from ..framework.escape import printable
from ..framework.tables import Column, Rows, fields_of
from . import view

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Characters of the input of an action in a sentence.
_INPUT_CHARACTERS = 80
#: Number of unknown fields that are named.
_NAMED_FIELDS = 5

COLUMNS = [
    Column("T", lambda row: row["first_t"], right=True),
    Column("FIRST", lambda row: row["first"], narrow="cut"),
    Column("", lambda row: row["relation"]),
    Column("T", lambda row: row["second_t"], right=True),
    Column("SECOND", lambda row: row["second"], narrow="cut"),
]


def comparison(sides: Sequence[Mapping[str, Any]], found: RunComparison) -> RenderableType:
    """Two runs side by side. `sides`: what is printed of each session in JSON."""
    from rich.console import Group
    from rich.text import Text

    labels = [(label, _side(side)) for label, side in zip(("first", "second"), sides, strict=True)]
    parts: list[RenderableType] = [fields_of(labels), ""]
    parts += [Text(printable(one)) for one in sentences(found)]
    states = found.divergence.states if found.divergence is not None else None
    if states is not None and states.difference:
        parts += ["", view.changes(states.first, states.second, states.difference)]
    if found.rows:
        parts += ["", Rows([_row(one) for one in run_lines(found.rows)], COLUMNS), ""]
    return Group(*parts, Text(summary(found)))


def _side(side: Mapping[str, Any]) -> str:
    file = f" in {side['file']}" if side["file"] is not None else ""
    return f"{side['session_id']}{file}, {plural(side['total'], 'action')}"


def sentences(found: RunComparison) -> Iterator[str]:
    """Where two runs diverge, an action with another outcome, and how the states differed before."""
    place, outcome = found.divergence, found.other_outcome
    if place is None:
        yield "Both runs have the same actions." if found.rows else "Neither run has an action."
    else:
        yield f"The first divergence is at {_where(place.first, place.second)}: {_divergence(place)}."
    if outcome is not None:
        where, fields = _where(outcome.first, outcome.second), ", ".join(outcome.differs)
        yield f"The first action with another outcome is {where}, {_did(outcome.first)}: it differs in {fields}."
    if place is not None:
        yield _states(place.states)


def _states(states: StateComparison | None) -> str:
    if states is None:
        return "The states just before the divergence are not known."
    count = len(states.unknown)
    partly = f", as far as they are known ({plural(count, 'field')} {'is' if count == 1 else 'are'} not)"
    differed = "differed in these fields" if states.difference else "were equal"
    return (
        f"Just before the divergence, the states {differed}{partly if count else ''}{':' if states.difference else '.'}"
    )


def _divergence(place: Divergence) -> str:
    if place.first is None and place.second is not None:
        return f"the second did {_did(place.second)}, the first has no more actions"
    if place.second is None and place.first is not None:
        return f"the first did {_did(place.first)}, the second has no more actions"
    return f"the first did {_did(place.first)}, the second {_did(place.second)}"


def _where(first: Step | None, second: Step | None) -> str:
    numbers = [one.ordinal for one in (first, second) if one is not None]
    if len(set(numbers)) == 1:
        return f"action {numbers[0]}"
    return f"action {numbers[0]} of the first and {numbers[1]} of the second"


def _did(step: Step | None) -> str:
    """The name and the input of an action."""
    action = as_object(step.action if step is not None else None)
    given = action.get("input")
    return f"{known(action.get('action'))}" + (f" {shortened(known(given), _INPUT_CHARACTERS)}" if given else "")


def _row(line: RunLine) -> dict[str, str]:
    """A line of the table."""
    folded = line.last is not None
    last = line.last if line.last is not None else AlignedRow(None, None)
    return {
        "first_t": _number(line.first, last.first),
        "first": "…" if folded else _cell(line.first),
        "relation": f"{line.actions:,} equal" if folded else line.relation.value,
        "second_t": _number(line.second, last.second),
        "second": "…" if folded else _cell(line.second),
    }


def _number(step: Step | None, last: Step | None) -> str:
    if step is None:
        return ""
    return str(step.ordinal) if last is None else f"{step.ordinal}-{last.ordinal}"


def _cell(step: Step | None) -> str:
    if step is None:
        return ""
    action: dict[str, Any] = as_object(step.action)
    failed = "FAILED " if action.get("success") is False else ""
    return f"{failed}{_did(step)}{' (overwritten)' if step.overwritten else ''}"


def summary(found: RunComparison) -> str:
    """How many actions are equal, and whether there may be more."""
    counts = found.counts()
    inexact = "" if found.exact else " (the runs are too long to be aligned exactly: more actions may be equal)"
    return (
        f"{counts['equal']:,} equal, {counts['outcome']:,} with another outcome, "
        f"{counts['first']:,} only in the first, {counts['second']:,} only in the second{inexact}"
    )
