"""`awictl agent usage`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...agents.records import UsageSort, sorted_records
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Format
from ..framework.params import option
from . import view

if TYPE_CHECKING:
    from ...agents.records import AgentRecord

Sort = Annotated[
    UsageSort,
    option(
        "--sort",
        help="Sort key: requests (most first), last-used (latest first), violations, score (highest first), name, "
        "state (a to z).",
    ),
]
Reverse = Annotated[bool, option("--reverse", help="Sort in the opposite direction.")]
Limit = Annotated[int | None, option("--limit", min=1, metavar="N", help="Maximum number of rows.")]


@cli_command(
    examples=[
        "awictl agent usage",
        "awictl agent usage --sort last-used --reverse --limit 10",
        "awictl agent usage -o jsonl | jq -r 'select(.violations > 0) | .agent_id'",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext, sort: Sort = UsageSort.REQUESTS, reverse: Reverse = False, limit: Limit = None
) -> Work:
    """List how much agents are used: requests, last use, reputation and violations.

    Requests are those that the Express app counted and those to awictl's own server, which writes its counts every 10
    seconds.
    """
    return run(ctx, sort, reverse, limit)


async def run(ctx: CommandContext, sort: UsageSort, reverse: bool, limit: int | None) -> None:
    """Read and sort all agents."""
    async with ctx.manager() as manager:
        records = await (await manager.existing_agents()).records()
    await render(ctx, sorted_records(records, sort, reverse=reverse)[:limit], sort)


async def render(ctx: CommandContext, records: "list[AgentRecord]", sort: UsageSort) -> None:
    """Print the agents; the column that they are sorted by is shown in any case."""
    rows: list[dict[str, Any]] = [one.row() for one in records]
    keep = view.USAGE_SORTED.get(sort)
    await ctx.out.many(rows, view.USAGE, id_field="agent_id", empty="no agent has a key", keep=keep)
