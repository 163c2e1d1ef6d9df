"""`awictl session history`."""

from collections import deque
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from ...document.action_numbers import t_of
from ...document.history.action_filter import ActionFilter
from ...document.schema import as_object
from ...errors import InvalidInput
from ..framework import whole_view
from ..framework.archived_view import is_incomplete, notices
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import MaybeInterval, Seconds, SessionId, time_option
from ..framework.moments import moment_of
from ..framework.output import LISTING, Format
from ..framework.params import option
from ..framework.session_view import ACTIONS, marked, share_numbers
from . import view
from .follow import follow

if TYPE_CHECKING:
    from ...archive.base import ArchivedSummary
    from ...document.history.moments import Moment
    from ...document.history.timeline import Step
    from ...sessions.whole_session import WholeSession
    from ...store.base import HistoryPage

Limit = Annotated[int, option("--limit", min=0, metavar="N", help="Maximum number of actions.")]
Offset = Annotated[int, option("--offset", min=0, metavar="N", help="Number of newest actions to skip.")]
Follow = Annotated[bool, option("--follow", "-f", help="Keep printing new actions as they are recorded.")]

Actions = Annotated[
    list[str] | None,
    option(
        "--action", metavar="NAME", help="Only actions of this name; * is any text. Repeatable.", show_default=False
    ),
]
Failed = Annotated[bool, option("--failed", help="Only actions that failed.")]
Since = Annotated[
    datetime | None,
    time_option("--since", "Only actions at or after this time, such as 2026-11-23T08:00, or 5m ago."),
]
Until = Annotated[datetime | None, time_option("--until", "Only actions before this time.")]
Grep = Annotated[
    str,
    option(
        "--grep",
        metavar="TEXT",
        help="Only actions with this text in the JSON of their input, delta or observation.",
        show_default=False,
    ),
]
IgnoreCase = Annotated[bool, option("--ignore-case", "-i", help="Let --grep ignore upper and lower case.")]
From = Annotated[
    str | None,
    option("--from", metavar="T", help="First action: its number, or a time such as 12:05:30 or -5m (5 minutes ago)."),
]
To = Annotated[str | None, option("--to", metavar="T", help="Last action, as for --from.")]
OldestFirst = Annotated[bool, option("--oldest-first", "--reverse", help="Print the oldest action first.")]

#: Polling interval of --follow, in seconds.
DEFAULT_INTERVAL = 1.0
#: Stands for all actions that are in a live session.
_ALL = 2**31


@cli_command(
    examples=[
        "awictl session history ID",
        "awictl session history ID --limit 100 | jq -r 'select(.success | not) | .action'",
        "awictl session history ID --failed --action 'get_*' --since 1h",
        "awictl session history ID --from 17 --to 23 --oldest-first",
        "awictl session history ID --follow   # like tail -f",
    ],
    formats=LISTING,
)
def command(
    ctx: CommandContext,
    id: SessionId,
    limit: Limit = 20,
    offset: Offset = 0,
    action: Actions = None,
    failed: Failed = False,
    since: Since = None,
    until: Until = None,
    grep: Grep = "",
    ignore_case: IgnoreCase = False,
    start: From = None,
    stop: To = None,
    oldest_first: OldestFirst = False,
    follow: Follow = False,
    interval: MaybeInterval = None,
    seconds: Seconds = None,
) -> Work:
    """Print the actions of a session, newest first. Those of an archived session include trimmed ones.

    With a filter, --from, --to or --oldest-first, so do those of a live session, as far as they were archived.
    """
    if ignore_case and not grep:
        raise InvalidInput("--ignore-case requires --grep")
    wanted = ActionFilter(tuple(action or ()), failed, since, until, grep, ignore_case)
    if follow:
        for name, given in (("--offset", offset), ("--from", start), ("--to", stop), ("--until", until)):
            if given:
                raise InvalidInput(f"--follow and {name} cannot be combined")
        if oldest_first:
            raise InvalidInput("--follow always prints the oldest action first: omit --oldest-first")
        if ctx.options.output is Format.CSV:
            raise InvalidInput("--follow and -o csv cannot be combined: the fields of later actions are not known")
        return run_follow(ctx, id, limit, interval or DEFAULT_INTERVAL, seconds, wanted)
    if interval is not None or seconds is not None:
        raise InvalidInput(f"{'--interval' if interval is not None else '--seconds'} requires --follow")
    if wanted.matches_all and start is None and stop is None and not oldest_first:
        return run(ctx, id, limit, offset)
    moments = moment_of("--from", start), moment_of("--to", stop)
    return run_selected(ctx, id, limit, offset, wanted, moments, oldest_first)


async def run(ctx: CommandContext, session_id: str, limit: int, offset: int) -> None:
    """Print one page of the actions."""
    async with ctx.manager() as manager:
        page, found = await manager.find_history(session_id, limit, offset)
    if found is not None:
        ctx.out.notice(found.origin)
    envelope: dict[str, Any] = {"session_id": session_id, "total": page.total, "limit": limit, "offset": offset}
    envelope = marked(envelope, page.degraded)
    await render(ctx, page, envelope, found.archived.summary if found is not None and found.archived else None)


async def run_selected(
    ctx: CommandContext,
    session_id: str,
    limit: int,
    offset: int,
    wanted: ActionFilter,
    moments: "tuple[Moment | None, Moment | None]",
    oldest_first: bool,
) -> None:
    """Print the actions of the whole trajectory that are `wanted`, between two `moments`."""
    from ...document.history.moments import steps_between

    async with ctx.manager() as manager:
        whole = await manager.time_travel.whole(session_id)
    steps = [one for one in steps_between(whole.timeline, *moments, datetime.now(UTC)) if wanted.matches(one.action)]
    await render_selected(ctx, whole, steps if oldest_first else steps[::-1], limit, offset)


async def run_follow(
    ctx: CommandContext, session_id: str, limit: int, interval: float, seconds: float | None, wanted: ActionFilter
) -> None:
    """Print the newest `limit` actions that are `wanted`, oldest first, and then each new one."""
    latest = limit if wanted.matches_all or not limit else _ALL
    async with aclosing(follow(ctx, session_id, latest, interval, seconds)) as events:
        async for event in events:
            if event.missed:
                ctx.out.notice("some actions were added and trimmed between two polls: use a shorter --interval")
            found = filter(wanted.matches, event.actions)
            for action in map(as_object, deque(found, limit) if event.kind == "session" else found):
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
    if share_numbers(rows):
        ctx.out.notice(
            f"the app stops counting t at 100; `awictl session history {envelope['session_id']} --from 0` prints "
            "the numbers that --from, --to and --at take"
        )
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


async def render_selected(
    ctx: CommandContext, whole: "WholeSession", steps: "list[Step]", limit: int, offset: int
) -> None:
    """Print those of the actions that --limit and --offset ask for."""
    shown = steps[offset : offset + limit]
    for notice in whole_view.notices(whole):
        ctx.out.notice(notice)
    envelope = {
        "session_id": whole.session_id,
        "total": len(whole.steps),
        "matching": len(steps),
        "limit": limit,
        "offset": offset,
        "gaps": whole_view.gap_rows(whole),
    }
    envelope = marked(envelope, whole.degraded)
    await ctx.out.many(
        [view.step_row(one) for one in shown],
        view.STEPS,
        envelope=lambda found: envelope | {"trajectory": found},
        empty="no action matches",
    )
    if len(shown) < len(steps):
        ctx.out.notice(f"{len(shown):,} of {len(steps):,} matching actions")
