"""`awictl session list`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidInput
from ...sessions.list_filter import SORT_KEYS, SessionQuery, SortKey
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import Batches, Format
from ..framework.parsers import parse_duration, plain_id
from . import view

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ..framework.output import Row

Agent = Annotated[
    str | None,
    typer.Option("--agent", metavar="NAME", callback=plain_id, help="Only sessions of this agent (id or name)."),
]
Route = Annotated[
    str | None, typer.Option("--route", metavar="PATTERN", help="Only sessions on this route; * and ? are wildcards.")
]
Idle = Annotated[
    int | None,
    typer.Option(
        "--idle",
        parser=parse_duration,
        metavar="DURATION",
        help="Only sessions idle for at least this long, such as 20m.",
    ),
]
TtlBelow = Annotated[
    int | None,
    typer.Option(
        "--ttl-below",
        parser=parse_duration,
        metavar="DURATION",
        help="Only sessions that expire within this time, such as 5m.",
    ),
]
Sort = Annotated[SortKey | None, typer.Option("--sort", help="Sort key, ascending.  [default: unsorted]")]
Reverse = Annotated[bool, typer.Option("--reverse", help="Sort in descending order.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Maximum number of rows.")]


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
) -> Work:
    """List live sessions, as they are found. Nothing is written, and no TTL is extended."""
    if reverse and sort is None:
        raise InvalidInput("--reverse requires --sort")
    return run(ctx, SessionQuery(agent, route, idle, ttl_below), sort, reverse, limit, rate)


async def run(
    ctx: CommandContext, query: SessionQuery, sort: SortKey | None, reverse: bool, limit: int | None, rate: float | None
) -> None:
    """Print the sessions that match the query, and how many were unreadable."""
    unreadable = 0

    def count_unreadable(count: int) -> None:
        nonlocal unreadable
        unreadable += count

    encoded = ctx.out.chosen(Format.JSONL) is Format.JSONL
    async with ctx.manager() as manager:
        if ctx.out.chosen(Format.JSONL) is Format.IDS and query.matches_all and sort is None:
            batches = Batches(_ids(manager, rate), limit)
        else:
            rows = _rows(manager, query, sort, reverse, rate, encoded, count_unreadable)
            batches = Batches(rows, limit, encoded)
        await render(ctx, batches)
    if unreadable:
        ctx.out.notice(
            f"{plural(unreadable, 'session')} could not be read: `awictl session show ID` reports the reason"
        )


async def _ids(manager: "StateManager", rate: float | None) -> "AsyncGenerator[Sequence[Row], None]":
    """All ids; no document is read."""
    async with aclosing(manager.list_session_ids(rate=rate)) as ids:
        async for batch in ids:
            yield [{"session_id": session_id} for session_id in batch]


async def _rows(
    manager: "StateManager",
    query: SessionQuery,
    sort: SortKey | None,
    reverse: bool,
    rate: float | None,
    encoded: bool,
    unreadable: Callable[[int], None],
) -> "AsyncGenerator[Sequence[Row | bytes], None]":
    """The sessions that match, as they are found, or sorted in one batch; as lines of JSON if `encoded`."""
    from ...sessions.summaries import Summary, json_line, summary

    convert: Callable[[Summary], Row | bytes] = json_line if encoded else Summary.row
    matching: list[Summary] = []
    async with aclosing(manager.list_session_fields(rate=rate)) as found:
        async for fields in found:
            summaries = [summary(one) for one in fields]
            unreadable(sum(one.error is not None for one in summaries))
            wanted = summaries if query.matches_all else [one for one in summaries if query.matches(one)]
            if sort is None:
                yield [convert(one) for one in wanted]
            else:
                matching += wanted
    if sort is not None:
        yield [convert(one) for one in sorted(matching, key=SORT_KEYS[sort], reverse=reverse)]


async def render(ctx: CommandContext, batches: Batches) -> None:
    """Print sessions as they are found."""
    await ctx.out.many(batches, view.SESSIONS, id_field="session_id", empty="no live sessions")
