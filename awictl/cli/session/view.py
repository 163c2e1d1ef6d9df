"""How sessions, actions and differences look in tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...document.merge import DocumentDifference, pointer
from ...document.schema import as_array, as_object
from ...util.humanize import duration, lifetime
from ..tables import Column, Rows, compact, fields_of, printable_json

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Newest actions that the view of a session shows.
LATEST_ACTIONS = 10


def known(value: Any) -> str:
    return "-" if value is None else compact(value)


def _unreadable(row: Mapping[str, Any]) -> str | None:
    return f"unreadable: {row['error']}" if row.get("error") else None


def moment(value: Any) -> str:
    """A timestamp without what every line repeats; in UTC, as it is stored."""
    return value[:23].replace("T", " ") if isinstance(value, str) else known(value)


SESSIONS = [
    Column("SESSION", lambda row: row["session_id"]),
    Column("AGENT", lambda row: _unreadable(row) or row["agent_name"] or row["agent_id"] or "-", narrow="cut"),
    Column("ROUTE", lambda row: known(row["route"]), narrow="cut", drop=3),
    Column("ACTIONS", lambda row: known(row["actions"]), right=True, drop=2),
    Column("IDLE", lambda row: duration(row["idle_ms"]), right=True, drop=1),
    Column("TTL", lambda row: duration(row["ttl_ms"]), right=True),
    Column("BYTES", lambda row: f"{row['bytes']:,}", right=True, drop=4),
]

ACTIONS = [
    Column("T", lambda row: known(row.get("t")), right=True),
    Column("WHEN", lambda row: moment(row.get("timestamp"))),
    Column("ACTION", lambda row: known(row.get("action")), narrow="cut"),
    Column("OK", lambda row: {"true": "yes", "false": "NO"}.get(known(row.get("success")), "-")),
    Column("INPUT", lambda row: known(row.get("input")), narrow="cut"),
    Column("OBSERVATION", lambda row: known(row.get("observation")), narrow="cut"),
]

TOUCHED = [
    Column("SESSION", lambda row: row["session_id"]),
    Column("TTL", lambda row: duration(row["ttl_ms"]), right=True),
]

ENDED = [
    Column("SESSION", lambda row: row["session_id"]),
    Column("AGENT", lambda row: known(row["agent_id"]), narrow="cut"),
    Column("ENDED", lambda row: moment(row["ended_at"])),
    Column("ACTIONS", lambda row: known(row["actions"]), right=True),
    Column("ARCHIVE", lambda row: row["archive"] or "lost for good", narrow="cut"),
]

CHANGES = [
    Column("FIELD", lambda row: row["field"], narrow="fold"),
    Column("FIRST", lambda row: row["first"], narrow="fold"),
    Column("SECOND", lambda row: row["second"], narrow="fold"),
]


def session(document: dict[str, Any], ttl_ms: int | None, *, archived: bool = False) -> RenderableType:
    """A session at a glance: its state, and its latest actions."""
    from rich.console import Group

    actions = as_array(as_object(document.get("history")).get("actions"))
    parts: list[RenderableType] = [fields_of(facts(document, len(actions), None if archived else lifetime(ttl_ms)))]
    if actions:
        parts += ["", Rows([as_object(one) for one in reversed(actions[-LATEST_ACTIONS:])], ACTIONS)]
    return Group(*parts)


def facts(document: dict[str, Any], actions: int, expiry: str | None) -> Iterator[tuple[str, str]]:
    """What to tell of a session, each under its name; of the actions only how many there are."""
    page = as_object(document.get("page_state"))
    pagination = as_object(page.get("pagination"))
    state = as_object(document.get("action_state"))
    statistics = as_object(document.get("statistics"))
    items = page.get("visible_items")
    yield "session", known(document.get("session_id"))
    yield "agent", f"{known(document.get('agent_name'))} ({known(document.get('agent_id'))})"
    if expiry is not None:
        yield "expires in", expiry
    yield "route", known(page.get("route"))
    yield (
        "page",
        f"{known(pagination.get('cursor'))} of {known(pagination.get('total_pages'))}, "
        f"{known(pagination.get('total_items'))} items",
    )
    yield "filters", known(page.get("filters"))
    yield "sort", known(page.get("sort"))
    yield "visible items", str(len(items)) if isinstance(items, list) else known(items)
    yield "available", _words(state.get("available_actions"))
    yield "disabled", _words(state.get("disabled_actions"))
    trimmed = as_object(document.get("history")).get("trimmed_actions")
    yield "actions", f"{actions}" + (f" (and {trimmed} trimmed)" if trimmed else "")
    yield (
        "outcomes",
        f"{known(statistics.get('successful_actions'))} succeeded, {known(statistics.get('failed_actions'))} failed",
    )
    yield "started", known(statistics.get("session_start"))
    yield "last activity", known(statistics.get("last_activity"))
    if "session_end" in statistics:
        yield "ended", known(statistics["session_end"])


def update(action: Mapping[str, Any] | None, head: dict[str, Any]) -> RenderableType:
    """What an update did."""
    from rich.console import Group

    last = action or as_object(as_object(head.get("history")).get("last_action"))
    return Group(Rows([last], ACTIONS), "", printable_json(last.get("delta")))


def last_delta(diff: dict[str, Any]) -> RenderableType:
    """The last delta of a session, under its action."""
    return update(as_object(diff["last_action"]), {})


def changes(first: dict[str, Any], second: dict[str, Any], comparison: DocumentDifference) -> RenderableType:
    """Two states side by side, where they differ."""
    rows = [
        {"field": place, "first": _at(first, place), "second": _at(second, place)}
        for place in [*_pointers(comparison.delta, first, ""), *comparison.removed]
    ]
    return Rows(rows, CHANGES)


def _pointers(delta: dict[str, Any], before: Any, path: str) -> Iterable[str]:
    for key, value in delta.items():
        place = pointer(path, key)
        inner = as_object(before).get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            yield from _pointers(value, inner, place)
        else:
            yield place


def _at(value: Any, place: str) -> str:
    for part in place.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, dict) or key not in value:
            return "-"
        value = value[key]
    return compact(value)


def _words(value: Any) -> str:
    return ", ".join(map(compact, as_array(value))) or "-"
