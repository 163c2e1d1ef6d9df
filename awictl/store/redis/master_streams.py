"""The endless replies of all masters to a command such as MONITOR, also of those that are promoted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ...errors import AwiError, Unreachable
from .router import Source
from .server import Argument, Server

#: Seconds from one look at which servers are masters to the next.
POLL_SECONDS = 1.0
#: Number of lines that wait for the reader; then the servers have to wait.
_MAX_WAITING = 1_000


async def has_one_server(server: Server) -> bool:
    """Whether there is only one server, ever: no cluster, and no primary that may be replaced. Raises Unreachable."""
    if server.router.slots:
        return False
    [master] = await server.masters()
    return master.where == server.where


class MasterStreams:
    """Reads the replies of all masters to one command, merged in the order in which they arrive."""

    def __init__(self, server: Server, command: tuple[Argument, ...], on_change: Callable[[str], None]) -> None:
        """`on_change`: called with a sentence for operators when a master is lost, and when another one is read."""
        self._server = server
        self._command = command
        self._on_change = on_change
        self._lines: asyncio.Queue[tuple[str, Any] | AwiError | None] = asyncio.Queue(_MAX_WAITING)
        self._readers: dict[str, asyncio.Task[None]] = {}
        #: The masters whose loss was reported, with the reason.
        self._lost: dict[str, AwiError] = {}

    async def read(self, seconds: float) -> AsyncGenerator[tuple[str, Any], None]:
        """Yield (address of the server, reply) for a number of seconds.

        Raises AccessDenied and Refused of any master, and Unreachable if none can be reached in the end.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        self._update(await self._server.masters(), deadline, first=True)
        watcher = asyncio.create_task(self._watch(deadline))
        try:
            while (item := await self._lines.get()) is not None:
                if isinstance(item, AwiError):
                    raise item
                yield item
        finally:
            tasks = [watcher, *self._readers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, deadline: float) -> None:
        """Look from time to time which servers are masters, until the deadline."""
        loop = asyncio.get_running_loop()
        error: AwiError | None = None
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(POLL_SECONDS, left))
            try:
                async with asyncio.timeout_at(deadline):
                    self._update(await self._server.masters(), deadline)
                error = None
            except TimeoutError:
                pass
            except AwiError as failure:
                error = failure
        if any(where not in self._lost for where in self._readers):
            error = None
        else:
            error = error or next(iter(self._lost.values()), None)
        await self._lines.put(error)

    def _update(self, masters: Any, deadline: float, *, first: bool = False) -> None:
        """Read from these masters, and from no others."""
        wanted: dict[str, Source] = {one.where: one for one in masters}
        for where in [one for one in self._readers if one not in wanted]:
            self._readers.pop(where).cancel()
            self._lost.pop(where, None)
            self._on_change(f"{where} is no longer a master")
        for where, source in wanted.items():
            reader = self._readers.get(where)
            if reader is None or (reader.done() and deadline > asyncio.get_running_loop().time()):
                self._readers[where] = asyncio.create_task(self._pump(source, deadline))
                if not first and reader is None:
                    self._on_change(f"{where} is a master now: its commands are shown from here on")

    async def _pump(self, source: Source, deadline: float) -> None:
        """Pass on the replies of one master."""
        seconds = deadline - asyncio.get_running_loop().time()
        try:
            async with aclosing(self._server.stream(self._command, seconds, source)) as replies:
                async for reply in replies:
                    if self._lost.pop(source.where, None) is not None:
                        self._on_change(f"{source.where} answers again: commands before this one may be missing")
                    await self._lines.put((source.where, reply))
        except Unreachable as error:
            if source.where not in self._lost:
                self._on_change(f"{error}; waiting until it is back or replaced")
            self._lost[source.where] = error
        except AwiError as error:
            await self._lines.put(error)
