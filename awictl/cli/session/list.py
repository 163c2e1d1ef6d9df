"""`awictl session list`."""

import gc
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput
from ...sessions.list_filter import SessionQuery, SortKey, sorted_summaries
from ...util.humanize import plural
from ..framework.agent_names import registered_id
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.parsers import parse_duration, plain_id
from . import view

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...sessions.summaries import Summary
    from ..framework.output import Row

Agent = Annotated[
    str | None,
    option("--agent", metavar="NAME", callback=plain_id, help="Only sessions of this agent (id or name)."),
]
Route = Annotated[
    str | None, option("--route", metavar="PATTERN", help="Only sessions on this route; * and ? are wildcards.")
]
Idle = Annotated[
    int | None,
    option(
        "--idle",
        parser=parse_duration,
        metavar="DURATION",
        help="Only sessions idle for at least this long, such as 20m.",
    ),
]
TtlBelow = Annotated[
    int | None,
    option(
        "--ttl-below",
        parser=parse_duration,
        metavar="DURATION",
        help="Only sessions that expire within this time, such as 5m.",
    ),
]
Failed = Annotated[bool, option("--failed", help="Only sessions in which an action ever failed.")]
Sort = Annotated[
    SortKey | None,
    option(
        "--sort",
        help="Sort key; rows are printed once all are read: activity (latest first), ttl (soonest first), actions, "
        "failed, bytes (largest first), agent, route, id (a to z).  [default: unsorted]",
    ),
]
Reverse = Annotated[bool, option("--reverse", help="Sort in the opposite direction.")]
Limit = Annotated[int | None, option("--limit", min=1, metavar="N", help="Maximum number of rows.")]
Columns = Annotated[
    str | None,
    option(
        "--columns",
        metavar="NAMES",
        help="Columns of the table or CSV, separated by commas: session, agent, agent_id, state, route, actions, "
        "failed, last_activity, idle, ttl, bytes.",
    ),
]

#: The columns that are not dropped from a table that is sorted by them.
_SORTED = {SortKey.ACTIVITY: "IDLE", SortKey.ID: "SESSION"}
#: The names of fields in JSON, and of the sort key, that are not those of their columns → the columns.
_ALIASES = {"id": "session"} | {field: name for name, (_, field) in view.SESSION_COLUMNS.items()}
#: Objects after which the garbage collector runs: by default, it takes a tenth of the time of a long listing.
_GC_THRESHOLDS = 100_000, 10, 10
#: Maximum number of unreadable sessions that are named.
MOST_NAMED = 10


@cli_command(
    examples=[
        "awictl session list",
        "awictl session list --idle 20m --sort ttl --limit 10",
        "awictl session list --failed --sort failed --columns session,agent,failed",
        "awictl session list --route '/api/agent/posts*' -o jsonl | jq -r .agent_id",
        "awictl session list -o ids --idle 20m | awictl session touch -",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    agent: Agent = None,
    route: Route = None,
    idle: Idle = None,
    ttl_below: TtlBelow = None,
    failed: Failed = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
    columns: Columns = None,
    rate: Rate = None,
) -> Work:
    """List live sessions, as they are found. Nothing is written, and no TTL is extended."""
    if reverse and sort is None:
        raise InvalidInput("--reverse requires --sort")
    if columns is not None and not (ctx.out.is_table or ctx.out.format is Format.CSV):
        raise InvalidInput("--columns selects columns of a table or of -o csv; --jq selects fields of JSON")
    query = SessionQuery(agent, route, idle, ttl_below, failed)
    return run(ctx, query, ListOrder(sort, reverse, failed), limit, _selected(columns), rate)


def _selected(names: str | None) -> list[str] | None:
    """The names of columns in a list. Raises InvalidInput for an unknown one."""
    if names is None:
        return None
    found = [_ALIASES.get(name, name) for name in (one.strip().lower() for one in names.split(","))]
    if unknown := [name for name in found if name not in view.SESSION_COLUMNS]:
        raise InvalidInput(f"--columns: there is no column {unknown[0]!r}; there are {', '.join(view.SESSION_COLUMNS)}")
    return found


@dataclass(frozen=True)
class ListOrder:
    """The order of a listing. `key` None: as the sessions are found. `failed`: only sessions with failed actions."""

    key: SortKey | None
    reverse: bool
    failed: bool

    @property
    def keep(self) -> str | None:
        """The title of the column that is shown however narrow the terminal is: what the list is about."""
        if self.key is not None:
            return _SORTED.get(self.key, self.key.upper())
        return "FAILED" if self.failed else None


@dataclass
class ListingCounts:
    """What a listing came across."""

    live: int = 0
    matching: int = 0
    unreadable: int = 0
    #: The ids of the first unreadable sessions.
    named: list[str] = field(default_factory=list)


async def run(
    ctx: CommandContext,
    query: SessionQuery,
    order: ListOrder,
    limit: int | None,
    columns: list[str] | None,
    rate: float | None,
) -> None:
    """Print the sessions that match the query, their number, and which were unreadable."""
    counts = ListingCounts()
    async with ctx.manager() as manager:
        gc.freeze()  # what was imported; a listing makes few objects that outlive a batch, and no cycles
        gc.set_threshold(*_GC_THRESHOLDS)
        if ctx.out.format is Format.IDS and query.matches_all and order.key is None:
            batches = Batches(_ids(manager, rate), limit)
        else:
            if query.agent is not None:
                query = replace(query, registered_id=await registered_id(ctx, manager, query.agent))
            from ...sessions.summaries import Summary, json_lines

            as_rows = None if ctx.out.chosen(Format.JSONL) is Format.JSONL else Summary.row
            rows = _rows(ctx, manager, query, order, rate, as_rows, counts)
            batches = Batches(rows, limit, json_lines if as_rows is None else None)
        await render(ctx, batches, order, columns, counts)
    if counts.unreadable:
        more = counts.unreadable - len(counts.named)
        names = ", ".join(counts.named) + (f" and {more:,} more" if more else "")
        ctx.out.notice(
            f"{plural(counts.unreadable, 'session')} could not be read: {names}; "
            "`awictl session show ID` reports the reason"
        )


async def _ids(manager: "StateManager", rate: float | None) -> "AsyncGenerator[Sequence[Row], None]":
    """All ids; no document is read."""
    async with aclosing(manager.list_session_ids(rate=rate)) as ids:
        async for batch in ids:
            yield [{"session_id": session_id} for session_id in batch]


async def _rows(
    ctx: CommandContext,
    manager: "StateManager",
    query: SessionQuery,
    order: ListOrder,
    rate: float | None,
    convert: "Callable[[Summary], Row] | None",
    counts: ListingCounts,
) -> "AsyncGenerator[Sequence[Row | Summary], None]":
    """The sessions that match, as they are found, or sorted in one batch; converted, if there is a `convert`.

    There is a progress bar until the first row is printed.
    """
    from ...sessions.summaries import summaries

    matching: list[Summary] = []
    with ExitStack() as waiting:
        on_step = waiting.enter_context(ctx.out.progress(None, "reading sessions"))
        async with aclosing(manager.list_session_fields(rate=rate)) as found:
            async for batch in found:
                read = summaries(batch)
                unreadable = [one.session_id for one in read if one.error is not None]
                wanted = read if query.matches_all else [one for one in read if query.matches(one)]
                counts.live += len(read)
                counts.matching += len(wanted)
                counts.unreadable += len(unreadable)
                counts.named += unreadable[: MOST_NAMED - len(counts.named)]
                on_step(len(read))
                if order.key is not None:
                    matching += wanted
                elif wanted:
                    waiting.close()
                    yield wanted if convert is None else [*map(convert, wanted)]
    if order.key is not None:
        ordered = sorted_summaries(matching, order.key, reverse=order.reverse)
        yield ordered if convert is None else [*map(convert, ordered)]


async def render(
    ctx: CommandContext, batches: Batches, order: ListOrder, columns: list[str] | None, counts: ListingCounts
) -> None:
    """Print sessions as they are found; below a table their number."""

    from ...sessions.summaries import Summary

    def empty() -> str:
        return f"no session matches ({counts.live:,} live)" if counts.live else "no live sessions"

    shown = [view.SESSION_COLUMNS[name] for name in columns] if columns is not None else None
    printed = await ctx.out.many(
        batches,
        [column._replace(wide=False) for column, _ in shown] if shown is not None else view.SESSIONS,
        id_field="session_id",
        empty=empty,
        keep=order.keep,
        fields=[name for _, name in shown] if shown is not None else Summary.__struct_fields__,
    )
    if printed and ctx.out.is_table:
        all_read = order.key is not None or printed != batches.limit
        ctx.out.notice(view.session_count(printed, counts.matching, counts.live, scanned_all=all_read))
