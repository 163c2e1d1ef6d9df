"""`awictl agent resume`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Batches, Format
from . import view
from .arguments import Agents, DryRun
from .each_agent import change_each

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey
    from ...agents.registry import AgentRegistry


@cli_command(
    examples=["awictl agent resume BrowserUseAgent", "awictl agent resume crawler browser --dry-run"],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, agents: Agents, dry_run: DryRun = False) -> Work:
    """Resume suspended agents: their requests are served again. Safe to repeat."""
    return run(ctx, agents, dry_run)


async def run(ctx: CommandContext, agents: list[str], dry_run: bool) -> None:
    """End the suspension of each agent."""

    async def resume(registry: "AgentRegistry", key: "AgentKey") -> "AgentKey":
        return await registry.resume(key)

    await change_each(ctx, agents, resume, render, dry_run=dry_run, verb="resume")


async def render(ctx: CommandContext, rows: Batches) -> None:
    """Print the agents."""
    await ctx.out.many(rows, view.SUSPENSIONS, id_field="agent_id", empty="no agent was resumed")
