"""A single server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...settings import Settings
from .address import Access, Address
from .connection import Command
from .node import Node
from .repeat import Repeat, after_loss
from .replies import Lost, NotAReply
from .router import Source


class Standalone:
    """The `Router` to one server. A request is repeated once at most, on a new connection."""

    slots = False

    def __init__(self, node: Node) -> None:
        self._node = node
        self.where = node.where
        self.losses = node.losses

    @classmethod
    def of(cls, settings: Settings) -> Standalone:
        """The server in the settings."""
        address = Address(settings.redis_host, settings.redis_port, settings.redis_socket)
        return cls(Node(address, Access.of(settings)))

    @property
    def answered(self) -> bool:
        """Whether the server has ever sent a reply of the Redis protocol."""
        return self._node.answered

    async def execute(self, commands: Sequence[Command], *, idempotent: bool, own: bool = False) -> list[Any]:
        """Send commands together, and return their replies; see `Router.execute`."""
        try:
            return await self._node.execute(commands, own=own)
        except Lost as lost:
            if after_loss(lost, idempotent=idempotent) is not Repeat.NOW or isinstance(lost.__cause__, NotAReply):
                raise
        return await self._node.execute(commands, own=own)

    async def masters(self) -> Sequence[Source]:
        """The server."""
        return [self._node]

    async def close(self) -> None:
        """Close all connections."""
        await self._node.close()
