"""`awictl agent revoke`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Yes
from ..framework.confirm import confirm
from ..framework.output import Format
from ..framework.tables import Rows
from . import view
from .arguments import Agent

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey


@cli_command(
    examples=["awictl agent revoke crawler", "awictl agent revoke 6b03e3a15c752fa9a5b94777 --yes"],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: Agent, yes: Yes = False) -> Work:
    """Revoke an agent's API key permanently. Servers reject it within a minute."""
    return run(ctx, agent, yes)


async def run(ctx: CommandContext, agent: str, yes: bool) -> None:
    """Revoke the key, once that is confirmed."""
    async with ctx.manager() as manager:
        manager.check_writable()
        key = await (await manager.existing_agents()).get(agent)
        confirm(f"Revoke the key of {key.name} ({key.agent_id})?", yes)
        key = await manager.agents.revoke(key.agent_id)
    render(ctx, key)


def render(ctx: CommandContext, key: "AgentKey") -> None:
    """Print the revoked key."""
    ctx.out.one(key.row(), table=lambda: Rows([key.row()], view.KEYS), ids=[key.agent_id])
