"""What a server reports about itself. Managed servers may deny any of these commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from ...errors import AwiError, Refused
from .replies import ErrorReply
from .server import Argument, Server

#: Number of PINGs that the latency is the median of.
_PINGS = 5


class NotAvailable(Exception):
    """The server does not know the command, or this user has no permission for it."""


class ServerInfo:
    """Queries one server about itself. Raises NotAvailable, Unreachable, and AccessDenied for a wrong password."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def ping(self) -> dict[str, Any]:
        """Check that the server responds: `latency_ms`, and `version`, `server` and `role` if INFO is available.

        Of a cluster also `masters` (their number) and `cluster_state`, and with Sentinel `primary` (its address).
        """
        started = time.perf_counter()
        [pong] = await self._server.execute_idempotent(("PING",))
        latency = time.perf_counter() - started
        self._server.check_pong(pong)
        answer: dict[str, Any] = {"latency_ms": round(latency * 1000, 3)}
        [info] = await self._server.execute_idempotent(("INFO",))
        if isinstance(info, bytes):
            fields = fields_of(info)
            answer["server"] = fields.get("server_name", "redis")
            answer["version"] = fields.get("valkey_version") or fields.get("redis_version")
            answer["role"] = fields.get("role")
        masters = await self._server.masters()
        if self._server.router.slots:
            answer["masters"] = len(masters)
            [cluster] = await self._server.execute_idempotent(("CLUSTER", "INFO"))
            if isinstance(cluster, bytes):
                answer["cluster_state"] = fields_of(cluster).get("cluster_state")
        elif masters[0].where != self._server.where:
            answer["primary"] = masters[0].where
        return answer

    async def latency_ms(self) -> float:
        """Milliseconds from a PING to its reply: the median of several."""
        samples = []
        for _ in range(_PINGS):
            started = time.perf_counter()
            [reply] = await self._server.execute_idempotent(("PING",))
            samples.append(time.perf_counter() - started)
            if not (isinstance(reply, ErrorReply) and reply.code == "NOPERM"):  # that error is a reply too
                self._server.checked(reply, "")
        return median(samples) * 1000

    async def info(self) -> dict[str, str]:
        """The fields of INFO."""
        return fields_of(await self._execute("INFO"))

    async def of_all_masters(self, *command: Argument) -> list[Any]:
        """The replies of all masters to a command that changes nothing; an error reply, or Unreachable, is among them.

        Raises Unreachable if it is not known which they are, or if there is only one.
        """
        if not self._server.router.slots:
            return await self._server.execute_idempotent(command)
        asked = (self._server.execute_on(one, command) for one in await self._server.masters())
        replies = await asyncio.gather(*asked, return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException) and not isinstance(reply, AwiError):
                raise reply
        return [reply[0] if isinstance(reply, list) else reply for reply in replies]

    async def memory(self) -> tuple[int | None, int | None]:
        """Bytes of memory in use on all masters, and the limits of all; None if not available, or without a limit."""
        found = [
            fields_of(one) if isinstance(one, bytes) else {} for one in await self.of_all_masters("INFO", "memory")
        ]
        used, limits = ([_count(one.get(name, "")) for one in found] for name in ("used_memory", "maxmemory"))
        return _sum(used), _sum([one or None for one in limits])

    async def config(self, name: str) -> str:
        """The value of one parameter, from CONFIG GET."""
        reply = await self._execute("CONFIG", "GET", name)
        if len(reply) < 2:
            raise NotAvailable(f"CONFIG GET {name}")
        return bytes(reply[1]).decode("utf-8", "replace")

    async def user(self) -> str:
        """The ACL user of this connection."""
        return bytes(await self._execute("ACL", "WHOAMI")).decode("utf-8", "replace")

    async def clock_offset_ms(self) -> float:
        """Milliseconds by which the server's clock is ahead of the local one; negative if it is behind."""
        before = time.time()
        seconds, microseconds = await self._execute("TIME")
        here = (before + time.time()) / 2
        return (int(seconds) + int(microseconds) / 1e6 - here) * 1000

    async def cluster(self) -> dict[str, str]:
        """The fields of CLUSTER INFO."""
        return fields_of(await self._execute("CLUSTER", "INFO"))

    async def _execute(self, *command: Argument) -> Any:
        [reply] = await self._server.execute_idempotent(command)
        try:
            return self._server.checked(reply, "")
        except Refused:  # no permission (AccessDenied is a Refused), or the command is unknown or renamed
            raise NotAvailable(" ".join(map(str, command))) from None


def fields_of(text: bytes) -> dict[str, str]:
    """The fields in the reply to INFO or CLUSTER INFO."""
    lines = text.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def _count(text: str) -> int | None:
    """A number in INFO; None if it is not one that a server could report."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _sum(counts: Sequence[int | None]) -> int | None:
    """The sum; None if one of them is unknown."""
    known = [one for one in counts if one is not None]
    return sum(known) if known and len(known) == len(counts) else None
