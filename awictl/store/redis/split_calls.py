"""Runs calls of scripts with several keys on a cluster, each by a function that does what the script does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from ...errors import AwiError
from .following import Following
from .script import Argument, Call, Script

Commands = Sequence[Sequence[Argument]]
#: Runs one call. Returns its reply, then those to the commands `then`, which follow the write that decides.
One = Callable[["Split", Call, Commands], Awaitable[list[Any]]]


class Sender(Protocol):
    """What is used of a `Server`."""

    async def execute(self, *commands: Sequence[Argument], idempotent: bool = False) -> list[Any]:
        """Send commands; see `Server.execute`."""

    async def run_in_slots(
        self, calls: Sequence[tuple[Script, Call]], *, idempotent: bool, then: Commands = ()
    ) -> list[Any]:
        """Run scripts whose keys are in one slot each; see `Server.run_in_slots`."""

    def checked(self, reply: Any, key: str) -> Any:
        """Return a reply that is no error."""

    def malformed(self, what: object) -> AwiError:
        """The error for a reply that no Redis server sends."""


class Split:
    """Runs scripts with several keys on a cluster."""

    def __init__(self, server: Sender, functions: Mapping[str, One]) -> None:
        self.server = server
        self._functions = functions
        self.following = Following(lambda calls, commands: server.run_in_slots(calls, idempotent=True, then=commands))

    async def run_each(
        self, calls: Sequence[tuple[Script, Call]], *, idempotent: bool, then: Commands = ()
    ) -> list[Any]:
        """Like `Server.run_each`, if at least one of the calls has several keys."""
        if len(calls) == 1:
            return await self._run(calls[0], idempotent, then)
        outcomes = await asyncio.gather(*(self._run(one, idempotent) for one in calls))
        replies = [outcome[0] for outcome in outcomes]
        return [*replies, *await self.server.execute(*then, idempotent=idempotent)]

    async def _run(self, one: tuple[Script, Call], idempotent: bool, then: Commands = ()) -> list[Any]:
        script, call = one
        function = self._functions.get(script.name) if len(call[0]) > 1 else None
        if function is None:
            return await self.server.run_in_slots([one], idempotent=idempotent, then=then)
        replies = await function(self, call, then)
        if len(replies) == 1 and then:  # nothing was written
            replies += await self.server.execute(*then, idempotent=idempotent)
        return replies

    async def one(self, script: Script, call: Call, then: Commands = (), *, idempotent: bool = False) -> list[Any]:
        """Run a script with one key, and commands."""
        return await self.server.run_in_slots([(script, call)], idempotent=idempotent, then=then)

    def follow(self, calls: Sequence[tuple[Script, Call]], commands: Commands = ()) -> None:
        """Start calls with one key each, and commands, without waiting for them. All of them are idempotent."""
        self.following.start([*calls, *commands])

    async def read(self, commands: Commands) -> list[Any]:
        """Execute idempotent commands, after what this process has written to their keys."""
        return await self.server.execute(*commands, idempotent=True)
