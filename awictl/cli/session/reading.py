"""Commands that look at sessions. They write nothing, and put off no expiry."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...document.merge import compare
from ...errors import InvalidInput
from ...sessions.list_filter import SORT_KEYS, SessionQuery, SortKey
from ...sessions.manager import StateManager
from ..given import parse_duration, read_ids
from ..options import MaybeInterval, Rate, Run, Seconds, SessionId, SessionIds, command, each
from ..output import Batches, Format, Row, dumps, write
from . import view
from .following import follow_history
from .group import app

if TYPE_CHECKING:
    from ...archive.base import Archived

#: Fields that differ between any two sessions, and say nothing of their state.
OWN_FIELDS = ("session_id", "agent_id", "agent_name", "history", "statistics", "last_updated")


@command(
    app,
    "list",
    examples=[
        "awictl session list",
        "awictl session list --idle 20m --sort ttl --limit 10",
        "awictl session list --route '/api/agent/posts*' -o jsonl | jq -r .agent_id",
        "awictl session list -o ids --idle 20m | awictl session touch -",
    ],
    formats=[Format.IDS],
)
async def list_(
    run: Run,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Only of this agent: id or name.")
    ] = None,
    route: Annotated[
        str | None, typer.Option("--route", metavar="PATTERN", help="Only on this route; * and ? stand for any.")
    ] = None,
    idle: Annotated[
        int | None,
        typer.Option("--idle", parser=parse_duration, metavar="TIME", help="Only idle for so long, such as 20m."),
    ] = None,
    ttl_below: Annotated[
        int | None,
        typer.Option("--ttl-below", parser=parse_duration, metavar="TIME", help="Only if it expires within this time."),
    ] = None,
    sort: Annotated[SortKey | None, typer.Option("--sort", help="Order, ascending; else as found.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order round.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = None,
    rate: Rate = None,
) -> None:
    """List live sessions. They are printed as they are found; nothing is written, and no expiry put off."""
    from ...sessions.summaries import SUMMARIES, Summary, lines

    if reverse and sort is None:
        raise InvalidInput("--reverse needs --sort")
    query = SessionQuery(agent, route, idle, ttl_below)
    unreadable = 0

    def count() -> None:
        nonlocal unreadable
        unreadable += 1

    encoded = run.out.chosen(Format.JSONL) is Format.JSONL and query.anything and sort is None

    async def rows(manager: StateManager) -> AsyncGenerator[Sequence[Row | bytes], None]:
        nonlocal unreadable
        if run.out.chosen(Format.JSONL) is Format.IDS and query.anything and sort is None:
            async with aclosing(manager.list_session_ids(rate=rate)) as ids:
                async for batch in ids:
                    yield [{"session_id": session_id} for session_id in batch]
            return
        if encoded:
            async with aclosing(manager.list_sessions_as(lines(count), rate=rate)) as found:
                async for line_batch in found:
                    yield line_batch
            return
        kept: list[Summary] = []
        async with aclosing(manager.list_sessions_as(SUMMARIES, rate=rate)) as found:
            async for summaries in found:
                unreadable += sum(one.error is not None for one in summaries)
                wanted = [one for one in summaries if query.matches(one)]
                if sort is None:
                    yield [one.row() for one in wanted]
                else:
                    kept += wanted
        if sort is not None:
            yield [one.row() for one in sorted(kept, key=SORT_KEYS[sort], reverse=reverse)]

    async with run.manager() as manager:
        await run.out.many(
            Batches(rows(manager), limit, encoded), view.SESSIONS, id_field="session_id", empty="no live sessions"
        )
    if unreadable:
        run.out.notice(f"{unreadable} of the sessions could not be read: `awictl session show ID` says why")


@command(
    app,
    "show",
    examples=[
        "awictl session show sess_1d921b557fb54766a6fb4f1a4add6392",
        "awictl session show ID | jq .page_state",
        "awictl session show ID -o raw   # the bytes as they are stored",
    ],
    formats=[Format.IDS, Format.RAW],
)
async def show(run: Run, ids: SessionIds) -> None:
    """Print session documents, live or from the archive. Nothing is written, and no expiry put off."""

    async with run.manager() as manager:

        async def one(session_id: str) -> None:
            found = await manager.find_session(session_id)
            if found.origin:
                run.out.notice(found.origin)
            if found.archived is not None:
                print_archived(run, found.archived)
            elif found.stored is not None:
                stored = found.stored
                if run.out.format is Format.RAW:
                    write(stored.raw)
                    return
                document = manager.decoded(session_id, stored)
                run.out.one(document, table=lambda: view.session(document, stored.ttl_ms), ids=[session_id])

        await each(run, read_ids(ids), one)


@command(
    app,
    "diff",
    examples=[
        "awictl session diff ID   # the last delta, and the action that made it",
        "awictl session diff ID1 ID2   # where two states differ",
        "awictl session diff ID1 ID2 --exit-code -q -o json",
    ],
)
async def diff(
    run: Run,
    id: SessionId,
    other: Annotated[str | None, typer.Argument(metavar="[ID2]", help="Another session.", show_default=False)] = None,
    all: Annotated[bool, typer.Option("--all", help="Compare ids, histories and statistics too.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where there is a difference.")] = False,
) -> None:
    """Show the last delta, or compare two states. The last delta of a session is kept for five minutes."""
    async with run.manager() as manager:
        if other is None:
            last = await manager.get_state_diff(id)
            differs = last is not None
            if last is None:
                run.out.notice(f"{id} was not updated in the last five minutes")
            run.out.one(last, table=lambda: view.last_delta(last) if last else "no delta")
        else:
            first, second = [_state(manager.decoded(one, await manager.read_session(one)), all) for one in (id, other)]
            comparison = compare(first, second)
            differs = bool(comparison)
            if not differs:
                run.out.notice("the states are equal")
            run.out.one(
                {"delta": comparison.delta, "removed": comparison.removed},
                table=lambda: view.changes(first, second, comparison),
            )
    if exit_code and differs:
        raise typer.Exit(1)


@command(
    app,
    "history",
    examples=[
        "awictl session history ID",
        "awictl session history ID --limit 100 | jq -r 'select(.success | not) | .action'",
        "awictl session history ID --follow   # like tail -f: oldest first, then each new one",
    ],
)
async def history(
    run: Run,
    id: SessionId,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="How many actions.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, metavar="N", help="How many newer ones to pass over.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then go on with each new one as it comes.")] = False,
    interval: MaybeInterval = None,
    seconds: Seconds = None,
) -> None:
    """Print the actions of a session, newest first; of an archived one also those that left it early."""
    if follow:
        if offset:
            raise InvalidInput("--follow begins with the newest actions: leave out --offset")
        await follow_history(run, id, limit, interval or 1.0, seconds)
        return
    if interval is not None or seconds is not None:
        raise InvalidInput(f"{'--interval' if interval is not None else '--seconds'} is for --follow")
    async with run.manager() as manager:
        page, found = await manager.find_history(id, limit, offset)
    if found is not None:
        run.out.notice(found.origin)
    envelope = {"session_id": id, "total": page.total, "limit": limit, "offset": offset}
    rows = [one if isinstance(one, dict) else {"action": one} for one in page.trajectory]
    await run.out.many(
        rows, view.ACTIONS, envelope=lambda found: envelope | {"trajectory": found}, empty="no actions there"
    )
    if len(rows) < page.total:
        run.out.notice(f"{len(rows)} of {page.total} actions")


def print_archived(run: Run, archived: "Archived") -> None:
    """Print a session from the archive; raw, it is the string that it was in Redis, or the app's own document."""
    document = archived.document
    run.out.one(
        document,
        table=lambda: view.session(document, None, archived=True),
        ids=[archived.summary.session_id],
        raw=archived.raw if archived.raw is not None else dumps(archived.original) + b"\n",
    )


def _state(document: dict[str, Any], everything: bool) -> dict[str, Any]:
    return document if everything else {key: value for key, value in document.items() if key not in OWN_FIELDS}
