"""How a session and its actions look on a terminal: for the commands of sessions and archive, `demo` and `top`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

from ...document.action_numbers import t_of
from ...document.schema import FORKED_FROM, as_array, as_object
from ...util.humanize import lifetime
from . import archived_view
from .cells import AGENT_ID, SESSION_ID, known, moment
from .output import Output
from .stdout import dumps
from .tables import Column, Rows, compact, fields_of, printable_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...archive.base import Archived, ArchivedSummary

#: Number of newest actions in the view of a session.
LATEST_ACTIONS = 10

ACTIONS = [
    Column("T", lambda row: known(row.get("t")), right=True),
    Column("TIME", lambda row: moment(row.get("timestamp")), drop=1),
    Column("ACTION", lambda row: known(row.get("action")), narrow="cut"),
    Column("OK", lambda row: {"true": "yes", "false": "NO"}.get(known(row.get("success")), "-")),
    Column("INPUT", lambda row: known(row.get("input")), narrow="cut", drop=2),
    Column("OBSERVATION", lambda row: known(row.get("observation")), narrow="cut"),
]

ENDED = [
    SESSION_ID,
    AGENT_ID,
    Column("ENDED", lambda row: moment(row["ended_at"], "seconds"), drop=1, width=20),
    Column("ACTIONS", lambda row: known(row["actions"]), right=True, drop=2),
    Column("ARCHIVE", lambda row: row["archive"] or "discarded", narrow="cut"),
]


def session(
    session_id: str,
    document: dict[str, Any],
    ttl_ms: int | None,
    archived: ArchivedSummary | None = None,
    moment_facts: Sequence[tuple[str, str]] = (),
    newest: Callable[[], int] | None = None,
) -> RenderableType:
    """The state of a session, and its newest actions. archived: what the archive knows of it, if it is from there.

    moment_facts: fields that say of which moment it is, in place of its TTL, if it is not the present one. newest:
    returns the ordinal of the newest action.
    """
    from rich.console import Group
    from rich.text import Text

    actions = as_array(as_object(document.get("history")).get("actions"))
    fields = list(facts(document, len(actions), None if archived or moment_facts else lifetime(ttl_ms)))
    fields[2:2] = moment_facts
    if archived is not None:
        fields += archived_view.facts(archived)
    parts: list[RenderableType] = [fields_of(fields)]
    if actions:
        rows = [as_object(one) for one in reversed(actions[-LATEST_ACTIONS:])]
        if share_numbers(rows) and newest is not None:
            rows = [{**row, "t": number} for number, row in zip(count(newest(), -1), rows)]
        parts += ["", Rows(rows, ACTIONS)]
    if len(actions) > LATEST_ACTIONS:
        bound = f" --to {newest()}" if moment_facts and newest is not None else ""
        more = f"awictl session history {session_id}{bound} --limit {len(actions)}"
        note = f"last {LATEST_ACTIONS} of {len(actions):,} actions; all: {more}"
        parts.append(Text(note, no_wrap=True, overflow="ignore"))
    return Group(*parts)


def share_numbers(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some of these actions have the same `t`: in a session that the app cut, it sticks at 100."""
    return any(first.get("t") == second.get("t") is not None for first, second in pairwise(rows))


def facts(
    document: dict[str, Any], actions: int, expiry: str | None, newest: Sequence[Any] = ()
) -> Iterator[tuple[str, str]]:
    """The fields of a session with their labels. `actions`: their number; `expiry`: the TTL as text, if it is shown.

    `newest`: actions from which the tokens of a step are estimated if the document has none.
    """
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
    yield "available actions", _words(state.get("available_actions"))
    yield "disabled actions", _words(state.get("disabled_actions"))
    history = as_object(document.get("history"))
    kept = as_array(history.get("actions"))
    trimmed = history.get("trimmed_actions") or (t_of(kept[0]) if kept else None)  # the app trims without a record
    yield "actions", f"{actions}" + (f" ({trimmed} trimmed)" if trimmed else "")
    yield (
        "outcomes",
        f"{known(statistics.get('successful_actions'))} succeeded, {known(statistics.get('failed_actions'))} failed",
    )
    if steps := kept or newest:
        from ...document.token_estimate import state_tokens, tokens_per_step

        yield (
            "tokens per step",
            f"≈ {tokens_per_step(steps):,} as a diff, ≈ {state_tokens(document):,} as the whole state",
        )
    if isinstance(origin := document.get(FORKED_FROM), dict):
        yield "forked from", f"{known(origin.get('session_id'))}, action {known(origin.get('ordinal'))}"
    yield "started", moment(statistics.get("session_start"))
    yield "last activity", moment(statistics.get("last_activity"))
    if "session_end" in statistics:
        yield "ended", moment(statistics["session_end"])


def update(action: Mapping[str, Any] | None, head: dict[str, Any]) -> RenderableType:
    """An action and its delta; `action` None: the last one in `head`."""
    from rich.console import Group

    last = action or as_object(as_object(head.get("history")).get("last_action"))
    return Group(Rows([last], ACTIONS), "", printable_json(last.get("delta")))


def last_delta(diff: dict[str, Any]) -> RenderableType:
    """The last delta of a session, with its action."""
    return update(as_object(diff["last_action"]), {})


def marked(document: dict[str, Any], degraded: bool) -> dict[str, Any]:
    """A document as it is printed; with the field `degraded` if it is what MongoDB has while Redis is unreachable."""
    return {**document, "degraded": True} if degraded else document


def print_archived(out: Output, archived: Archived, title: str | None = None, *, degraded: bool = False) -> None:
    """Print a session from the archive; `raw` is the string that was in Redis, or the app's own document.

    What is missing from it is reported on stderr: the document is printed as it is. `degraded`: see `marked`.
    """
    for notice in archived_view.notices(archived.summary):
        out.notice(notice)
    document = archived.document
    session_id = archived.summary.session_id
    out.one(
        marked(document, degraded),
        table=lambda: session(session_id, document, None, archived.summary),
        ids=[session_id],
        title=title,
        raw=archived.raw if archived.raw is not None else dumps(archived.original) + b"\n",
    )


def _words(value: Any) -> str:
    return ", ".join(map(compact, as_array(value))) or "-"
