"""`awictl keys ttl`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING
from ..framework.stdout import can_print
from . import view
from .arguments import Everything, Pattern, Sample
from .survey import survey


@cli_command(
    examples=["awictl keys ttl", "awictl keys ttl 'AWI:SESSION:*' --rate 10000", "awictl keys ttl -o json | jq ."],
    formats=LISTING,
)
def command(
    ctx: CommandContext, pattern: Pattern = None, all: Everything = False, rate: Rate = None, sample: Sample = None
) -> Work:
    """Show a histogram of TTLs for each kind of key."""
    return run(ctx, pattern, all, rate, sample)


async def run(
    ctx: CommandContext, pattern: str | None, everything: bool, rate: float | None, sample: int | None
) -> None:
    """Count the keys of each kind by TTL."""
    found = await survey(ctx, pattern, everything, rate, sample)
    await render(ctx, [one.ttl_histogram() for one in found])


async def render(ctx: CommandContext, rows: list[dict[str, Any]]) -> None:
    """Print the counts; on a terminal as a histogram."""
    if not ctx.out.is_table:
        await ctx.out.many(rows, [])
        return
    await ctx.out.many(view.bars(rows, "█" if can_print("█") else "#"), view.BARS, empty="no keys")
