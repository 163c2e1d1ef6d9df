"""`awictl session diff`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...document.merge import DocumentDifference, compare
from ...document.schema import shared_state
from ...errors import InvalidInput
from ...util.humanize import fields
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionId
from ..framework.moments import moment_of
from ..framework.params import CommandExit, argument, option
from ..framework.parsers import plain_id
from ..framework.session_view import last_delta, marked
from . import view

if TYPE_CHECKING:
    from ...document.history.moments import Moment
    from ...sessions.time_travel import BetweenMoments

OtherId = Annotated[
    str | None, argument(metavar="[ID2]", help="Id of another session.", show_default=False, callback=plain_id)
]
AllFields = Annotated[bool, option("--all", help="Also compare ids, histories and statistics.")]
From = Annotated[
    str | None, option("--from", metavar="T", help="Compare from this moment on; see `session show --at`.")
]
To = Annotated[str | None, option("--to", metavar="T", help="Compare up to this moment.")]
ExitCode = Annotated[bool, option("--exit-code", help="Exit with 1 if there is a difference.")]


@cli_command(
    examples=[
        "awictl session diff ID   # the last delta, and its action",
        "awictl session diff ID1 ID2   # the fields in which two states differ",
        "awictl session diff ID --from 17 --to 23   # what changed in between",
        "awictl session diff ID --from -5m",
        "awictl session diff ID1 ID2 --exit-code -q -o json",
    ],
)
def command(
    ctx: CommandContext,
    id: SessionId,
    other: OtherId = None,
    start: From = None,
    stop: To = None,
    all: AllFields = False,
    exit_code: ExitCode = False,
) -> Work:
    """Print the last delta of a session, or compare two sessions, or two moments of one.

    The last delta is kept for five minutes. Sessions that are compared may be live or archived. Without --from, a
    session is compared from its oldest known action on; without --to, up to the newest one.
    """
    if start is None and stop is None:
        return run(ctx, id, other, all, exit_code)
    if other is not None:
        raise InvalidInput("two sessions cannot be compared with --from and --to: these are moments of one session")
    return run_between(ctx, id, moment_of("--from", start), moment_of("--to", stop), all, exit_code)


async def run(ctx: CommandContext, session_id: str, other: str | None, all_fields: bool, exit_code: bool) -> None:
    """Print the last delta of a session, or the difference from the `other` one."""
    async with ctx.manager() as manager:
        if other is None:
            last, degraded = await manager.find_diff(session_id)
            if degraded:
                ctx.out.notice("Redis is unreachable and may have a newer state: this is the last update in MongoDB")
            differs = last is not None
            if last is None:
                ctx.out.notice(f"{session_id} was not updated in the last five minutes")
            shown = marked(last, degraded) if last else None
            ctx.out.one(shown, table=lambda: last_delta(last) if last else "no delta")
        else:
            found = [(one, await manager.find_session(one)) for one in (session_id, other)]
            for _, one in found:
                if one.origin:
                    ctx.out.notice(one.origin)
            documents = [
                manager.decoded(name, one.stored) if one.stored is not None else one.document for name, one in found
            ]
            first, second = (one if all_fields else shared_state(one) for one in documents)
            comparison = compare(first, second)
            differs = bool(comparison)
            degraded = any(one.degraded for _, one in found)
            render(ctx, first, second, comparison, degraded=degraded)
    if exit_code and differs:
        raise CommandExit(1)


async def run_between(
    ctx: CommandContext,
    session_id: str,
    start: "Moment | None",
    stop: "Moment | None",
    all_fields: bool,
    exit_code: bool,
) -> None:
    """Print how a session differs between two moments."""
    from ...document.history.state_difference import ALWAYS_CHANGED

    ignored = () if all_fields else ALWAYS_CHANGED
    async with ctx.manager() as manager:
        found = await manager.time_travel.difference(session_id, start, stop, ignored)
    render_between(ctx, found)
    if exit_code and found.difference:
        raise CommandExit(1)


def render(
    ctx: CommandContext,
    first: dict[str, Any],
    second: dict[str, Any],
    comparison: DocumentDifference,
    *,
    degraded: bool = False,
) -> None:
    """Print where two states differ."""
    if not comparison:
        ctx.out.notice("the states are equal")
    ctx.out.one(
        marked({"delta": comparison.delta, "removed": comparison.removed}, degraded),
        table=lambda: view.changes(first, second, comparison) if comparison else None,
    )


def render_between(ctx: CommandContext, found: "BetweenMoments") -> None:
    """Print where the states at two moments differ, and what of them is unknown."""
    from ..framework import whole_view
    from . import moment_view

    whole, before, after, difference = found
    for notice in whole_view.notices(whole):
        ctx.out.notice(notice)
    between = f"action {before.ordinal} and action {after.ordinal} of {whole.session_id}"
    if difference.unknown:
        places = fields(difference.unknown)
        ctx.out.notice(f"unknown whether it changed between {between}, {whole.timeline.why_unknown}: {places}")
    if not difference:
        ctx.out.notice(
            f"no known field changed between {between}" if difference.unknown else f"nothing changed between {between}"
        )
    row = {
        "from": moment_view.moment_row(before),
        "to": moment_view.moment_row(after),
        "delta": difference.delta,
        "removed": difference.removed,
        "unknown": difference.unknown,
    }
    ctx.out.one(
        marked(row, whole.degraded),
        table=lambda: view.changes(before.head, after.head, difference, view.EFFECTS) if difference else None,
    )
