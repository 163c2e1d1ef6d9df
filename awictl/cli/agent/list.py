"""`awictl agent list`."""

from typing import TYPE_CHECKING, Any

from ...document.timestamps import optional_timestamp, parse_timestamp
from ...errors import AwiError
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Format
from . import view

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey
    from ...agents.current import CurrentSession


@cli_command(examples=["awictl agent list", "awictl agent list -o ids"], formats=[*LISTING, Format.IDS])
def command(ctx: CommandContext) -> Work:
    """List agents that have an API key, newest first, including those of the Express app.

    The last use is the latest action in the current session, or the use that the app recorded.
    """
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Read all keys, and the current sessions of their agents if Redis is reachable."""
    from ...agents.current import current_sessions

    async with ctx.manager() as manager:
        keys = await (await manager.existing_agents()).all()
        try:
            sessions = await current_sessions(manager.store, [key.agent_id for key in keys])
        except AwiError as error:
            ctx.out.notice(f"current sessions are not available: {error}")
            sessions = {}
    await render(ctx, [_row(key, sessions.get(key.agent_id)) for key in keys])


def _row(key: "AgentKey", current: "CurrentSession | None") -> dict[str, Any]:
    row = key.row()
    used = [key.last_used_at, parse_timestamp(current.last_activity) if current is not None else None]
    return row | {
        "last_used_at": optional_timestamp(max((one for one in used if one is not None), default=None)),
        "session_id": current.session_id if current is not None else None,
    }


async def render(ctx: CommandContext, rows: list[dict[str, Any]]) -> None:
    """Print the agents."""
    await ctx.out.many(rows, view.AGENTS, id_field="agent_id", empty="no agent has a key")
