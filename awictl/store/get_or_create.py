"""What a store is to the requests of agents: the interface of `visits.py`, and the record that it returns."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..document.byte_layout import Base


class Visited(NamedTuple):
    """What a request of an agent found. A tuple, since one is made for every request."""

    #: How many requests there were in this window, this one included; 0 where it was not counted.
    requests: int
    #: Milliseconds until the window ends.
    window_ms: int
    #: Whether that were too many: then nothing else was done, nor is told.
    refused: bool = False
    #: What the agent is mapped to; empty where there is no mapping.
    current: bytes = b""
    #: The session that was asked for; None where the agent is not in it, or it is gone.
    base: Base | None = None
    #: Its last delta as it is stored, where it was asked for and there is one.
    diff: bytes | None = None


class VisitStore(Protocol):
    """What the requests of agents need of a store. Every method raises the errors of `awictl.errors`."""

    #: For messages: which server this is, without secrets.
    where: str

    async def visit(
        self, agent_id: str, session_id: str | None, operation: str, limit: int, *, diff: bool = False
    ) -> Visited:
        """Count a request, and if the agent is in this session, put off its expiry and read its head.

        `limit`: how many requests for this operation a window may have; 0: do not count it. One round trip.
        """

    async def begin(
        self, agent_id: str, session_id: str, raw: bytes, previous: Visited, *, replace: bool, diff: bool = False
    ) -> tuple[Visited, bool]:
        """Create a session unless the agent is in a living one, where `previous` tells what it was mapped to.

        `replace`: even if that one lives. Returns what a visit to that one finds now, and whether one was created. One
        round trip. It may be repeated: what was created by the first request is then found.
        """

    async def unmap(self, agent_id: str, session_id: str) -> bool:
        """Take an agent out of a session. Returns whether it was in it."""
