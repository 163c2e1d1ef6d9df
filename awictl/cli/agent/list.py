"""`awictl agent list`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from . import view

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey


@cli_command(examples=["awictl agent list", "awictl agent list -o ids"], formats=[Format.IDS])
def command(ctx: CommandContext) -> Work:
    """List agents that have an API key, newest first, including those of the Express app."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Read all keys."""
    async with ctx.manager() as manager:
        keys = await (await manager.existing_agents()).all()
    await render(ctx, keys)


async def render(ctx: CommandContext, keys: "Iterable[AgentKey]") -> None:
    """Print the agents."""
    await ctx.out.many([key.row() for key in keys], view.AGENTS, id_field="agent_id", empty="no agent has a key")
