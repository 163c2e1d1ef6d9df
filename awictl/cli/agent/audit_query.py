"""The agent whose audit log or security events are read."""

from typing import TYPE_CHECKING

from ...errors import NotFound

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: Length of the ids that MongoDB makes, in hex digits.
_ID_LENGTH = 24


async def agent_of(manager: "StateManager", agent: str) -> tuple[str, str | None]:
    """The id of an agent, and its name if it has a key. An agent whose key was deleted can be given by its id.

    Raises NotFound, and Refused if several agents have that name.
    """
    try:
        key = await (await manager.existing_agents()).get(agent)
    except NotFound:
        if len(agent) != _ID_LENGTH or not set(agent.lower()) <= set("0123456789abcdef"):
            raise
        return agent, None
    return key.agent_id, key.name
