"""`awictl agent show`."""

from typing import TYPE_CHECKING, Any

from ...errors import AwiError
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.tables import fields_of
from . import view
from .arguments import Agent

if TYPE_CHECKING:
    from ...agents.current import CurrentSession
    from ...agents.records import AgentRecord


@cli_command(
    examples=[
        "awictl agent show BrowserUseAgent",
        "awictl agent show 6b03e3a15c752fa9a5b94777",
        "awictl agent show BrowserUseAgent -o json | jq .suspensions",
    ],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: Agent) -> Work:
    """Show an agent: state, current session, permissions, usage, and what the app recorded about it.

    The API key itself is never shown.
    """
    return run(ctx, agent)


async def run(ctx: CommandContext, agent: str) -> None:
    """Read what is stored about the agent, and its current session if Redis is reachable."""
    from ...agents.current import current_sessions

    async with ctx.manager() as manager:
        record = await (await manager.existing_agents()).record(agent)
        agent_id = record.key.agent_id
        try:
            current = (await current_sessions(manager.store, [agent_id])).get(agent_id)
        except AwiError as error:
            ctx.out.notice(f"the current session is not available: {error}")
            current = None
    render(ctx, record, current)


def render(ctx: CommandContext, record: "AgentRecord", current: "CurrentSession | None") -> None:
    """Print the fields of the agent."""
    row: dict[str, Any] = record.row() | {"session_id": current.session_id if current is not None else None}
    sessions = [current.session_id] if current is not None else []
    ctx.out.one(row, table=lambda: fields_of(view.record_fields(record, sessions)), ids=[record.key.agent_id])
