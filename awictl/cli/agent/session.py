"""`awictl agent session`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import NotFound
from ...util.humanize import duration
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.parsers import plain_id
from ..framework.tables import fields_of

if TYPE_CHECKING:
    from ...store.base import AgentSession

AgentId = Annotated[
    str, typer.Argument(metavar="AGENT", help="Id of the agent.", show_default=False, callback=plain_id)
]


@cli_command(
    examples=["awictl agent session browser-1", "awictl agent session browser-1 -o ids | awictl session show -"],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: AgentId) -> Work:
    """Show the current session of an agent, and the TTL of the mapping."""
    return run(ctx, agent)


async def run(ctx: CommandContext, agent_id: str) -> None:
    """Read the agent's mapping. Raises NotFound if there is none."""
    async with ctx.manager() as manager:
        found = await manager.get_agent_session(agent_id)
    if found is None:
        raise NotFound(f"agent {agent_id} has no session at {manager.store.where}: it may have ended or expired")
    if not found.exists:
        ctx.out.notice(f"the agent is mapped to {found.session_id}, which does not exist any more")
    render(ctx, agent_id, found)


def render(ctx: CommandContext, agent_id: str, found: "AgentSession") -> None:
    """Print the mapping."""
    row = {
        "agent_id": agent_id,
        "session_id": found.session_id,
        "ttl_ms": found.ttl_ms,
        "session_exists": found.exists,
    }
    shown = [
        ("agent", agent_id),
        ("session", found.session_id + ("" if found.exists else " (gone)")),
        ("mapping expires in", duration(found.ttl_ms)),
    ]
    ctx.out.one(row, table=lambda: fields_of(shown), ids=[found.session_id])
