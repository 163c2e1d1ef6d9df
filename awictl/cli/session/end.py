"""`awictl session end`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...document.keys import check_session_id
from ...errors import AwiError, InvalidInput
from ...store.errors import no_session
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.confirm import confirm
from ..framework.each_id import EachId
from ..framework.input import read_ids
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.selection import Selection, SomeIds, Where, check_selection
from ..framework.session_view import ENDED

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ...sessions.where.grammar import WhereExpression
    from ..framework.output import Row

#: Number of sessions that are ended at the same time.
AT_ONCE = 8

Discard = Annotated[bool, option("--discard", help="Delete the sessions without archiving them.")]
Yes = Annotated[bool, option("--yes", "-y", help="Do not ask for confirmation of --where and --discard.")]
DryRun = Annotated[bool, option("--dry-run", help="Only show which sessions would end.")]


@cli_command(
    examples=[
        "awictl session end ID",
        "awictl session end ID --archive sqlite:////var/backups/awi.db",
        "awictl session end --where 'agent == \"browser-1\" and idle >= 20m' --dry-run",
        "awictl session list -o ids --agent browser-1 | awictl session end -",
        "awictl session end ID --discard --yes   # not archived",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    ids: SomeIds = None,
    where: Where = None,
    discard: Discard = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> Work:
    """End sessions: archive each, verify the copy, and only then delete it. Safe to repeat."""
    expression = check_selection(ids, where, all_option=False)
    if dry_run:
        return run_dry(ctx, ids, expression, discard)
    return run(ctx, read_ids(ids) if ids and discard and not yes else ids, expression, discard, yes)


async def run(
    ctx: CommandContext, ids: list[str] | None, where: "WhereExpression | None", discard: bool, yes: bool
) -> None:
    """End each session; those of --where only if they still match, in the version that ends."""
    changed = 0
    async with ctx.manager() as manager:
        server = manager.store.where

        def question(count: int) -> str:
            if discard:
                return f"Delete {plural(count, 'session')} without archiving from {server}? This cannot be undone."
            return f"End {plural(count, 'session')} at {server}?"

        selection = Selection(ctx, manager, ids, where)
        if discard or where is not None:
            manager.check_writable()
        if not discard and where is not None:
            from ...sessions.end import DISCARD_HINT

            manager.required_archive(f"; {DISCARD_HINT}")
        if ids and discard:
            confirm(question(len(ids)), yes)
        elif not await selection.confirmed(question, yes):
            ctx.out.notice("no session matches")
            return
        sessions = EachId(ctx, ids or selection.batches(AT_ONCE), writes=True)

        async def one(session_id: str) -> dict[str, Any] | None:
            nonlocal changed
            if where is None:
                return (await (manager.discard_session if discard else manager.end_session)(session_id)).row()
            services = manager.selection
            ended = await (services.discard if discard else services.end)(session_id, where)
            changed += ended is None
            return ended.row() if ended is not None else None

        await render(ctx, sessions.rows(one, at_once=AT_ONCE, stop=True), "no session was ended")
    if changed:
        ctx.out.notice(f"{plural(changed, 'session')} did not match any more, and did not end")
    sessions.exit()


async def run_dry(ctx: CommandContext, ids: list[str] | None, where: "WhereExpression | None", discard: bool) -> None:
    """Show which sessions would end; report those that are not live."""
    async with ctx.manager() as manager:
        sessions = EachId(ctx, ids or Selection(ctx, manager, ids, where).batches())
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
