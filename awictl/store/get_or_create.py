"""The part of a store that requests of agents use: rate limit, lookup and creation of the agent's current session.

`redis/get_or_create.py` implements it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..document.splice import Base


class AgentLookup(NamedTuple):
    """The result of looking up an agent's session. A tuple, because each request creates one."""

    #: Requests in the current rate limit window, this one included; 0 if it was not counted.
    requests: int
    #: Milliseconds until the window ends.
    window_ms: int
    #: Whether the rate limit was exceeded. Then nothing was looked up and the other fields are empty.
    refused: bool = False
    #: The value of the agent's mapping as stored; empty if there is no mapping.
    current: bytes = b""
    #: The requested session; None if the agent is not mapped to it or it does not exist.
    base: Base | None = None
    #: The session's last delta as stored; None if it was not requested or has expired.
    diff: bytes | None = None


class GetOrCreateStore(Protocol):
    """Looks up and creates the current sessions of agents. Every method raises the errors of `awictl.errors`."""

    #: The server's address for messages, without secrets.
    where: str

    async def read_for_request(
        self, agent_id: str, session_id: str | None, operation: str, limit: int, *, diff: bool = False
    ) -> AgentLookup:
        """Count a request; if the agent is mapped to `session_id`, extend that session's TTL and read its head.

        `limit`: maximum number of requests for `operation` per window; 0: do not count. `diff`: also read the last
        delta. One round trip.
        """

    async def create_if_absent(
        self, agent_id: str, session_id: str, raw: bytes, previous: AgentLookup, *, replace: bool, diff: bool = False
    ) -> tuple[AgentLookup, bool]:
        """Create a session and map the agent to it, unless the mapping has changed since `previous`.

        Nothing is created either if the session that the agent is mapped to exists, unless `replace` is true. Returns
        the lookup of that session, and whether the new one was created. One round trip. Idempotent: a retry finds the
        session that the first attempt created.
        """

    async def has_no_ttl(self, session_id: str) -> bool:
        """Whether a session exists and has no TTL."""

    async def delete_mapping(self, agent_id: str, session_id: str) -> bool:
        """Delete an agent's mapping if it points to `session_id`. Returns whether it did."""
