"""`awictl agent session`."""

import shlex
from typing import TYPE_CHECKING

from ...errors import NotFound
from ...util.humanize import duration
from ..framework.agent_names import registered_id
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.tables import fields_of
from .arguments import Agent

if TYPE_CHECKING:
    from ...store.base import AgentSession


@cli_command(
    examples=["awictl agent session browser-1", "awictl agent session browser-1 -o ids | awictl session show -"],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: Agent) -> Work:
    """Show the current session of an agent, and the TTL of the mapping."""
    return run(ctx, agent)


async def run(ctx: CommandContext, agent: str) -> None:
    """Read the agent's mapping. Raises NotFound if there is none, and Refused if several agents have that name."""
    async with ctx.manager() as manager:
        agent_id, found = agent, await manager.get_agent_session(agent)
        if found is None and (registered := await registered_id(ctx, manager, agent)) is not None:
            agent_id, found = registered, await manager.get_agent_session(registered)
    if found is None:
        shown = agent if agent_id == agent else f"{agent} ({agent_id})"
        raise NotFound(
            f"agent {shown} has no session at {manager.store.where}: it may have ended or expired; "
            f"`awictl session list --agent {shlex.quote(agent)}` searches the live sessions for the id or name"
        )
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
