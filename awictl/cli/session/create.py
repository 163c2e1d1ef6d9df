"""`awictl session create`."""

from typing import Annotated, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import NoFallback, Ttl
from ..framework.output import Format
from ..framework.params import option
from ..framework.session_view import marked
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
def command(
    ctx: CommandContext,
    agent: Agent,
    name: Name = None,
    route: Route = "/",
    ttl: Ttl = None,
    no_fallback: NoFallback = False,
) -> Work:
    """Create a session for an agent, and print it. It replaces the agent's current session, which will expire."""
    ctx.no_fallback = no_fallback
    return run(ctx, agent, name or agent, route, ttl)


async def run(ctx: CommandContext, agent_id: str, name: str, route: str, ttl_ms: int | None) -> None:
    """Create the session; name the agent's previous one, which is not ended."""
    async with ctx.manager() as manager:
        created = await manager.create(agent_id, name, route, ttl_ms=ttl_ms)
    if created.previous:
        ctx.out.notice(f"the previous session of agent {agent_id}, {created.previous}, is not ended: it will expire")
    if created.degraded:
        ctx.out.notice("Redis is unreachable: the session begins in MongoDB, and is put into Redis when that is back")
    render(ctx, marked(created.document, created.degraded), ttl_ms or manager.settings.session_ttl_ms)


def render(ctx: CommandContext, document: dict[str, Any], ttl_ms: int) -> None:
    """Print the new session."""
    ctx.out.one(
        document, table=lambda: session_table(document["session_id"], document, ttl_ms), ids=[document["session_id"]]
    )
