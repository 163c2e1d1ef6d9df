"""The interface between `Server` and the ways in which servers are arranged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from .address import Losses
from .connection import Command


class Source(Protocol):
    """One server that has keys of its own; `Node` implements it."""

    #: Its address for messages, without secrets.
    where: str

    async def execute(self, commands: Sequence[Command], *, own: bool = False) -> list[Any]:
        """Send commands together, and return their replies, error replies among them. Raises Lost."""

    def stream(self, command: Command, seconds: float) -> AsyncGenerator[Any, None]:
        """The endless replies to a command such as MONITOR, for a number of seconds."""


class Router(Protocol):
    """Sends requests to the servers that have the keys. `Standalone`, `SentinelRouter` and `ClusterRouter` do."""

    #: The address for messages, without secrets.
    where: str
    #: Whether keys are distributed over slots, so that a script cannot use keys of several slots.
    slots: bool
    #: The connections that were lost.
    losses: Losses

    @property
    def answered(self) -> bool:
        """Whether any server has ever sent a reply of the Redis protocol."""

    async def execute(self, commands: Sequence[Command], *, idempotent: bool, own: bool = False) -> list[Any]:
        """Send commands together, and return their replies, error replies among them.

        Requests are repeated here, and nowhere else, until one deadline. `idempotent`: also if they may have been
        executed. `own`: on a connection that no other request uses meanwhile. Raises Lost, or the ErrorReply with
        which a server rejected the connection.
        """

    async def masters(self) -> Sequence[Source]:
        """The servers with keys of their own: each key is on one of them."""

    async def close(self) -> None:
        """Close all connections."""
