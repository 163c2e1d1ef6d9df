"""The rate limits of the agents whose requests are counted in keys."""

from typing import TYPE_CHECKING, Any

from ...document.keys import RATE_LIMIT_PREFIX
from ...errors import AwiError
from ..framework.context import CommandContext

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: What stands in place of the agent's id in a key that counts the registrations from an address.
_ADDRESS = "address "


class AgentLimits:
    """Adds the limits to the rows of keys. The agents are read once, when the first row needs them."""

    def __init__(self, ctx: CommandContext, manager: "StateManager") -> None:
        self._ctx = ctx
        self._manager = manager
        self._limits: dict[str, int | None] | None = None

    async def add(self, rows: list[dict[str, Any]]) -> None:
        """Add `limit` and `limit_is_default` to the rows that have `requests`: the agent's own, or that of `serve`."""
        from ...server.options import REGISTRATIONS_PER_HOUR, REQUESTS_PER_HOUR

        for row in rows:
            if "requests" in row:
                if self._limits is None:
                    self._limits = await self._read()
                agent_id = row["key"].removeprefix(RATE_LIMIT_PREFIX).rpartition(":")[0]
                own = self._limits.get(agent_id)
                default = REGISTRATIONS_PER_HOUR if agent_id.startswith(_ADDRESS) else REQUESTS_PER_HOUR
                row["limit"] = own or default
                row["limit_is_default"] = own is None

    async def _read(self) -> dict[str, int | None]:
        if self._manager.archive is None:
            return {}
        try:
            return {key.agent_id: key.requests_per_hour for key in await self._manager.agents.all()}
        except AwiError as error:
            self._ctx.out.notice(f"the agents' own limits are not available: {error}")
            return {}
