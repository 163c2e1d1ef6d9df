"""A primary that Sentinels watch, and replace if it fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import AwiError
from ...settings import Settings
from .address import Access, Address
from .connection import Command
from .node import Node
from .repeat import Repeat, after_error, after_loss
from .replies import ErrorReply, Lost, NotAReply
from .router import Source
from .sentinel_answers import Primary
from .sentinel_lease import ANSWER_SECONDS, SentinelLease, boot_time

#: Maximum seconds before a request is repeated; half of it at least.
PAUSE_SECONDS = 0.1


class SentinelRouter:
    """The `Router` to the primary of a Sentinel deployment.

    A request is sent, and its reply believed, only under a lease; see `sentinel_lease`. One that was not executed is
    repeated until the deadline, which is the timeout of the settings from its start.
    """

    slots = False

    def __init__(
        self,
        sentinels: Sequence[Address],
        sentinel_access: Access,
        name: str,
        access: Access,
        where: str,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self.losses = access.losses
        self._access = access.with_probe([("ROLE",)], _check_role)
        self._timeout = access.timeout
        self._clock = clock
        self._lease = SentinelLease(sentinels, sentinel_access, name, self._node_of, clock)
        self._primary: Primary | None = None
        self._node: Node | None = None
        self.where = where

    @classmethod
    def of(cls, settings: Settings) -> SentinelRouter:
        """The deployment in the settings."""
        access = Access.of(settings)
        sentinel_access = Access(
            settings.redis_sentinel_username,
            settings.redis_sentinel_password,
            tls=access.tls,
            tls_ca_certs=access.tls_ca_certs,
            tls_cert=access.tls_cert,
            tls_key=access.tls_key,
            timeout=min(ANSWER_SECONDS, access.timeout),
        )
        sentinels = [Address(host, port) for host, port in settings.sentinel_addresses]
        return cls(sentinels, sentinel_access, settings.redis_sentinel_master, access, settings.redis_address)

    @property
    def answered(self) -> bool:
        """Whether any server has ever sent a reply of the Redis protocol."""
        return self._lease.answered

    async def execute(self, commands: Sequence[Command], *, idempotent: bool, own: bool = False) -> list[Any]:
        """Send commands together, and return their replies; see `Router.execute`."""
        lease, clock = self._lease, self._clock
        deadline = clock() + self._timeout
        tries = 0
        lease.users += 1
        try:
            while True:
                primary = await lease.primary(deadline)
                node = self._node_of(primary)
                try:
                    replies = await node.execute(commands, own=own)
                    if not refused(replies):
                        if not lease.holds(primary):
                            await self._check(primary, node.where, deadline)
                        return replies
                    lost = Lost(node.where, str(replies[0]), sent=False, opening=True)
                except Lost as error:
                    lost = error
                again = after_loss(lost, idempotent=idempotent)
                if again is Repeat.NEVER or isinstance(lost.__cause__, NotAReply) or clock() >= deadline:
                    raise lost
                tries += 1
                if again is Repeat.LATER or tries > 1:
                    await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1))  # noqa: S311
        finally:
            lease.users -= 1

    async def masters(self) -> Sequence[Source]:
        """The primary."""
        return [self._node_of(await self._lease.primary(self._clock() + self._timeout))]

    async def close(self) -> None:
        """Close all connections."""
        await self._lease.close()
        if self._node is not None:
            await self._node.close()

    async def _check(self, primary: Primary, where: str, deadline: float) -> None:
        """Raise Lost if a server was not the primary any more when it replied, or if that is unknown."""
        try:
            now = await self._lease.primary(max(deadline, self._clock() + ANSWER_SECONDS))
        except (Lost, AwiError) as error:
            raise Lost(where, f"whether it was still the primary is unknown: {error}", sent=True) from error
        if now != primary:
            raise Lost(where, "it was replaced as the primary before it replied", sent=True)

    def _node_of(self, primary: Primary) -> Node:
        """The server that is the primary. Requests to another one, which it has replaced, get Lost."""
        if self._node is not None and self._primary == primary:
            return self._node
        if self._node is not None:
            self._node.abandon()
        self._primary = primary
        self._node = Node(Address(primary.host, primary.port), self._access)
        return self._node


def refused(replies: Sequence[Any]) -> bool:
    """Whether no command was executed, because the server is not the primary, or not ready."""
    errors = [reply for reply in replies if type(reply) is ErrorReply]
    # others than those of which that is known: WAIT on a replica
    return len(errors) == len(replies) and any(after_error(reply) is Repeat.LATER for reply in errors)


def _check_role(replies: Sequence[Any]) -> None:
    """Raise ValueError if a server says that it is not the primary."""
    [role] = replies
    if isinstance(role, list) and role and role[0] != b"master":
        raise ValueError(f"it is not the primary now, but says that its role is {role[0].decode(errors='replace')}")
