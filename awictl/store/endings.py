"""The part of a store that takes sessions away from their agents, to end them. `redis/endings.py` implements it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

#: What separates the versions of a session that were taken one after the other. It cannot occur in JSON.
SEPARATOR = b"\0"


class Taken(NamedTuple):
    """What was taken of a session."""

    #: The stored strings, the oldest first, with SEPARATOR between them; empty if nothing was taken.
    value: bytes
    #: Whether this call took one of them.
    added: bool = False


class EndingStore(Protocol):
    """Sessions that are being ended. Every method raises the errors of `awictl.errors` and is idempotent."""

    async def take(self, session_id: str, only: bytes | None = None) -> Taken:
        """Take a session, whatever it is at that moment, so that its agent does not find it any more.

        `only`: take it only if this is its string; if it is another, nothing is taken or returned. Raises TooLarge.
        """

    async def taken(self, session_id: str) -> bytes:
        """What was taken of a session; empty if nothing was."""

    async def ids(self) -> list[str]:
        """The sessions of which something was taken."""

    async def replace(self, session_id: str, value: bytes, new: bytes) -> bool:
        """Replace what was taken. False if that is not `value` any more, or the session was written back."""

    async def put_back(self, session_id: str, value: bytes, ttl_ms: int | None) -> bool:
        """Make it a session again. False if what was taken is not `value` any more, or the session was written back.

        `ttl_ms`: its TTL in milliseconds; None for none.
        """

    async def finish(self, session_id: str, agent_id: str | None, value: bytes) -> bool:
        """Delete what was taken, the last delta, and the agent's mapping if that points to the session.

        False if what was taken is not `value` any more, or the session was written back; then nothing is deleted.
        """
