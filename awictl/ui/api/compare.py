"""The data of the page `compare`: two sessions aligned, as `awictl session compare` does it, some lines at a time."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...document import keys
from ...document.action_numbers import gap_row
from ...document.history.run_comparison import (
    OUTCOME_FIELDS,
    StateComparison,
    compare_run_states,
    compare_runs,
)
from ...document.history.run_lines import FOLDED, Relation, RunLine, run_lines
from ...document.history.timeline import Step, Timeline
from ...document.json_codec import json_equal
from ...document.merge import DocumentDifference, compare, value_at
from ...document.redaction.redact import Redactor
from ...document.schema import as_object
from ...document.timestamps import timestamp
from ...errors import AwiError, InvalidInput, NotFound
from ...sessions.whole_session import WholeSession
from ...util.daemon_thread import in_daemon_thread
from ..bounded import cut, text_of
from ..inspector import inspector_of, manager_of
from ..redacted_sessions import redacted_sessions
from ..responses import json_response

#: Maximum number of lines in a response, and of those that are before the first divergence in the first response.
MAX_LINES, _LINES_BEFORE = 500, 50
#: Maximum number of fields of a difference that are named, and of characters of their values.
MAX_FIELDS, MAX_VALUE = 200, 2_000
#: Maximum number of characters of the input of an action in a line, and of each part of an action that is opened.
MAX_INPUT, MAX_PART = 200, 50_000


async def comparison(request: Request) -> Response:
    """Where two sessions diverge, and a part of their lines.

    `a`, `b`: ids of the sessions; `all`: 1 for a line for each of many equal actions. The part begins with the line
    `offset`; without it, it has the action `first` of the first session in it, or `second` of the second one, or else
    the first divergence.
    """
    offset, *ordinals = (_number(request, name) for name in ("offset", "first", "second"))
    folded = None if request.query_params.get("all") == "1" else FOLDED
    wholes = await _sessions(request)
    value = await in_daemon_thread(lambda: _compared(wholes, folded, offset, ordinals))
    return json_response(request, value, redacted=True)


async def step(request: Request) -> Response:
    """An action of one session, or of both, with its input and outcome, and in what they differ.

    `a`, `b`: ids of the sessions; `first`, `second`: the ordinals of the actions in them.
    """
    ordinals = [_number(request, name) for name in ("first", "second")]
    wholes = await _sessions(request)
    steps = [_step(one, ordinal) for one, ordinal in zip(wholes, ordinals, strict=True)]
    return json_response(request, await in_daemon_thread(lambda: _opened(*steps)), redacted=True)


ROUTES = [Route("/api/compare", comparison), Route("/api/compare/step", step)]


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidInput(f"{name} must be a number from 0 on, not {text!r:.80}")
    return int(text)


async def _sessions(request: Request) -> list[WholeSession]:
    """Both sessions, redacted if that is wanted. The error of one says which it is."""
    ids = [request.query_params.get(name, "") for name in ("a", "b")]
    if not all(ids):
        raise InvalidInput("the ids of two sessions are needed: a and b")
    for one in ids:
        keys.check_session_id(one)
    wholes = {one: await manager_of(request).time_travel.whole(one) for one in dict.fromkeys(ids)}
    found = [wholes[one] for one in ids]
    redaction = inspector_of(request).options.redaction
    if redaction is None:
        return found
    return await in_daemon_thread(lambda: redacted_sessions(found, Redactor(redaction)))


def _step(whole: WholeSession, ordinal: int | None) -> Step | None:
    if ordinal is None:
        return None
    found = next((one for one in whole.steps if one.ordinal == ordinal), None)
    if found is None:
        raise NotFound(f"session {whole.session_id} has no action {ordinal} that is known")
    return found


def _compared(
    wholes: list[WholeSession], folded: int | None, offset: int | None, ordinals: list[int | None]
) -> dict[str, Any]:
    first, second = (one.timeline for one in wholes)
    found = compare_runs(first, second)
    lines = list(run_lines(found.rows, folded))
    parted = _first(lines, Relation.FIRST, Relation.SECOND, Relation.DIFFERENT)
    if offset is None:
        wanted = _line_of(lines, ordinals) if any(one is not None for one in ordinals) else parted
        offset = max(wanted - _LINES_BEFORE, 0) if wanted is not None and wanted >= MAX_LINES else 0
    shown = lines[offset : offset + MAX_LINES]
    return {
        "first": _side(wholes[0]),
        "second": _side(wholes[1]),
        "equal": found.equal,
        "exact": found.exact,
        "counts": found.counts(),
        "divergence": _place(lines, parted),
        "other_outcome": _place(lines, _first(lines, Relation.OUTCOME)),
        "states_before": _states(found.divergence.states if found.divergence is not None else None),
        "states_at_end": _states(_at_end(first, second)),
        "lines": [_line(one) for one in shown],
        "offset": offset,
        "total": len(lines),
        "previous": _place(lines, _block_before(lines, offset)),
        "next": _place(lines, _block_from(lines, offset + len(shown))),
        "now": timestamp(),
    }


def _first(lines: list[RunLine], *relations: Relation) -> int | None:
    return next((number for number, one in enumerate(lines) if one.relation in relations), None)


def _line_of(lines: list[RunLine], ordinals: list[int | None]) -> int | None:
    """The line of an action of the first session, or else of the second one."""
    of_first = ordinals[0] is not None
    wanted: Any = ordinals[0] if of_first else ordinals[1]
    for number, line in enumerate(lines):
        begin, end = (line.first, line.second), (line.first, line.second) if line.last is None else line.last[:2]
        one, last = (begin[0], end[0]) if of_first else (begin[1], end[1])
        if one is not None and last is not None and one.ordinal <= wanted <= last.ordinal:
            return number
    return None


def _place(lines: list[RunLine], number: int | None) -> dict[str, Any] | None:
    return {"line": number, **_line(lines[number])} if number is not None else None


def _block_before(lines: list[RunLine], offset: int) -> int | None:
    """The line with which the last difference before a line begins; a difference is a block of lines."""
    found = next((one for one in range(min(offset, len(lines)) - 1, -1, -1) if _differ(lines[one])), None)
    while found and lines[found - 1].block == lines[found].block:
        found -= 1
    return found


def _block_from(lines: list[RunLine], begin: int) -> int | None:
    """The line with which the first difference at or after a line begins."""
    starts = (one for one in range(begin, len(lines)) if not one or lines[one - 1].block != lines[one].block)
    return next((one for one in starts if _differ(lines[one])), None)


def _differ(line: RunLine) -> bool:
    return line.relation is not Relation.EQUAL


def _side(whole: WholeSession) -> dict[str, Any]:
    """What is said of a session as a whole."""
    gaps = [gap_row(first, last) for first, last in whole.timeline.gaps]
    return {
        "session_id": whole.session_id,
        "agent_id": whole.document.get("agent_id"),
        "agent_name": whole.document.get("agent_name"),
        "place": "live" if whole.stored is not None else "archived",
        "degraded": whole.degraded,
        "notices": [one for one in (whole.origin, *whole.notices) if one],
        "total": len(whole.steps),
        "gaps": gaps + [gap_row(ordinal, None) for ordinal in sorted(whole.breaks)],
        "overwritten": sum(one.overwritten for one in whole.steps),
    }


def _line(line: RunLine) -> dict[str, Any]:
    row = {
        "relation": line.relation.value,
        "block": line.block,
        "first": _cell(line.first),
        "second": _cell(line.second),
        "differs": list(line.differs),
    }
    if line.last is None or line.last.first is None or line.last.second is None:
        return row
    return row | {"actions": line.actions, "last": [line.last.first.ordinal, line.last.second.ordinal]}


def _cell(one: Step | None) -> dict[str, Any] | None:
    if one is None:
        return None
    action = as_object(one.action)
    given = action.get("input")
    return {
        "ordinal": one.ordinal,
        "action": text_of(action.get("action", one.action), MAX_INPUT),
        "input": text_of(given, MAX_INPUT) if given else None,
        "failed": action.get("success") is False,
        "overwritten": one.overwritten,
    }


def _at_end(first: Timeline, second: Timeline) -> StateComparison | None:
    try:
        return compare_run_states(first.state_at(first.last), second.state_at(second.last))
    except AwiError:  # there is no action
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

    fields = [{"pointer": one, "first": at(first, one), "second": at(second, one)} for one in places[:MAX_FIELDS]]
    return {"fields": fields, "total": len(places)}


def _part(value: Any) -> dict[str, Any]:
    """A value as text; `json`: whether the text is complete JSON."""
    text = text_of(value, MAX_PART)
    return {"text": text, "json": not isinstance(value, str) and len(text) <= MAX_PART}


def _opened(first: Step | None, second: Step | None) -> dict[str, Any]:
    """Two actions in full, and in which fields of their input and outcome they differ."""
    sides = [as_object(one.action) if one is not None else {} for one in (first, second)]
    parts = []
    for name in ("input", *OUTCOME_FIELDS, "timestamp"):
        if not any(name in one for one in sides):
            continue
        values = [_part(one[name]) if name in one else None for one in sides]
        same = all(name in one for one in sides) and json_equal(sides[0][name], sides[1][name])
        parts.append({"name": name, "first": values[0], "second": values[1], "equal": same})
    compared = ({name: one[name] for name in ("input", *OUTCOME_FIELDS) if name in one} for one in sides)
    changes = None
    if first is not None and second is not None:
        one, other = compared
        changes = _changes(one, other, compare(one, other))
    return {"first": _cell(first), "second": _cell(second), "parts": parts, "changes": changes}
