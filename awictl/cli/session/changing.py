"""Commands that change a session."""

from typing import Annotated, Any

import typer

from ...document.keys import check_session_id
from ...errors import InvalidInput, NotFound
from ...sessions.manager import StateManager
from ...util.humanize import plural
from ..given import confirm, read_ids, read_json
from ..options import EachId, Run, SessionId, SessionIds, command
from ..output import Format
from . import view
from .group import app

#: Sessions that are not there, for each of which is told why.
MOST_EXPLAINED = 10


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
    input: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="What it did it with; also @FILE, or -.")
    ] = None,
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
        entry["input"] = read_json(input, "--input", limit)
    if observation is not None:
        entry["observation"] = observation
    if op_id is not None:
        entry["op_id"] = op_id
    change = read_json(delta, "the delta", limit) if delta is not None else {}
    async with run.manager() as manager:
        updated = await manager.apply(id, change, entry)
    if updated.action is None:
        run.out.notice(f"{updated.op_id} had been applied before: nothing was changed")
    run.out.one(updated.head, table=lambda: view.update(updated.action, updated.head), ids=[id])


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
        exists = dict(zip(wanted, await manager.touch_sessions(wanted), strict=True))
        ttl_ms = manager.settings.session_ttl_ms
        rows = [{"session_id": session_id, "ttl_ms": ttl_ms} for session_id in wanted if exists[session_id]]
        await run.out.many(rows, view.TOUCHED, id_field="session_id", empty="no session was touched")
        missing = [session_id for session_id in wanted if not exists[session_id]]
        sessions = EachId(run, missing[:MOST_EXPLAINED])
        async for _ in sessions.rows(lambda session_id: _explained(manager, session_id)):
            pass
        if len(missing) > MOST_EXPLAINED:
            run.out.notice(f"and {plural(len(missing) - MOST_EXPLAINED, 'more session')} that are not live")
    sessions.exit()


async def _explained(manager: StateManager, session_id: str) -> None:
    raise await manager.why_missing(session_id)


@command(
    app,
    "end",
    examples=[
        "awictl session end ID",
        "awictl session end ID --archive sqlite:////var/backups/awi.db",
        "awictl session list -o ids --agent browser-1 | awictl session end -",
        "awictl session end ID --discard --yes   # lost for good",
    ],
    formats=[Format.IDS],
)
async def end(
    run: Run,
    ids: SessionIds,
    discard: Annotated[bool, typer.Option("--discard", help="Do not archive them: they are lost for good.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before anything is lost.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which sessions would end.")] = False,
) -> None:
    """End sessions: each is archived, read back, compared, and only then deleted. It is safe to repeat."""
    wanted = read_ids(ids)
    async with run.manager() as manager:
        if dry_run:
            await _would_end(run, manager, wanted, None if discard else manager.required_archive().where)
            return
        if discard:
            manager.check_writable()
            confirm(f"Delete {plural(len(wanted), 'session')} for good, without archiving?", yes)
        sessions = EachId(run, wanted)

        async def one(session_id: str) -> dict[str, Any]:
            return (await (manager.discard_session if discard else manager.end_session)(session_id)).row()

        await run.out.many(sessions.rows(one), view.ENDED, id_field="session_id", empty="no session was ended")
    sessions.exit()


async def _would_end(run: Run, manager: StateManager, ids: list[str], archive: str | None) -> None:
    listed = await manager.store.list([check_session_id(one) for one in ids])
    rows = [
        {"session_id": one.session_id, "agent_id": one.head.get("agent_id"), "ended_at": None, "actions": one.actions,
         "archive": archive}
        for one in listed
    ]  # fmt: skip
    await run.out.many(rows, view.ENDED, id_field="session_id", empty="no session would end")
    if missing := set(ids) - {one.session_id for one in listed}:
        raise NotFound(f"there is no session {', '.join(sorted(missing))} at {manager.store.where}")
