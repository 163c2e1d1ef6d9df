"""`awictl agent session`."""

import shlex
from typing import TYPE_CHECKING

from ...errors import AwiError, NotFound, Unreachable
from ...util.humanize import duration, plural
from ..framework.agent_names import registered_id
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import Format
from ..framework.session_view import marked
from ..framework.tables import fields_of
from .arguments import Agent

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...store.base import AgentSession

#: Maximum number of ids in a message.
_MOST_NAMED = 10


@cli_command(
    examples=[
        "awictl agent session browser-1",
        "awictl agent session browser-1 --rate 5000",
        "awictl agent session browser-1 -o ids | awictl session show -",
    ],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, agent: Agent, rate: Rate = None) -> Work:
    """Show the current session of an agent, the TTL of the mapping, and other live sessions of the agent.

    Other live sessions are found by a scan of all sessions, which `-o ids` leaves out.
    """
    return run(ctx, agent, rate)


async def run(ctx: CommandContext, agent: str, rate: float | None) -> None:
    """Read the agent's mapping. Raises NotFound if there is none, and Refused if several agents have that name.

    Raises Unreachable if it is not known whether there is one, because names of agents cannot be looked up.
    """
    names_away: Unreachable | None = None
    async with ctx.manager() as manager:
        agent_id, found = agent, await manager.get_agent_session(agent)
        if found is None:
            try:
                registered = await registered_id(ctx, manager, agent, required=True)
            except Unreachable as error:
                registered, names_away = None, error
            if registered is not None:
                agent_id, found = registered, await manager.get_agent_session(registered)
        if found is None:
            raise await _not_found(ctx, manager, agent, agent_id, rate, names_away)
        live = [] if ctx.out.format is Format.IDS or found.degraded else await _live(ctx, manager, agent_id, rate)
    if found.degraded:
        ctx.out.notice("Redis is unreachable and may have a newer state: this is the session that MongoDB has")
    if not found.exists:
        ctx.out.notice(f"the agent is mapped to {found.session_id}, which does not exist any more")
    others = [one for one in live if one != found.session_id]
    if others:
        ctx.out.notice(
            f"the agent has {plural(len(others), 'other live session')}, which it is not mapped to: {_named(others)}; "
            "`awictl session end ID` archives one"
        )
    render(ctx, agent_id, found, others)


async def _live(ctx: CommandContext, manager: "StateManager", agent_id: str, rate: float | None) -> list[str]:
    """The ids of the live sessions of an agent; a notice says if they are not available."""
    from ...sessions.live_by_agent import live_sessions_of

    try:
        return [one.session_id for one in await live_sessions_of(manager.store, agent_id, rate)]
    except AwiError as error:
        ctx.out.notice(f"other live sessions of the agent are not available: {error}")
        return []


async def _not_found(
    ctx: CommandContext,
    manager: "StateManager",
    agent: str,
    agent_id: str,
    rate: float | None,
    names_away: Unreachable | None,
) -> NotFound | Unreachable:
    """The error for an agent without a mapping, which names the live sessions that it has all the same.

    `names_away`: why it is not known whether an agent is registered with this name; None if it is known.
    """
    shown = agent if agent_id == agent else f"{agent} ({agent_id})"
    live = await _live(ctx, manager, agent_id, rate)
    if live:
        return NotFound(
            f"agent {shown} is not mapped to a session at {manager.store.where}, but has "
            f"{plural(len(live), 'live session')}: {_named(live)}; its mapping has expired, and its next request "
            "gets a new session; `awictl doctor --fix` maps it to one that is live"
        )
    if names_away is not None:
        return Unreachable(
            f"no agent with the id {agent} has a session at {manager.store.where}, and the names of registered agents "
            f"are not available: {names_away}"
        )
    return NotFound(
        f"agent {shown} has no session at {manager.store.where}: it may have ended or expired; "
        f"`awictl session list --agent {shlex.quote(agent)}` searches the live sessions for the id or name"
    )


def _named(ids: list[str]) -> str:
    return ", ".join(ids[:_MOST_NAMED]) + (", …" if len(ids) > _MOST_NAMED else "")


def render(ctx: CommandContext, agent_id: str, found: "AgentSession", others: list[str]) -> None:
    """Print the mapping, and the other sessions."""
    row = {
        "agent_id": agent_id,
        "session_id": found.session_id,
        "ttl_ms": found.ttl_ms,
        "session_exists": found.exists,
        "other_sessions": others,
    }
    row = marked(row, found.degraded)
    shown = [
        ("agent", agent_id),
        ("session", found.session_id + ("" if found.exists else " (gone)")),
        ("mapping expires in", duration(found.ttl_ms)),
        *(("other session" if number == 0 else "", one) for number, one in enumerate(others)),
    ]
    ctx.out.one(row, table=lambda: fields_of(shown), ids=[found.session_id])
