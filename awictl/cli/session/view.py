"""How lists of sessions, changes and events look on a terminal. A session itself: see `framework/session_view.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...document.merge import DocumentDifference, leaves, value_at
from ...document.schema import as_object
from ...util.humanize import duration, lifetime, plural
from ..framework.cells import SESSION_ID, known, moment, shortened
from ..framework.session_view import ACTIONS, facts
from ..framework.tables import Column, Rows, compact

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...diagnostics.follow import Event
    from ...document.history.timeline import Step


def _agent(row: Mapping[str, Any]) -> str:
    return f"unreadable: {row['error']}" if row.get("error") else row["agent_name"] or row["agent_id"] or "-"


#: By the names that --columns accepts; the titles are the same in upper case.
SESSION_COLUMNS = {
    column.title.lower().replace(" ", "_"): (column, field)
    for column, field in (
        (SESSION_ID, "session_id"),
        (Column("AGENT", lambda row: _agent(row), narrow="cut", width=10), "agent_name"),
        (Column("AGENT ID", lambda row: known(row["agent_id"]), wide=True, width=24), "agent_id"),
        (Column("STATE", lambda row: row["state"], narrow="cut", drop=2, width=6), "state"),
        (Column("WHERE", lambda row: row.get("where") or "live", width=8), "where"),
        (Column("ROUTE", lambda row: known(row["route"]), narrow="cut", drop=4, width=16), "route"),
        (Column("ACTIONS", lambda row: known(row["actions"]), right=True, drop=3), "actions"),
        (Column("FAILED", lambda row: known(row["failed_actions"]), right=True, wide=True), "failed_actions"),
        (Column("LAST ACTIVITY", lambda row: moment(row["last_activity"]), wide=True, width=24), "last_activity"),
        (Column("IDLE", lambda row: duration(row["idle_ms"]), right=True, drop=1, width=7), "idle_ms"),
        (Column("TTL", lambda row: duration(row["ttl_ms"]), right=True, width=7), "ttl_ms"),
        (
            Column(
                "BYTES",
                lambda row: f"{row['bytes']:,}" if row["bytes"] is not None else "-",
                right=True,
                drop=5,
                width=7,
            ),
            "bytes",
        ),
    )
}
#: Those of a list of live sessions, and of live and archived ones, of which STATE says more than IDLE.
SESSIONS = [column for column, _ in SESSION_COLUMNS.values() if column.title != "WHERE"]
ALL_SESSIONS = [
    column._replace(drop={"STATE": 1, "IDLE": 2}.get(column.title, column.drop))
    for column, _ in SESSION_COLUMNS.values()
]

GROUPS = [
    Column("VALUE", lambda row: compact(row["value"]) if row["value"] is not None else "-", narrow="cut", width=20),
    Column("SESSIONS", lambda row: f"{row['sessions']:,}", right=True),
]


def session_count(printed: int, matching: int, read: int, *, scanned_all: bool) -> str:
    """The line below a list of sessions. `scanned_all`: not only until --limit was reached."""
    if not scanned_all:
        return f"{plural(printed, 'session')} (--limit; there may be more)"
    counted = plural(matching, "session") if matching == read else f"{matching:,} of {plural(read, 'session')}"
    return counted if printed == matching else f"{counted}, {printed:,} shown (--limit)"


def number(count: int) -> RenderableType:
    """The number of sessions alone."""
    from rich.text import Text

    return Text(f"{count:,}")


TOUCHED = [
    Column("SESSION", lambda row: row["session_id"], narrow="id"),
    Column("TTL", lambda row: duration(row["ttl_ms"]), right=True),
]

IMPORTED = [
    Column("SESSION", lambda row: row["session_id"], narrow="id"),
    Column("WHERE", lambda row: row["where"]),
    Column("ACTIONS", lambda row: f"{row['actions']:,}", right=True),
    Column("OUTCOME", lambda row: row["outcome"]),
]

#: Number of differences of one session that a table shows; JSON has all.
SHOWN_DIFFERENCES = 20


def verified_lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of a table for a session that was verified: one for each difference."""
    own = {name: row[name] for name in ("session_id", "where", "actions")}
    lines = [
        {**own, "result": one["kind"], "details": shortened(one["text"], SHOWN_CHARACTERS)}
        for one in row["differences"]
    ]
    if len(lines) > SHOWN_DIFFERENCES:
        more = len(lines) - SHOWN_DIFFERENCES
        lines[SHOWN_DIFFERENCES:] = [{**own, "result": "…", "details": f"and {plural(more, 'more difference')}"}]
    lines = lines or [{**own, "result": "sound", "details": ""}]
    lines[0]["details"] = "; ".join(filter(None, [lines[0]["details"], *row["notes"]])) or "-"
    return lines


VERIFIED = [
    SESSION_ID,
    Column("WHERE", lambda row: row["where"], drop=2, width=8),
    Column("ACTIONS", lambda row: known(row["actions"]), right=True, drop=1, width=7),
    Column("RESULT", lambda row: row["result"], width=11),
    Column("DETAILS", lambda row: row["details"], narrow="fold", least=24, width=40),
]

CHANGES = [
    Column("FIELD", lambda row: row["field"], narrow="fold", least=32),
    Column("FIRST", lambda row: row["first"], narrow="fold"),
    Column("SECOND", lambda row: row["second"], narrow="fold"),
]


#: The same fields before and after a delta.
EFFECTS = [
    CHANGES[0],
    Column("BEFORE", lambda row: row["first"], narrow="fold"),
    Column("AFTER", lambda row: row["second"], narrow="fold"),
]


def changes(
    first: dict[str, Any],
    second: dict[str, Any],
    comparison: DocumentDifference,
    columns: Sequence[Column] = CHANGES,
) -> RenderableType:
    """The fields in which two states differ, side by side."""
    rows = [
        {"field": place, "first": _at(first, place), "second": _at(second, place)}
        for place in comparison.pointers(first)
    ]
    return Rows(rows, columns)


def _at(value: Any, place: str) -> str:
    """The value at a JSON pointer; `-` if there is none."""
    return compact(value_at(value, place, "-"))


#: Characters of each value that are shown in lines on a terminal; JSON has all.
SHOWN_CHARACTERS = 1000


def event_lines(event: Event) -> Iterator[str]:
    """An event of a followed session as lines of text: the fields first, then the actions."""
    at = moment(event.at)
    if event.kind == "session":
        for name, value in facts(event.head, event.total or 0, lifetime(event.ttl_ms)):
            yield f"{at}  {name}: {shortened(value, SHOWN_CHARACTERS)}"
    for place, value in leaves(event.changes.delta):
        yield f"{at}  {place} = {shortened(compact(value), SHOWN_CHARACTERS)}"
    for place in event.changes.removed:
        yield f"{at}  {place} removed"
    for action in map(as_object, event.actions):
        yield from action_lines(action)


def action_lines(action: Mapping[str, Any]) -> Iterator[str]:
    """An action as a line of text."""
    cells = [shortened(column.cell(action), SHOWN_CHARACTERS) for column in ACTIONS]
    yield "  ".join(
        [cells[1], f"#{cells[0]}", *cells[2:3], {"NO": "FAILED", "yes": "ok"}.get(cells[3], "-"), *cells[4:]]
    )


#: The actions of a whole trajectory, by `step_row`.
STEPS = [ACTIONS[0]._replace(cell=lambda row: known(row.get("ordinal", row.get("t")))), *ACTIONS[1:]]


def step_row(step: Step) -> dict[str, Any]:
    """An action as it is stored; with its ordinal if that is not its `t`, and marked if another writer overwrote it."""
    row = dict(step.action) if isinstance(step.action, dict) else {"action": step.action}
    if row.get("t") != step.ordinal:
        row["ordinal"] = step.ordinal
    return row | {"overwritten": True} if step.overwritten else row
