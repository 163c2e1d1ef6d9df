"""`awictl keys stats`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING
from . import view
from .arguments import Everything, Pattern, Sample
from .survey import survey

if TYPE_CHECKING:
    from ...diagnostics.key_stats import KeyStats


@cli_command(
    examples=["awictl keys stats", "awictl keys stats --all --rate 10000", "awictl keys stats -o jsonl | jq .biggest"],
    formats=LISTING,
)
def command(
    ctx: CommandContext, pattern: Pattern = None, all: Everything = False, rate: Rate = None, sample: Sample = None
) -> Work:
    """Show count, size, memory, TTLs and the largest key for each kind of key."""
    return run(ctx, pattern, all, rate, sample)


async def run(
    ctx: CommandContext, pattern: str | None, everything: bool, rate: float | None, sample: int | None
) -> None:
    """Summarize the keys of each kind."""
    await render(ctx, await survey(ctx, pattern, everything, rate, sample))


async def render(ctx: CommandContext, found: "list[KeyStats]") -> None:
    """Print one line for each kind."""
    await ctx.out.many([one.row() for one in found], view.STATS, empty="no keys")
