"""The agent whose audit log or security events are read."""

from typing import TYPE_CHECKING

from ...document.keys import is_object_id
from ...errors import NotFound

if TYPE_CHECKING:
    from ...sessions.manager import StateManager


async def agent_of(manager: "StateManager", agent: str) -> tuple[str, str | None]:
    """The id of an agent, and its name if it has a key. An agent whose key was deleted can be given by its id.

    Raises NotFound, and Refused if several agents have that name.
    """
    try:
        key = await (await manager.existing_agents()).get(agent)
    except NotFound:
        if not is_object_id(agent):
            raise
        return agent, None
    return key.agent_id, key.name
