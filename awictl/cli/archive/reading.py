"""Commands that look at the archive. They write nothing."""

import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import typer

from ...archive.base import Archived, ArchiveQuery, Cursor
from ...archive.stats import ArchiveStats
from ...document.keys import check_session_id
from ...errors import InvalidInput
from ...sessions.end import not_archived
from ...sessions.manager import StateManager
from ..given import parse_moment, read_ids
from ..options import Run, SessionIds, command, each
from ..output import Format, dumps, flush, write
from ..session.reading import print_archived
from . import view
from .group import app

Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only of this agent: id or name.")]
Since = Annotated[
    datetime | None,
    typer.Option("--since", parser=parse_moment, metavar="TIME", help="Only if active then or later: 2026-11-23, 7d."),
]
Until = Annotated[
    datetime | None, typer.Option("--until", parser=parse_moment, metavar="TIME", help="Only if not active later.")
]
Failed = Annotated[bool, typer.Option("--failed", help="Only with an action that failed.")]


@command(
    app,
    "list",
    examples=[
        "awictl archive list --agent browser-1 --since 7d",
        "awictl archive list --failed --limit 20",
        "awictl archive list --cursor CURSOR   # the next page",
        "awictl archive list --all -o ids | awictl archive show -",
    ],
    formats=[Format.IDS],
)
async def list_(
    run: Run,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    failed: Failed = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, metavar="N", help="How many on a page.")] = 50,
    all: Annotated[bool, typer.Option("--all", help="All of them, without pages.")] = False,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Where the page before this one ended.")
    ] = None,
) -> None:
    """List archived sessions, the latest activity first."""
    query = ArchiveQuery(agent, since, until, failed)
    after = Cursor.parse(cursor) if cursor is not None else None
    following: str | None = None

    async def rows(manager: StateManager) -> AsyncIterator[dict[str, Any]]:
        nonlocal following
        count = 0
        last: Cursor | None = None
        # one more than asked for tells whether there is another page
        async with aclosing(manager.required_archive().find(query, after, None if all else limit + 1)) as found:
            async for summary in found:
                if count == limit and not all:
                    following = last.text if last is not None else None
                    return
                count += 1
                last = Cursor(summary.last_activity_at, summary.session_id)
                yield summary.row()

    async with run.manager() as manager:
        await run.out.many(
            rows(manager),
            view.SESSIONS,
            id_field="session_id",
            envelope=lambda found: {"sessions": found, "next_cursor": following},
            empty="no archived sessions",
        )
    if following is not None:
        run.out.notice(f"there are more: --cursor {following}")


@command(
    app,
    "show",
    examples=[
        "awictl archive show ID | jq .history.actions",
        "awictl archive show ID -o raw   # the bytes as they were in Redis",
    ],
    formats=[Format.IDS, Format.RAW],
)
async def show(run: Run, ids: SessionIds) -> None:
    """Print archived sessions. The trajectory is complete: actions that left a session early are in it."""
    async with run.manager() as manager:

        async def one(session_id: str) -> None:
            print_archived(run, await _loaded(manager, session_id))

        await each(run, read_ids(ids), one)


@command(app, "stats", examples=["awictl archive stats --since 30d", "awictl archive stats -o json | jq .success_rate"])
async def stats(
    run: Run,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    failed: Failed = False,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="How many of the most used actions.")] = 10,
) -> None:
    """Sessions and actions a day, success rate, most used actions and durations. Days are those of UTC."""
    counted = ArchiveStats()
    async with run.manager() as manager:
        query = ArchiveQuery(agent, since, until, failed)
        async for summary in manager.required_archive().find(query, action_counts=True):
            counted.add(summary)
    row = counted.row(top)
    blocks = (sys.stdout.encoding or "").lower().startswith("utf")
    run.out.one(row, table=lambda: view.stats(row, blocks=blocks))


@command(
    app,
    "export",
    examples=[
        "awictl archive export --since 30d > sessions.jsonl",
        "awictl archive export --agent browser-1 --actions | jq -c 'select(.success)'",
        "awictl archive export ID",
    ],
)
async def export(
    run: Run,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Session ids, or - to read them from stdin; else all that match."),
    ] = None,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    failed: Failed = False,
    actions: Annotated[bool, typer.Option("--actions", help="An action a line, instead of a session a line.")] = False,
) -> None:
    """Print archived sessions as JSON lines, for training and replay: complete documents, or their actions."""
    if run.options.output not in (None, Format.JSONL):
        raise InvalidInput(f"-o {run.options.output}: this command prints jsonl only")
    query = ArchiveQuery(agent, since, until, failed)
    if ids and query != ArchiveQuery():
        raise InvalidInput("give either ids or filters")

    async with run.manager() as manager:

        async def one(session_id: str) -> None:
            archived = await _loaded(manager, session_id)
            for line in _actions(archived) if actions else [archived.document]:
                write(dumps(line) + b"\n")
            flush()

        if ids:
            await each(run, read_ids(ids), one)
        else:
            await each(run, [summary.session_id async for summary in manager.required_archive().find(query)], one)


async def _loaded(manager: StateManager, session_id: str) -> Archived:
    archive = manager.required_archive()
    archived = await archive.load(check_session_id(session_id))
    if archived is None:
        raise not_archived(session_id, archive)
    return archived


def _actions(archived: Archived) -> list[dict[str, Any]]:
    """The actions of a session, each with what tells whose it is."""
    own = {"session_id": archived.summary.session_id, "agent_id": archived.summary.agent_id}
    return [
        own | (action if isinstance(action, dict) else {"action": action})
        for action in archived.document["history"]["actions"]
    ]
