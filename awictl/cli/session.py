"""`awictl session`: live sessions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import AwiError, InvalidInput, NotFound
from ..manager import StateManager
from ..queries import SORT_KEYS, SessionQuery, SortKey, Summary
from ..state.codec import parse_input
from ..state.delta import compare
from . import session_view as view
from .options import Run, SessionId, SessionIds, command, new_group, parse_duration, read_ids, read_stdin, report
from .output import Format, write

app = new_group("Create, read and update live sessions.")

#: Fields that differ between any two sessions, and say nothing of their state.
OWN_FIELDS = ("session_id", "agent_id", "agent_name", "history", "statistics", "last_updated")


@command(
    app,
    "create",
    examples=[
        "awictl session create --agent browser-1 --name 'Browser agent' --route /api/agent/posts",
        "id=$(awictl session create --agent browser-1 -o ids)",
    ],
    formats=[Format.IDS],
)
async def create(
    run: Run,
    agent: Annotated[str, typer.Option("--agent", metavar="ID", help="Agent id.", show_default=False)],
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Agent's name; its id if not given.")
    ] = None,
    route: Annotated[str, typer.Option("--route", metavar="PATH", help="Where the agent starts.")] = "/",
) -> None:
    """Create a session for an agent, and print it. It becomes the agent's current session."""
    async with run.manager() as manager:
        document, previous = await manager.create_session(agent, name or agent, route)
    if previous:
        run.out.notice(f"agent {agent} was in session {previous} before, which is left to expire")
    ttl_ms = manager.settings.session_ttl_ms
    run.out.one(document, table=lambda: view.session(document, ttl_ms), ids=[document["session_id"]])


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
    rate: Annotated[
        float | None, typer.Option("--rate", min=1, metavar="N", help="Let the server visit so many keys a second.")
    ] = None,
) -> None:
    """List live sessions. They are printed as they are found; nothing is written, and no expiry put off."""
    if reverse and sort is None:
        raise InvalidInput("--reverse needs --sort")
    query = SessionQuery(agent, route, idle, ttl_below)
    unreadable = 0

    async def rows(manager: StateManager) -> AsyncIterator[dict[str, Any]]:
        nonlocal unreadable
        if run.out.chosen(Format.JSONL) is Format.IDS and query.anything and sort is None:
            async for batch in manager.list_session_ids(rate=rate):
                for session_id in batch:
                    yield {"session_id": session_id}
            return
        kept = []
        async for listed in manager.list_sessions(rate=rate):
            unreadable += listed.error is not None
            summary = Summary.of(listed)
            if not query.matches(summary):
                continue
            if sort is None:
                yield summary.row()
            else:
                kept.append(summary)
        if sort is not None:
            for summary in sorted(kept, key=SORT_KEYS[sort], reverse=reverse):
                yield summary.row()

    async with run.manager() as manager:
        await run.out.many(_first(rows(manager), limit), view.SESSIONS, id_field="session_id", empty="no live sessions")
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
    """Print session documents. Nothing is written, and no expiry put off."""

    async with run.manager() as manager:

        async def one(session_id: str) -> None:
            stored = await manager.read_session(session_id)
            if run.out.format is Format.RAW:
                write(stored.raw)
                return
            document = manager.decoded(session_id, stored)
            run.out.one(document, table=lambda: view.session(document, stored.ttl_ms), ids=[session_id])

        await _each(run, read_ids(ids), one)


@command(
    app,
    "apply",
    examples=[
        """awictl session apply ID '{"page_state":{"filters":{"tag":"awi"}}}' --action filter""",
        "jq -n '{page_state: {route: \"/posts\"}}' | awictl session apply ID - --action page_update",
        "awictl session apply ID @delta.json --op-id import-7   # safe to repeat",
        "awictl session apply ID --action get_post --failed --observation 'Post not found'",
    ],
    formats=[Format.IDS],
)
async def apply(
    run: Run,
    id: SessionId,
    delta: Annotated[
        str | None,
        typer.Argument(metavar="[DELTA]", help="A JSON object, @FILE, or - for stdin.", show_default=False),
    ] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="NAME", help="What the agent did.")] = None,
    input: Annotated[str | None, typer.Option("--input", metavar="JSON", help="What it did it with.")] = None,
    observation: Annotated[str | None, typer.Option("--observation", metavar="TEXT", help="What it was told.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="The action did not succeed.")] = False,
    op_id: Annotated[
        str | None, typer.Option("--op-id", metavar="ID", help="Name of the update: it is applied at most once.")
    ] = None,
) -> None:
    """Merge a delta into a session. Records the action, and prints the state afterwards without the trajectory."""
    if delta is None and action is None:
        raise InvalidInput("nothing to apply: give a DELTA, or an --action to record")
    limit = run.settings.max_delta_bytes
    entry: dict[str, Any] = {"success": not failed}
    if action is not None:
        entry["action"] = action
    if input is not None:
        entry["input"] = _parsed(input.encode("utf-8", "surrogatepass"), "--input", limit)
    if observation is not None:
        entry["observation"] = observation
    if op_id is not None:
        entry["op_id"] = op_id
    change = _parsed(_delta_text(delta, limit), "the delta", limit) if delta is not None else {}
    async with run.manager() as manager:
        updated = await manager.apply(id, change, entry)
    if updated.action is None:
        run.out.notice(f"{updated.op_id} had been applied before: nothing was changed")
    run.out.one(updated.head, table=lambda: view.update(updated.action, updated.head), ids=[id])


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
    ],
)
async def history(
    run: Run,
    id: SessionId,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="How many actions.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, metavar="N", help="How many newer ones to pass over.")] = 0,
) -> None:
    """Print the actions of a session, newest first."""
    async with run.manager() as manager:
        page = await manager.get_action_history(id, limit, offset)
    envelope = {"session_id": id, "total": page.total, "limit": limit, "offset": offset}
    rows = [one if isinstance(one, dict) else {"action": one} for one in page.trajectory]
    await run.out.many(
        rows, view.ACTIONS, envelope=lambda found: envelope | {"trajectory": found}, empty="no actions there"
    )
    if len(rows) < page.total:
        run.out.notice(f"{len(rows)} of {page.total} actions")


@command(
    app,
    "touch",
    examples=["awictl session touch ID", "awictl session list -o ids --idle 20m | awictl session touch -"],
    formats=[Format.IDS],
)
async def touch(run: Run, ids: SessionIds) -> None:
    """Put off the expiry of sessions. Nothing else is changed: the documents are not rewritten."""
    wanted = read_ids(ids)
    async with run.manager() as manager:
        exists = await manager.touch_sessions(wanted)
        ttl_ms = manager.settings.session_ttl_ms
    rows = [
        {"session_id": session_id, "ttl_ms": ttl_ms} for session_id, there in zip(wanted, exists, strict=True) if there
    ]
    await run.out.many(rows, view.TOUCHED, id_field="session_id", empty="no session was touched")
    if missing := [session_id for session_id, there in zip(wanted, exists, strict=True) if not there]:
        raise NotFound(f"there is no session {', '.join(missing)} at {manager.store.where}: ended or expired")


async def _each(run: Run, ids: list[str], one: Callable[[str], Awaitable[None]]) -> None:
    """Do `one` for each id; an error with one does not stop the others, and the first is the exit code."""
    code = 0
    for session_id in ids:
        try:
            await one(session_id)
        except AwiError as error:
            if len(ids) == 1:
                raise
            reported = report(error, verbose=run.options.verbose)
            code = code or reported
    if code:
        raise typer.Exit(code)


async def _first(rows: AsyncIterator[dict[str, Any]], limit: int | None) -> AsyncIterator[dict[str, Any]]:
    count = 0
    async for row in rows:
        yield row
        count += 1
        if count == limit:
            return


def _delta_text(given: str, limit: int) -> bytes:
    """The text of a delta given as an argument, as @FILE or as - for stdin; of a larger one just enough to tell."""
    if given == "-":
        return read_stdin(limit + 1)
    if given.startswith("@"):
        try:
            with Path(given[1:]).open("rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise InvalidInput(f"{given}: {error.strerror}") from None
    return given.encode("utf-8", "surrogatepass")


def _parsed(text: bytes, what: str, limit: int) -> Any:
    if len(text) > limit:
        raise InvalidInput(f"{what} has more than {limit:,} bytes, the limit that AWI_MAX_DELTA_BYTES sets")
    try:
        return parse_input(text)
    except InvalidInput as error:
        raise InvalidInput(f"{what} is {error}") from None


def _state(document: dict[str, Any], everything: bool) -> dict[str, Any]:
    return document if everything else {key: value for key, value in document.items() if key not in OWN_FIELDS}
