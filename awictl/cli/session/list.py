"""`awictl session list`."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidInput
from ...sessions.list_filter import SORT_KEYS, SessionQuery, SortKey
from ..framework.command import cli_command
from ..framework.common_options import Rate
from ..framework.context import CommandContext
from ..framework.output import Batches, Format
from ..framework.parsers import parse_duration
from . import view

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...sessions.summaries import Summary
    from ..framework.output import Row

Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only of this agent: id or name.")]
Route = Annotated[
    str | None, typer.Option("--route", metavar="PATTERN", help="Only on this route; * and ? stand for any.")
]
Idle = Annotated[
    int | None,
    typer.Option("--idle", parser=parse_duration, metavar="TIME", help="Only idle for so long, such as 20m."),
]
TtlBelow = Annotated[
    int | None,
    typer.Option("--ttl-below", parser=parse_duration, metavar="TIME", help="Only if it expires within this time."),
]
Sort = Annotated[SortKey | None, typer.Option("--sort", help="Order, ascending; else as found.")]
Reverse = Annotated[bool, typer.Option("--reverse", help="Turn the order round.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many.")]


@cli_command(
    examples=[
        "awictl session list",
        "awictl session list --idle 20m --sort ttl --limit 10",
        "awictl session list --route '/api/agent/posts*' -o jsonl | jq -r .agent_id",
        "awictl session list -o ids --idle 20m | awictl session touch -",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext,
    agent: Agent = None,
    route: Route = None,
    idle: Idle = None,
    ttl_below: TtlBelow = None,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
    rate: Rate = None,
) -> Coroutine[Any, Any, None]:
    """List live sessions. They are printed as they are found; nothing is written, and no expiry put off."""
    if reverse and sort is None:
        raise InvalidInput("--reverse needs --sort")
    return run(ctx, SessionQuery(agent, route, idle, ttl_below), sort, reverse, limit, rate)


async def run(
    ctx: CommandContext, query: SessionQuery, sort: SortKey | None, reverse: bool, limit: int | None, rate: float | None
) -> None:
    """Print the sessions that match the query, and how many were unreadable."""
    unreadable = 0

    def count_unreadable(count: int = 1) -> None:
        nonlocal unreadable
        unreadable += count

    async with ctx.manager() as manager:
        everything = query.anything and sort is None
        match ctx.out.chosen(Format.JSONL):
            case Format.IDS if everything:
                batches = Batches(_ids(manager, rate), limit)
            case Format.JSONL if everything:
                batches = Batches(_encoded(manager, rate, count_unreadable), limit, encoded=True)
            case _:
                batches = Batches(_rows(manager, query, sort, reverse, rate, count_unreadable), limit)
        await render(ctx, batches)
    if unreadable:
        ctx.out.notice(f"{unreadable} of the sessions could not be read: `awictl session show ID` says why")


async def _ids(manager: "StateManager", rate: float | None) -> "AsyncGenerator[Sequence[Row], None]":
    """All ids; no document is read."""
    async with aclosing(manager.list_session_ids(rate=rate)) as ids:
        async for batch in ids:
            yield [{"session_id": session_id} for session_id in batch]


async def _encoded(
    manager: "StateManager", rate: float | None, unreadable: Callable[[], None]
) -> AsyncGenerator[Sequence[bytes], None]:
    """All sessions as lines of JSON, encoded without a row in between."""
    from ...sessions.summaries import lines

    async with aclosing(manager.list_sessions_as(lines(unreadable), rate=rate)) as found:
        async for batch in found:
            yield batch


async def _rows(
    manager: "StateManager",
    query: SessionQuery,
    sort: SortKey | None,
    reverse: bool,
    rate: float | None,
    unreadable: Callable[[int], None],
) -> "AsyncGenerator[Sequence[Row], None]":
    """The sessions that match, as they are found, or sorted in one batch."""
    from ...sessions.summaries import SUMMARIES

    matching: list[Summary] = []
    async with aclosing(manager.list_sessions_as(SUMMARIES, rate=rate)) as found:
        async for summaries in found:
            unreadable(sum(one.error is not None for one in summaries))
            wanted = [one for one in summaries if query.matches(one)]
            if sort is None:
                yield [one.row() for one in wanted]
            else:
                matching += wanted
    if sort is not None:
        yield [one.row() for one in sorted(matching, key=SORT_KEYS[sort], reverse=reverse)]


async def render(ctx: CommandContext, batches: Batches) -> None:
    """Print sessions as they are found."""
    await ctx.out.many(batches, view.SESSIONS, id_field="session_id", empty="no live sessions")
