"""Find agents by the names under which they are registered."""

from typing import TYPE_CHECKING

from ...errors import InvalidInput, NotFound, Unreachable
from .context import CommandContext

if TYPE_CHECKING:
    from ...sessions.manager import StateManager


async def registered_id(
    ctx: CommandContext, manager: "StateManager", agent: str, *, required: bool = False
) -> str | None:
    """The id of the agent that is registered with this name; None if there is none, or no archive.

    If an agent of this id is in a session, no name is looked up. If the archive is unreachable, a notice says so, or
    with `required`, Unreachable is raised. Raises Refused, which names the ids, if several agents have that name.
    """
    if manager.archive is None:
        return None
    try:
        if await manager.get_agent_session(agent) is not None:
            return None
    except InvalidInput:
        return None  # not printable, or too long
    try:
        return await (await manager.existing_agents()).id_of(agent)
    except NotFound:
        return None  # there is no archive yet, so no agent is registered
    except Unreachable as error:
        if required:
            raise
        ctx.out.notice(f"the names of registered agents are not available: {error}")
        return None
