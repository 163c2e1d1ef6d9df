"""`awictl session create`."""

from typing import Annotated, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Ttl
from ..framework.output import Format
from ..framework.params import option
from ..framework.session_view import session as session_table

Agent = Annotated[str, option("--agent", metavar="ID", help="Id of the agent.", show_default=False)]
Name = Annotated[str | None, option("--name", metavar="TEXT", help="Name of the agent.  [default: its id]")]
Route = Annotated[str, option("--route", metavar="PATH", help="Route on which the session starts.")]


@cli_command(
    examples=[
        "awictl session create --agent browser-1 --name 'Browser agent' --route /api/agent/posts",
        "id=$(awictl session create --agent browser-1 -o ids)",
        "awictl session create --agent browser-1 --ttl 2h   # until its first update",
    ],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: Agent, name: Name = None, route: Route = "/", ttl: Ttl = None) -> Work:
    """Create a session for an agent, and print it. It replaces the agent's current session, which will expire."""
    return run(ctx, agent, name or agent, route, ttl)


async def run(ctx: CommandContext, agent_id: str, name: str, route: str, ttl_ms: int | None) -> None:
    """Create the session; name the agent's previous one, which is not ended."""
    async with ctx.manager() as manager:
        document, previous = await manager.create_session(agent_id, name, route, ttl_ms=ttl_ms)
    if previous:
        ctx.out.notice(f"the previous session of agent {agent_id}, {previous}, is not ended: it will expire")
    render(ctx, document, ttl_ms or manager.settings.session_ttl_ms)


def render(ctx: CommandContext, document: dict[str, Any], ttl_ms: int) -> None:
    """Print the new session."""
    ctx.out.one(
        document, table=lambda: session_table(document["session_id"], document, ttl_ms), ids=[document["session_id"]]
    )
