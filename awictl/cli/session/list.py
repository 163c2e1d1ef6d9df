"""`awictl session list`."""

import gc
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput
from ...sessions.list_filter import SessionQuery, SortKey, sorted_summaries
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.parsers import parse_duration, plain_id
from ..framework.selection import AllSessions, Where, parsed_where
from . import view
from .finder import SessionFinder

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...sessions.summaries import Summary
    from ...sessions.where.operands import Operand
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
        "failed, last_activity, idle, ttl, bytes, where.",
    ),
]
Count = Annotated[bool, option("--count", help="Print only the number of sessions.")]
GroupBy = Annotated[
    str | None,
    option(
        "--group-by",
        metavar="FIELD",
        help="Print how many sessions have each value of a field, such as agent or state.page_state.filters.tag.",
    ),
]

#: The columns that are not dropped from a table that is sorted by them.
_SORTED = {SortKey.ACTIVITY: "IDLE", SortKey.ID: "SESSION"}
#: The names of fields in JSON, and of the sort key, that are not those of their columns → the columns.
_ALIASES = {"id": "session"} | {field: name for name, (_, field) in view.SESSION_COLUMNS.items()}
#: Objects after which the garbage collector runs: by default, it takes a tenth of the time of a long listing.
_GC_THRESHOLDS = 100_000, 10, 10


@cli_command(
    examples=[
        "awictl session list",
        "awictl session list --idle 20m --sort ttl --limit 10",
        "awictl session list --failed --sort failed --columns session,agent,failed",
        "awictl session list --where 'agent ~ \"^browser\" and ttl < 5m'",
        "awictl session list --all --where 'state.page_state.filters.tag == \"awi\"' --count",
        "awictl session list --group-by agent",
        "awictl session list --route '/api/agent/posts*' -o jsonl | jq -r .agent_id",
        "awictl session list -o ids --idle 20m | awictl session touch -",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    where: Where = None,
    all: AllSessions = False,
    agent: Agent = None,
    route: Route = None,
    idle: Idle = None,
    ttl_below: TtlBelow = None,
    failed: Failed = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
    columns: Columns = None,
    count: Count = False,
    group_by: GroupBy = None,
    rate: Rate = None,
) -> Work:
    """List live sessions, and with --all archived ones, as they are found. Nothing is written or extended."""
    if reverse and sort is None:
        raise InvalidInput("--reverse requires --sort")
    if columns is not None and not (ctx.out.is_table or ctx.out.format is Format.CSV):
        raise InvalidInput("--columns selects columns of a table or of -o csv; --jq selects fields of JSON")
    if count or group_by is not None:
        _check_alone(count, group_by, sort, columns, limit)
    query = SessionQuery(agent, route, idle, ttl_below, failed)
    finder = SessionFinder(query, parsed_where(where), all, rate)
    if count:
        return run_count(ctx, finder)
    if group_by is not None:
        from ...sessions.where.grammar import parse_field

        return run_groups(ctx, finder, parse_field(group_by), limit)
    return run(ctx, finder, ListOrder(sort, reverse, failed), limit, _selected(columns))


def _check_alone(
    count: bool, group_by: str | None, sort: SortKey | None, columns: str | None, limit: int | None
) -> None:
    """Raise InvalidInput if --count or --group-by is combined with an option for lists of sessions."""
    name = "--count" if count else "--group-by"
    given = {"--group-by": count and group_by, "--sort": sort, "--columns": columns, "--limit": count and limit}
    if other := next((option for option, value in given.items() if value), None):
        raise InvalidInput(f"{name} cannot be combined with {other}")


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


async def run(
    ctx: CommandContext, finder: SessionFinder, order: ListOrder, limit: int | None, columns: list[str] | None
) -> None:
    """Print the sessions that match, their number, and which were unreadable."""
    async with ctx.manager() as manager:
        _collect_less()
        if ctx.out.format is Format.IDS and finder.matches_all and order.key is None:
            batches = Batches(_ids(manager, finder.rate), limit)
        else:
            from ...sessions.summaries import Summary, json_lines

            as_rows = None if ctx.out.chosen(Format.JSONL) is Format.JSONL else Summary.row
            rows = _rows(ctx, manager, finder, order, as_rows)
            batches = Batches(rows, limit, json_lines if as_rows is None else None)
        await render(ctx, batches, order, columns, finder)
    finder.report_unreadable(ctx)


def _collect_less() -> None:
    """Let the garbage collector run less often: a listing makes few objects that outlive a batch, and no cycles."""
    gc.freeze()  # what was imported
    gc.set_threshold(*_GC_THRESHOLDS)


async def _ids(manager: "StateManager", rate: float | None) -> "AsyncGenerator[Sequence[Row], None]":
    """All ids; no document is read."""
    async with aclosing(manager.list_session_ids(rate=rate)) as ids:
        async for batch in ids:
            yield [{"session_id": session_id} for session_id in batch]


async def _rows(
    ctx: CommandContext,
    manager: "StateManager",
    finder: SessionFinder,
    order: ListOrder,
    convert: "Callable[[Summary], Row] | None",
) -> "AsyncGenerator[Sequence[Row | Summary], None]":
    """The sessions that match, as they are found, or sorted in one batch; converted, if there is a `convert`."""
    matching: list[Summary] = []
    async with aclosing(finder.summaries(ctx, manager, until_first=order.key is None)) as found:
        async for batch in found:
            if order.key is not None:
                matching += batch
            else:
                yield batch if convert is None else [*map(convert, batch)]
    if order.key is not None:
        ordered = sorted_summaries(matching, order.key, reverse=order.reverse)
        yield ordered if convert is None else [*map(convert, ordered)]


async def run_count(ctx: CommandContext, finder: SessionFinder) -> None:
    """Print how many sessions match."""
    count = 0
    async with ctx.manager() as manager:
        _collect_less()
        if finder.matches_all:
            async with aclosing(manager.list_session_ids(rate=finder.rate)) as ids:
                async for batch in ids:
                    count += len(batch)
        else:
            async with aclosing(finder.summaries(ctx, manager)) as found:
                async for summaries in found:
                    count += len(summaries)
    ctx.out.one({"sessions": count}, table=lambda: view.number(count))
    finder.report_unreadable(ctx)


async def run_groups(ctx: CommandContext, finder: SessionFinder, field: "Operand", limit: int | None) -> None:
    """Print how many sessions have each value of a field, the most frequent first."""
    from .groups import by_count

    async with ctx.manager() as manager, aclosing(finder.values(ctx, manager, field)) as values:
        _collect_less()
        rows = await by_count(values)
    await ctx.out.many(rows[:limit], view.GROUPS, empty=finder.empty)
    finder.report_unreadable(ctx)


async def render(
    ctx: CommandContext, batches: Batches, order: ListOrder, columns: list[str] | None, finder: SessionFinder
) -> None:
    """Print sessions as they are found; below a table their number."""
    from ...sessions.summaries import FIELDS, FIELDS_OF_ALL

    shown = [view.SESSION_COLUMNS[name] for name in columns] if columns is not None else None
    default, fields = (view.ALL_SESSIONS, FIELDS_OF_ALL) if finder.archived else (view.SESSIONS, FIELDS)
    printed = await ctx.out.many(
        batches,
        [column._replace(wide=False) for column, _ in shown] if shown is not None else default,
        id_field="session_id",
        empty=finder.empty,
        keep=order.keep,
        fields=[name for _, name in shown] if shown is not None else fields,
    )
    if printed and ctx.out.is_table:
        all_read = order.key is not None or printed != batches.limit
        ctx.out.notice(view.session_count(printed, finder.matching, finder.read, scanned_all=all_read))
