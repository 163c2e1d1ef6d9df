"""The Redis servers of a deployment, as stores use them: commands and scripts, and errors that say what to do.

After a failure it is known whether the request was sent. If not, nothing happened (Unreachable); if so, the server may
have executed it (ReplyLost).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import AwiError, TooLarge, Unreachable
from ...settings import Settings
from ..errors import ClientClosed, MalformedReply
from .connection import Command
from .replies import ErrorReply, Lost
from .reply_shapes import is_expected, is_expected_of_script
from .router import Router, Source
from .script import Argument as Argument
from .script import Call as Call
from .script import Script as Script
from .translate import not_redis, of_error, of_lost

if TYPE_CHECKING:
    from ..breaker import CircuitBreaker
    from .split_calls import Split

#: Errors that concern the connection, not only the command that they reply to.
_OF_CONNECTION = frozenset({"LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS"})


class Server:
    """The servers behind a router."""

    def __init__(self, router: Router) -> None:
        self.router = router
        #: The address for messages, without secrets.
        self.where = router.where
        #: Whether the server denies scripts to this user; reads then use plain commands.
        self.scripts_forbidden = False
        #: Refuses requests at once while the servers are away; None without a fallback (see `guard`).
        self.breaker: CircuitBreaker | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._split: Split | None = None
        if router.slots:
            from .split import split_of  # only clusters need it

            self._split = split_of(self)

    async def execute(self, *commands: Sequence[Argument], idempotent: bool = False, own: bool = False) -> list[Any]:
        """Send commands in one round trip. Returns their replies; error replies are returned as ErrorReply.

        `idempotent`: whether they may be sent again if the connection breaks. `own`: on a connection that no other
        request uses meanwhile. Raises Unreachable if nothing was sent, and its subclass ReplyLost if the request was.
        """
        if not commands:
            return []
        if self._split is not None:
            await self._split.following.finished(command[1] for command in commands if len(command) > 1)
        return await self._execute(commands, idempotent=idempotent, own=own)

    async def _execute(self, commands: Sequence[Command], *, idempotent: bool, own: bool = False) -> list[Any]:
        breaker = self.breaker
        began_at = breaker.before() if breaker is not None else 0.0
        try:
            try:
                replies = await self.router.execute(commands, idempotent=idempotent, own=own)
            except (Lost, ErrorReply) as error:
                raise self.failure(error) from error
            self._check(commands, replies)
        except AwiError as error:
            self._count(error, began_at)
            raise
        if breaker is not None:
            breaker.succeeded(began_at)
        return replies

    def _count(self, error: AwiError, began_at: float) -> None:
        """Tell the breaker about a request that failed; start to probe the servers if that opens it."""
        breaker = self.breaker
        if breaker is None or isinstance(error, ClientClosed | MalformedReply):
            return
        if not isinstance(error, Unreachable):
            breaker.succeeded(began_at)
        elif breaker.failed(began_at, str(error)):
            from .recovery import recover  # rarely needed

            self._recovery = asyncio.create_task(recover(Server(self.router).execute, breaker))

    def guard(self, timeout: float) -> CircuitBreaker:
        """Refuse requests at once while the servers are away. `timeout`: that of a request, in seconds. Idempotent."""
        if self.breaker is None:
            from ..breaker import CircuitBreaker  # only processes with a fallback need it

            losses = self.router.losses
            self.breaker = CircuitBreaker(self.where, timeout, lost_connections=lambda: losses.count)
        return self.breaker

    def unguarded(self) -> Server:
        """The same servers, whose requests are sent even if the breaker is open, and do not count for it."""
        return self if self.breaker is None else Server(self.router)

    async def execute_idempotent(self, *commands: Sequence[Argument]) -> list[Any]:
        """Like `execute`, for idempotent commands: sent again if the connection breaks."""
        return await self.execute(*commands, idempotent=True)

    async def execute_on(self, source: Source, *commands: Sequence[Argument]) -> list[Any]:
        """Like `execute`, on one of `masters`; never repeated."""
        try:
            replies = await source.execute(commands)
        except (Lost, ErrorReply) as error:
            raise self.failure(error) from error
        self._check(commands, replies)
        return replies

    async def masters(self) -> Sequence[Source]:
        """The servers with keys of their own: each key is on one of them. Raises Unreachable."""
        try:
            return await self.router.masters()
        except (Lost, ErrorReply) as error:
            raise self.failure(error) from error

    def _check(self, commands: Sequence[Command], replies: Sequence[Any]) -> None:
        for command, reply in zip(commands, replies, strict=True):
            if type(reply) is ErrorReply:
                if reply.code in _OF_CONNECTION:
                    raise self.translate(reply) from reply
            elif not is_expected(command, reply):
                raise self.malformed(f"its reply to {command[0]!s} is {reply!r:.80}")

    async def stream(
        self, command: Sequence[Argument], seconds: float, source: Source | None = None
    ) -> AsyncGenerator[Any, None]:
        """The endless replies to a command such as MONITOR, for a number of seconds, on a connection of its own.

        `source`: one of `masters`; otherwise the first one. Raises AccessDenied, Refused, Unreachable.
        """
        try:
            node = source if source is not None else (await self.router.masters())[0]
            async for reply in node.stream(command, seconds):
                if not isinstance(reply, bytes):
                    raise self.malformed(f"it streams {reply!r:.80}")
                yield reply
        except ErrorReply as error:
            raise self.translate(error) from error
        except Lost as lost:
            where = source.where if source is not None else self.where
            raise of_lost(lost, where, self.router.answered, streaming=True) from lost

    async def run_one(self, script: Script, keys: Sequence[str | bytes], arguments: Sequence[Argument]) -> Any:
        """Run an idempotent script and return its reply. Like `run_each`, but with less overhead, for hot paths."""
        if self._split is not None:
            return (await self.run_each([(script, (keys, arguments))], idempotent=True))[0]
        [reply] = await self.execute_idempotent(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        if _is_unknown(reply):
            [reply] = await self.execute_idempotent(("EVAL", script.source, len(keys), *keys, *arguments))
        return self._checked_of_script(script, reply)

    async def run(
        self, script: Script, *calls: Call, idempotent: bool = False, then: Sequence[Sequence[Argument]] = ()
    ) -> list[Any]:
        """Run one script several times; see `run_each`."""
        return await self.run_each([(script, call) for call in calls], idempotent=idempotent, then=then)

    async def run_each(
        self,
        calls: Sequence[tuple[Script, Call]],
        *,
        idempotent: bool = False,
        then: Sequence[Sequence[Argument]] = (),
    ) -> list[Any]:
        """Run scripts, then the commands `then`, in one round trip. Returns the replies to both; see `execute`.

        `idempotent`: whether to retry once if the connection breaks. A script that the server does not have cached runs
        after the others, in a second round trip.

        On a cluster, a script with several keys becomes several requests; see `split`. Then `then` follows the one
        with the first key, on the same connection.
        """
        if self._split is not None:
            if any(len(keys) > 1 for _, (keys, _) in calls):
                return await self._split.run_each(calls, idempotent=idempotent, then=then)
            await self._split.following.finished(key for _, (keys, _) in calls for key in keys)
        return await self.run_in_slots(calls, idempotent=idempotent, then=then)

    async def run_in_slots(
        self, calls: Sequence[tuple[Script, Call]], *, idempotent: bool, then: Sequence[Sequence[Argument]] = ()
    ) -> list[Any]:
        """Like `run_each`, for scripts whose keys are in one slot each. Does not wait for derived keys."""
        sent = [("EVALSHA", one.sha, len(keys), *keys, *args) for one, (keys, args) in calls]
        if not sent and not then:
            return []
        replies = await self._execute([*sent, *then], idempotent=idempotent)
        unknown = [i for i, reply in enumerate(replies) if _is_unknown(reply)]
        if unknown:  # these calls did nothing
            again = [
                ("EVAL", calls[i][0].source, len(calls[i][1][0]), *calls[i][1][0], *calls[i][1][1]) for i in unknown
            ]
            places = [*unknown, *range(len(calls), len(replies))]
            for i, reply in zip(places, await self._execute([*again, *then], idempotent=idempotent), strict=True):
                replies[i] = reply
        for (script, _), reply in zip(calls, replies, strict=False):
            self._checked_of_script(script, reply)
        return replies

    def _checked_of_script(self, script: Script, reply: Any) -> Any:
        if not is_expected_of_script(script.name, reply):
            raise self.malformed(f"the reply to its script {script.name} is {reply!r:.80}")
        return reply

    def checked(self, reply: Any, key: str) -> Any:
        """Return a reply; if it is an error, raise the corresponding error of awictl. `key`: for its message."""
        if isinstance(reply, Exception):
            raise self.translate(reply, key) from reply
        return reply

    def check_size(self, key: str, length: int, limit: int) -> None:
        """Raise TooLarge if the length of a string exceeds the limit. Both in bytes."""
        if length > limit:
            raise TooLarge(
                f"{self.where}, key {key}: {length:,} bytes, more than the limit of {limit:,}; "
                "increase AWI_MAX_DOCUMENT_BYTES to read it"
            )

    def failure(self, error: Lost | ErrorReply) -> AwiError:
        """The error of awictl for what a router raises."""
        if isinstance(error, ErrorReply):
            return self.translate(error)
        return of_lost(error, self.where, self.router.answered)

    def translate(self, error: Exception, key: str | None = None) -> AwiError:
        """The error of awictl for an error reply, which says what happened, where, and what to do."""
        return of_error(error, self.where, key)

    def check_pong(self, reply: Any) -> None:
        """Raise the error that is the reply to a PING, or Refused if the server does not reply as Redis does."""
        if self.checked(reply, "") != b"PONG":
            raise not_redis(self.where, f"{reply!r:.80} to a PING")

    def malformed(self, what: object) -> MalformedReply:
        """The error for a reply that no Redis server sends. `what`: what is wrong with it, as a clause."""
        return MalformedReply(
            f"{self.where} does not behave like a Redis server: {what}; check the address (`awictl config show`)"
        )

    async def close(self) -> None:
        """Close all connections, after the writes that nobody waited for."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        if self._split is not None:
            await self._split.following.close()
        await self.router.close()


def connect(settings: Settings, client: Any = None) -> Server:
    """The servers in the settings, or that of a redis-py client. Sends nothing before the first request."""
    if client is not None:
        from .redis_client import ClientRouter

        return Server(ClientRouter(client))
    if settings.topology == "cluster":
        from .cluster import ClusterRouter

        return Server(ClusterRouter.of(settings))
    if settings.topology == "sentinel":
        from .sentinel import SentinelRouter

        return Server(SentinelRouter.of(settings))
    from .standalone import Standalone

    return Server(Standalone.of(settings))


def _is_unknown(reply: Any) -> bool:
    """Whether a server does not have a script cached."""
    return type(reply) is ErrorReply and reply.code == "NOSCRIPT"
