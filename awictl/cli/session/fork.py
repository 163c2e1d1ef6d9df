"""`awictl session fork`."""

from typing import TYPE_CHECKING, Annotated

from ...document.keys import check_agent_id
from ...util.humanize import fields, plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionId, Ttl
from ..framework.moments import At, moment_of
from ..framework.output import Format
from ..framework.params import option
from ..framework.session_view import session as session_table

if TYPE_CHECKING:
    from ...document.history.moments import Moment
    from ...sessions.fork import Forked

Agent = Annotated[
    str | None,
    option("--agent", metavar="ID", help="Agent that goes on in the new session.  [default: none]", show_default=False),
]
AllowUnknown = Annotated[bool, option("--allow-unknown", help="Leave out what is unknown of that moment.")]
DryRun = Annotated[bool, option("--dry-run", help="Only print what the new session would be; write nothing.")]


@cli_command(
    examples=[
        "awictl session fork ID   # a copy that can go on",
        "awictl session fork ID --at 17 --agent browser-2",
        "id=$(awictl session fork ID --at 12:05:30 -o ids)",
        "awictl session fork ID --at 17 --dry-run",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext,
    id: SessionId,
    at: At = None,
    agent: Agent = None,
    ttl: Ttl = None,
    allow_unknown: AllowUnknown = False,
    dry_run: DryRun = False,
) -> Work:
    """Make a new live session with the state and the history of a session, live or archived, at any moment.

    The original is not changed, and no agent is mapped to the new session, unless --agent names one. Without
    --at, it is the newest state; an end of the session is left out, so that the new one can go on. Its field
    `forked_from` says which session and action it was made from.
    """
    if agent is not None:
        check_agent_id(agent)
    return run(ctx, id, moment_of("--at", at), agent, ttl, allow_unknown, dry_run)


async def run(
    ctx: CommandContext,
    session_id: str,
    moment: "Moment | None",
    agent_id: str | None,
    ttl_ms: int | None,
    allow_unknown: bool,
    dry_run: bool,
) -> None:
    """Fork the session."""
    async with ctx.manager() as manager:
        forked = await manager.forks.fork(
            session_id, moment, agent_id=agent_id, ttl_ms=ttl_ms, allow_unknown=allow_unknown, dry_run=dry_run
        )
    render(ctx, forked, agent_id, ttl_ms or manager.settings.session_ttl_ms, dry_run)


def render(ctx: CommandContext, forked: "Forked", agent_id: str | None, ttl_ms: int, dry_run: bool) -> None:
    """Print the new session."""
    from ..framework import whole_view

    for notice in whole_view.notices(forked.whole):
        ctx.out.notice(notice)
    document, original = forked.document, forked.whole.session_id
    of = f"action {forked.state.ordinal} of {original}"
    if forked.unknown:
        ctx.out.notice(f"left out, since it is unknown after {of}: {fields(forked.unknown)}")
    if forked.state.conflicts:
        places = fields(forked.state.conflicts)
        ctx.out.notice(f"not sure after {of}, since the present state does not fit the actions: {places}")
    if forked.archived:
        ctx.out.notice(f"{plural(forked.archived, 'earlier action')} of it are in the archive")
    if forked.lost:
        ctx.out.notice(f"{plural(forked.lost, 'earlier action')} of {original} are not in the fork")
    if forked.previous:
        ctx.out.notice(f"the previous session of agent {agent_id}, {forked.previous}, is not ended: it will expire")
    if dry_run:
        ctx.out.notice("dry run: nothing was written")
        document = {**document, "session_id": None}
    elif agent_id is None:
        ctx.out.notice(f"no agent is mapped to {document['session_id']}; --agent ID maps one")
    ctx.out.one(
        document,
        table=lambda: session_table(document["session_id"] or "ID", document, ttl_ms),
        ids=[] if dry_run else [document["session_id"]],
    )
