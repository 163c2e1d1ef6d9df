"""`awictl session end`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...document.keys import check_session_id
from ...errors import AwiError, InvalidInput
from ...store.errors import no_session
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds
from ..framework.confirm import confirm
from ..framework.each_id import EachId
from ..framework.input import read_ids
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.session_view import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ..framework.output import Row

#: Number of sessions that are ended at the same time.
AT_ONCE = 8

Discard = Annotated[bool, option("--discard", help="Delete the sessions without archiving them.")]
Yes = Annotated[bool, option("--yes", "-y", help="Do not ask for confirmation before --discard.")]
DryRun = Annotated[bool, option("--dry-run", help="Only show which sessions would end.")]


@cli_command(
    examples=[
        "awictl session end ID",
        "awictl session end ID --archive sqlite:////var/backups/awi.db",
        "awictl session list -o ids --agent browser-1 | awictl session end -",
        "awictl session end ID --discard --yes   # not archived",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext, ids: SessionIds, discard: Discard = False, yes: Yes = False, dry_run: DryRun = False
) -> Work:
    """End sessions: archive each, verify the copy, and only then delete it. Safe to repeat."""
    if dry_run:
        return run_dry(ctx, ids, discard)
    return run(ctx, read_ids(ids) if discard and not yes else ids, discard, yes)


async def run(ctx: CommandContext, ids: list[str], discard: bool, yes: bool) -> None:
    """End each session."""
    async with ctx.manager() as manager:
        if discard:
            manager.check_writable()
            confirm(f"Delete {plural(len(ids), 'session')} without archiving? This cannot be undone.", yes)
        sessions = EachId(ctx, ids, writes=True)

        async def one(session_id: str) -> dict[str, Any]:
            return (await (manager.discard_session if discard else manager.end_session)(session_id)).row()

        await render(ctx, sessions.rows(one, at_once=AT_ONCE, stop=True), "no session was ended")
    sessions.exit()


async def run_dry(ctx: CommandContext, ids: list[str], discard: bool) -> None:
    """Show which sessions would end; report those that are not live."""
    sessions = EachId(ctx, ids)
    async with ctx.manager() as manager:
        archive = None if discard else manager.required_archive().where

        async def find(batch: list[str]) -> list[dict[str, Any] | AwiError | None]:
            found: dict[str, dict[str, Any] | AwiError] = {}
            for session_id in batch:
                try:
                    check_session_id(session_id)
                except InvalidInput as error:
                    found[session_id] = error
            for listed in await manager.store.list([one for one in batch if one not in found]):
                found[listed.session_id] = {
                    "session_id": listed.session_id,
                    "agent_id": listed.head.get("agent_id"),
                    "ended_at": None,
                    "actions": listed.actions,
                    "archive": archive,
                }
            return [found.get(one) or no_session(one, manager.store.where) for one in batch]

        await render(ctx, Batches(sessions.batches(find)), "no session would end")
    ctx.out.notice("dry run: nothing was written")
    sessions.exit()


async def render(ctx: CommandContext, rows: "AsyncIterable[Row] | Batches", empty: str) -> None:
    """Print the sessions that ended."""
    await ctx.out.many(rows, ENDED, id_field="session_id", empty=empty)
