"""What a server tells of itself: all of it optional, since a managed one may forbid it."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from redis.exceptions import NoPermissionError

from ...errors import Refused
from .connection import Argument, Server

#: How often the server is asked for the time, to see how fast it answers.
_PINGS = 5


class NotAvailable(Exception):
    """The server does not tell this user: the command is not permitted, or not there."""


class ServerInfo:
    """Asks one server about itself. Raises NotAvailable, Unreachable, AccessDenied for a wrong password."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def latency_ms(self) -> float:
        """Milliseconds from a PING to its answer, the median of some."""
        took = []
        for _ in range(_PINGS):
            started = time.perf_counter()
            [reply] = await self._server.execute_idempotent(("PING",))
            took.append(time.perf_counter() - started)
            if not isinstance(reply, NoPermissionError):  # which is an answer too
                self._server.checked(reply, "")
        return median(took) * 1000

    async def info(self) -> dict[str, str]:
        """The fields of INFO."""
        return _fields(await self._execute("INFO"))

    async def config(self, name: str) -> str:
        """One parameter of CONFIG."""
        reply = await self._execute("CONFIG", "GET", name)
        if len(reply) < 2:
            raise NotAvailable(f"CONFIG GET {name}")
        return bytes(reply[1]).decode("utf-8", "replace")

    async def user(self) -> str:
        """The ACL user of this connection."""
        return bytes(await self._execute("ACL", "WHOAMI")).decode("utf-8", "replace")

    async def clock_offset_ms(self) -> float:
        """Milliseconds by which the server's clock is ahead of this machine's (negative: behind)."""
        before = time.time()
        seconds, microseconds = await self._execute("TIME")
        here = (before + time.time()) / 2
        return (int(seconds) + int(microseconds) / 1e6 - here) * 1000

    async def cluster(self) -> dict[str, str]:
        """The fields of CLUSTER INFO."""
        return _fields(await self._execute("CLUSTER", "INFO"))

    async def _execute(self, *command: Argument) -> Any:
        [reply] = await self._server.execute_idempotent(command)
        try:
            return self._server.checked(reply, "")
        except Refused:  # AccessDenied is one; to a command that was renamed or left out it is this
            raise NotAvailable(" ".join(map(str, command))) from None


def _fields(text: bytes) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
