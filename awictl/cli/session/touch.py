"""`awictl session touch`."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any

from ...errors import AwiError, NotFound
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Ttl, Yes
from ..framework.each_id import EachId
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.selection import Selection, SomeIds, Where, check_selection
from . import view

if TYPE_CHECKING:
    from ...sessions.where.grammar import WhereExpression

#: Maximum number of missing sessions for which the reason is looked up.
MOST_EXPLAINED = 10

DryRun = Annotated[bool, option("--dry-run", help="Only show which sessions would be touched.")]


@cli_command(
    examples=[
        "awictl session touch ID",
        "awictl session list -o ids --idle 20m | awictl session touch -",
        "awictl session touch ID --ttl 2h",
        "awictl session touch --where 'agent == \"browser-1\" and ttl < 5m' --yes",
        "awictl session touch --where 'route ~ \"^/checkout\"' --dry-run",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    ids: SomeIds = None,
    where: Where = None,
    ttl: Ttl = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> Work:
    """Extend the TTL of sessions. The documents are not rewritten."""
    return run(ctx, ids, check_selection(ids, where, all_option=False), ttl, yes, dry_run)


async def run(
    ctx: CommandContext,
    ids: list[str] | None,
    where: "WhereExpression | None",
    ttl_ms: int | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Extend the TTL of each session; report those that are not live."""
    async with ctx.manager() as manager:
        selection = Selection(ctx, manager, ids, where)
        if not dry_run and where is not None:
            manager.check_writable()
            server = manager.store.where
            if not await selection.confirmed(
                lambda count: f"Extend the TTL of {plural(count, 'session')} at {server}?", yes
            ):
                ctx.out.notice("no session matches")
                return
        sessions = EachId(ctx, ids or selection.batches(), writes=not dry_run, most_errors=MOST_EXPLAINED)
        missing = 0

        async def exists(batch: list[str]) -> list[bool | AwiError]:
            live = {one.session_id for one in await manager.store.lifetimes(batch)}
            return [one in live for one in batch]

        async def touch(batch: list[str]) -> list[dict[str, Any] | AwiError | None]:
            nonlocal missing
            outcomes: list[dict[str, Any] | AwiError | None] = []
            found = await (exists(batch) if dry_run else manager.touch_each(batch, ttl_ms=ttl_ms))
            for session_id, outcome in zip(batch, found, strict=True):
                if outcome is True:
                    outcomes.append({"session_id": session_id, "ttl_ms": ttl_ms or manager.settings.session_ttl_ms})
                elif isinstance(outcome, AwiError):
                    outcomes.append(outcome)
                else:
                    missing += 1
                    outcomes.append(await manager.why_missing(session_id) if missing <= MOST_EXPLAINED else NotFound())
            return outcomes

        await render(ctx, sessions.batches(touch))
        if sessions.unreported:
            ctx.out.notice(f"{plural(sessions.unreported, 'more session')} not live")
        if dry_run:
            ctx.out.notice("dry run: nothing was written")
    sessions.exit()


async def render(ctx: CommandContext, batches: AsyncGenerator[list[dict[str, Any]], None]) -> None:
    """Print the sessions that were touched."""
    await ctx.out.many(Batches(batches), view.TOUCHED, id_field="session_id", empty="no session was touched")
