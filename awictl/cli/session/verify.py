"""`awictl session verify`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

from ...errors import AwiError
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.each_id import EachId
from ..framework.output import LISTING, Batches, Format
from ..framework.params import CommandExit, option
from ..framework.parsers import check_finite
from ..framework.selection import AllSessions, Selection, SomeIds, Where, check_selection
from . import view

if TYPE_CHECKING:
    from ...archive.pace import Pace
    from ...sessions.manager import StateManager
    from ...sessions.verify import Verified
    from ...sessions.where.grammar import WhereExpression

VerifyRate = Annotated[
    float | None,
    option("--rate", min=0.1, metavar="N", callback=check_finite, help="Verify at most N sessions per second."),
]
Differing = Annotated[bool, option("--differing", help="Print only sessions with differences.")]


@cli_command(
    examples=[
        "awictl session verify ID",
        "awictl session verify --all --differing",
        "awictl session verify --all --rate 200 -o jsonl > verified.jsonl",
        "awictl session verify --where 'agent == \"browser-1\"'",
        "awictl session verify ID -o json | jq '.[].differences[].text'",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    ids: SomeIds = None,
    where: Where = None,
    all_sessions: AllSessions = False,
    rate: VerifyRate = None,
    differing: Differing = False,
) -> Work:
    """Check that the history of sessions explains their state. Exits with 1 if there is a difference.

    Replays the deltas of each session and compares the result with its state, its statistics with its trajectory, and
    the session with its archived copy. --all verifies live and archived sessions. Nothing is written.
    """
    return run(ctx, ids, check_selection(ids, where, all_sessions), all_sessions, rate, differing)


async def run(
    ctx: CommandContext,
    ids: list[str] | None,
    where: "WhereExpression | None",
    all_sessions: bool,
    rate: float | None,
    differing: bool,
) -> None:
    """Verify each session, in bounded batches; print those with differences, or all."""
    from ...archive.pace import Pace

    counts = _VerifiedCounts()
    async with ctx.manager() as manager:
        sessions: EachId | None = None
        if all_sessions and where is None:
            found = _all(ctx, manager, rate, counts)
        else:
            pace = Pace(rate)
            sessions = EachId(ctx, Selection(ctx, manager, ids, where, all_sessions).batches(pace.batch_size))
            found = _selected(manager, sessions, pace, counts)
        async with aclosing(found):
            printed = await render(ctx, _rows(ctx, found, differing=differing), counts)
    if counts.verified > 1 and (printed or not ctx.out.is_table):
        ctx.out.notice(counts.summary())
    if counts.differing:
        raise CommandExit(1)
    if sessions is not None:
        sessions.exit()


class _VerifiedCounts:
    """How many sessions were verified."""

    def __init__(self) -> None:
        self.verified = 0
        self.differing = 0
        #: Whether there is no archive whose sessions could be verified.
        self.only_live = False

    def add(self, found: "Sequence[Verified]") -> None:
        self.verified += len(found)
        self.differing += sum(not one.is_sound for one in found)

    def summary(self) -> str:
        text = f"{plural(self.verified, 'session')} verified"
        text += " (only live ones: no archive is configured)" if self.only_live else ""
        return f"{text}: {self.differing:,} with differences" if self.differing else f"{text}, no differences"


async def _all(
    ctx: CommandContext, manager: "StateManager", rate: float | None, counts: _VerifiedCounts
) -> "AsyncGenerator[Sequence[Verified], None]":
    """All sessions."""
    counts.only_live = manager.archive is None
    visible = not ctx.out.prints_rows_to_terminal(collected=False)
    try:
        with ctx.out.progress(None, "verified", visible=visible) as on_step:
            async with aclosing(manager.verifier.verify_all(rate)) as batches:
                async for batch in batches:
                    counts.add(batch)
                    on_step(len(batch))
                    yield batch
    except asyncio.CancelledError:
        raise asyncio.CancelledError(counts.summary()) from None


async def _selected(
    manager: "StateManager", sessions: EachId, pace: "Pace", counts: _VerifiedCounts
) -> "AsyncGenerator[Sequence[Verified], None]":
    """The sessions that were selected. Errors with one of them are reported."""

    async def many(ids: list[str]) -> "list[Verified | Exception | None]":
        await pace.wait(len(ids))
        verified: list[Verified | AwiError] = await manager.verifier.verify_many(ids)
        return [*verified]

    async with aclosing(sessions.batches(many)) as batches:
        async for batch in batches:
            counts.add(batch)
            yield batch


async def _rows(
    ctx: CommandContext, found: "AsyncGenerator[Sequence[Verified], None]", *, differing: bool
) -> AsyncGenerator[list[dict[str, Any]], None]:
    async for batch in found:
        rows = [one.row() for one in batch if not (differing and one.is_sound)]
        if ctx.out.is_table:
            rows = [line for row in rows for line in view.verified_lines(row)]
        if rows:
            yield rows


async def render(ctx: CommandContext, rows: AsyncGenerator[list[dict[str, Any]], None], counts: _VerifiedCounts) -> int:
    """Print the sessions. Returns their number."""
    return await ctx.out.many(Batches(rows), view.VERIFIED, id_field="session_id", empty=counts.summary)
