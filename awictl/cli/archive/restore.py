"""`awictl archive restore`."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds
from ..framework.each_id import EachId
from ..framework.output import LISTING, Format
from ..framework.params import option
from . import view

DryRun = Annotated[bool, option("--dry-run", help="Only check that the sessions can be restored.")]


@cli_command(
    examples=["awictl archive restore ID", "awictl archive restore ID --dry-run"],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, ids: SessionIds, dry_run: DryRun = False) -> Work:
    """Restore archived sessions to Redis as live sessions, byte for byte. They stay in the archive.

    Refused if the session is live and has changed since. The agent's current session is not replaced.
    """
    return run(ctx, ids, dry_run)


async def run(ctx: CommandContext, ids: list[str], dry_run: bool) -> None:
    """Restore each session."""
    sessions = EachId(ctx, ids, writes=not dry_run)

    async def one(session_id: str) -> dict[str, Any]:
        archived, current = await manager.restore_session(session_id, dry_run=dry_run)
        if current not in (None, session_id):
            ctx.out.notice(f"the current session of agent {archived.summary.agent_id} remains {current}")
        return {
            "session_id": session_id,
            "agent_id": archived.summary.agent_id,
            "agent_session": current,
            "ttl_ms": manager.settings.session_ttl_ms,
        }

    async with ctx.manager() as manager:
        await render(
            ctx, sessions.rows(one, stop=True), "no session would be restored" if dry_run else "no session was restored"
        )
    if dry_run:
        ctx.out.notice("dry run: nothing was written")
    sessions.exit()


async def render(ctx: CommandContext, rows: AsyncIterator[dict[str, Any]], empty: str) -> None:
    """Print the sessions that were restored."""
    await ctx.out.many(rows, view.RESTORED, id_field="session_id", empty=empty)
