"""`awictl session history`."""

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from ...document.action_numbers import t_of
from ...document.schema import as_object
from ...errors import InvalidInput
from ..framework.archived_view import is_incomplete, notices
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import MaybeInterval, Seconds, SessionId
from ..framework.output import LISTING, Format
from ..framework.params import option
from ..framework.session_view import ACTIONS, marked
from . import view
from .follow import follow

if TYPE_CHECKING:
    from ...archive.base import ArchivedSummary
    from ...store.base import HistoryPage

Limit = Annotated[int, option("--limit", min=0, metavar="N", help="Maximum number of actions.")]
Offset = Annotated[int, option("--offset", min=0, metavar="N", help="Number of newest actions to skip.")]
Follow = Annotated[bool, option("--follow", "-f", help="Keep printing new actions as they are recorded.")]

#: Polling interval of --follow, in seconds.
DEFAULT_INTERVAL = 1.0


@cli_command(
    examples=[
        "awictl session history ID",
        "awictl session history ID --limit 100 | jq -r 'select(.success | not) | .action'",
        "awictl session history ID --follow   # like tail -f",
    ],
    formats=LISTING,
)
def command(
    ctx: CommandContext,
    id: SessionId,
    limit: Limit = 20,
    offset: Offset = 0,
    follow: Follow = False,
    interval: MaybeInterval = None,
    seconds: Seconds = None,
) -> Work:
    """Print the actions of a session, newest first. Those of an archived session include trimmed ones."""
    if follow:
        if offset:
            raise InvalidInput("--follow and --offset cannot be combined")
        if ctx.options.output is Format.CSV:
            raise InvalidInput("--follow and -o csv cannot be combined: the fields of later actions are not known")
        return run_follow(ctx, id, limit, interval or DEFAULT_INTERVAL, seconds)
    if interval is not None or seconds is not None:
        raise InvalidInput(f"{'--interval' if interval is not None else '--seconds'} requires --follow")
    return run(ctx, id, limit, offset)


async def run(ctx: CommandContext, session_id: str, limit: int, offset: int) -> None:
    """Print one page of the actions."""
    async with ctx.manager() as manager:
        page, found = await manager.find_history(session_id, limit, offset)
    if found is not None:
        ctx.out.notice(found.origin)
    envelope: dict[str, Any] = {"session_id": session_id, "total": page.total, "limit": limit, "offset": offset}
    envelope = marked(envelope, page.degraded)
    await render(ctx, page, envelope, found.archived.summary if found is not None and found.archived else None)


async def run_follow(ctx: CommandContext, session_id: str, limit: int, interval: float, seconds: float | None) -> None:
    """Print the newest `limit` actions, oldest first, and then each new one."""
    async with aclosing(follow(ctx, session_id, limit, interval, seconds)) as events:
        async for event in events:
            if event.missed:
                ctx.out.notice("some actions were added and trimmed between two polls: use a shorter --interval")
            for action in map(as_object, event.actions):
                ctx.out.line(action, partial(view.action_lines, action))


async def render(
    ctx: CommandContext, page: "HistoryPage", envelope: dict[str, Any], archived: "ArchivedSummary | None"
) -> None:
    """Print a page of actions; `envelope`: the fields around them in JSON. archived: what the archive knows of them."""
    if archived is not None:
        envelope |= {"gaps": [gap.row() for gap in archived.gaps]}
    rows = [one if isinstance(one, dict) else {"action": one} for one in page.trajectory]
    await ctx.out.many(rows, ACTIONS, envelope=lambda found: envelope | {"trajectory": found}, empty="no actions")
    if len(rows) < page.total:
        ctx.out.notice(f"{len(rows)} of {page.total} actions")
    if archived is not None and is_incomplete(archived):
        for notice in notices(archived):
            ctx.out.notice(notice)
        return
    oldest = t_of(rows[-1]) if rows and page.offset + len(rows) >= page.total else None
    if oldest and archived is not None:
        ctx.out.notice(f"actions before {oldest} are not in the archive")
    elif oldest:
        ctx.out.notice(
            f"actions before {oldest} were trimmed and are not here; "
            f"`awictl archive show {envelope['session_id']}` has those that were archived"
        )
