"""`awictl session end`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...document.keys import check_session_id
from ...errors import NotFound
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds
from ..framework.confirm import confirm
from ..framework.each_id import EachId
from ..framework.input import read_ids
from ..framework.output import Format
from ..framework.session_view import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from ..framework.output import Row

Discard = Annotated[bool, typer.Option("--discard", help="Delete the sessions without archiving them.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation before --discard.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which sessions would end.")]


@cli_command(
    examples=[
        "awictl session end ID",
        "awictl session end ID --archive sqlite:////var/backups/awi.db",
        "awictl session list -o ids --agent browser-1 | awictl session end -",
        "awictl session end ID --discard --yes   # not archived",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext, ids: SessionIds, discard: Discard = False, yes: Yes = False, dry_run: DryRun = False
) -> Work:
    """End sessions: archive each, verify the copy, and only then delete it. Safe to repeat."""
    wanted = read_ids(ids)
    return run_dry(ctx, wanted, discard) if dry_run else run(ctx, wanted, discard, yes)


async def run(ctx: CommandContext, ids: list[str], discard: bool, yes: bool) -> None:
    """End each session."""
    async with ctx.manager() as manager:
        if discard:
            manager.check_writable()
            confirm(f"Delete {plural(len(ids), 'session')} without archiving? This cannot be undone.", yes)
        sessions = EachId(ctx, ids)

        async def one(session_id: str) -> dict[str, Any]:
            return (await (manager.discard_session if discard else manager.end_session)(session_id)).row()

        await render(ctx, sessions.rows(one), "no session was ended")
    sessions.exit()


async def run_dry(ctx: CommandContext, ids: list[str], discard: bool) -> None:
    """Show which sessions would end. Raises NotFound if some are not live."""
    async with ctx.manager() as manager:
        archive = None if discard else manager.required_archive().where
        listed = await manager.store.list([check_session_id(one) for one in ids])
        rows = [
            {
                "session_id": one.session_id,
                "agent_id": one.head.get("agent_id"),
                "ended_at": None,
                "actions": one.actions,
                "archive": archive,
            }
            for one in listed
        ]
        await render(ctx, rows, "no session would end")
        if missing := set(ids) - {one.session_id for one in listed}:
            raise NotFound(f"there is no session {', '.join(sorted(missing))} at {manager.store.where}")


async def render(ctx: CommandContext, rows: "AsyncIterable[Row] | Iterable[Row]", empty: str) -> None:
    """Print the sessions that ended."""
    await ctx.out.many(rows, ENDED, id_field="session_id", empty=empty)
