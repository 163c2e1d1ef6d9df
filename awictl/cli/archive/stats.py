"""`awictl archive stats`."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

from ...archive.base import ArchiveQuery
from ..framework.command import CommandContext, Work, cli_command
from ..framework.params import option
from . import view
from .filters import Agent, Failed, Since, Until

Top = Annotated[int, option("--top", min=0, metavar="N", help="Number of most used actions to show.")]


@cli_command(examples=["awictl archive stats --since 30d", "awictl archive stats -o json | jq .success_rate"])
def command(
    ctx: CommandContext,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    failed: Failed = False,
    top: Top = 10,
) -> Work:
    """Show sessions and actions per day, success rate, durations and most used actions. Days are in UTC."""
    return run(ctx, ArchiveQuery(agent, since, until, failed), top)


async def run(ctx: CommandContext, query: ArchiveQuery, top: int) -> None:
    """Count the sessions that match the query."""
    from ...archive.stats import ArchiveStats

    counted = ArchiveStats()
    async with ctx.manager() as manager:
        archive = await manager.existing_archive()
        async for summary in archive.find(query, action_counts=True):
            counted.add(summary)
    render(ctx, counted.row(top))


def render(ctx: CommandContext, row: Mapping[str, Any]) -> None:
    """Print the statistics."""
    blocks = (sys.stdout.encoding or "").lower().startswith("utf")
    ctx.out.one(row, table=lambda: view.stats(row, blocks=blocks))
