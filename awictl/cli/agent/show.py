"""`awictl agent show`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.tables import fields_of
from . import view
from .arguments import Agent

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey


@cli_command(
    examples=["awictl agent show BrowserUseAgent", "awictl agent show 6b03e3a15c752fa9a5b94777"],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: Agent) -> Work:
    """Show the permissions, state and expiry of an agent's API key. The key itself is not stored."""
    return run(ctx, agent)


async def run(ctx: CommandContext, agent: str) -> None:
    """Read the agent's key."""
    async with ctx.manager() as manager:
        key = await (await manager.existing_agents()).get(agent)
    render(ctx, key)


def render(ctx: CommandContext, key: "AgentKey") -> None:
    """Print the fields of the key."""
    ctx.out.one(key.row(), table=lambda: fields_of(view.fields(key)), ids=[key.agent_id])
