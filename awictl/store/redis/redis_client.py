"""Requests over the connections of a redis-py client that the caller of the library has made.

For clients with credential providers, pools of their own, or fakeredis. Everything else uses `connection.py`.
Connections are taken from the client's pool, and commands are sent on them directly: the client itself does not tell
whether a request was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from redis import exceptions as redis_errors

from ...errors import InvalidInput
from .address import Losses, reason_of
from .connection import Command, pack
from .node import MAX_CONNECTIONS
from .repeat import Repeat, after_loss
from .replies import ErrorReply, Lost

#: redis-py removes the codes of some errors from their texts; these are the ones that awictl looks at.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.NoScriptError, "NOSCRIPT"),
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.AuthenticationError, "WRONGPASS"),
)


class ClientRouter:
    """The `Router` over the connection pool of a redis-py client for asyncio. The caller closes the client."""

    slots = False

    def __init__(self, client: Any, where: str | None = None) -> None:
        """`client`: a `redis.asyncio.Redis`, or what behaves like one. `where`: its address for messages."""
        pool = getattr(client, "connection_pool", None)
        if pool is None:
            raise InvalidInput(
                f"{type(client).__name__} has no connection pool: pass a redis.asyncio.Redis. For a cluster, set "
                "REDIS_CLUSTER instead"
            )
        self._pool = pool
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self.where = where or _where(pool)
        self.losses = Losses()  # the client does not report them
        self.answered = False

    async def execute(self, commands: Sequence[Command], *, idempotent: bool = False, own: bool = False) -> list[Any]:
        """Send commands together, and return their replies; see `Router.execute`."""
        async with self._slots:
            try:
                return await self._execute(commands)
            except Lost as lost:
                if after_loss(lost, idempotent=idempotent) is not Repeat.NOW:
                    raise
            return await self._execute(commands)

    async def _execute(self, commands: Sequence[Command]) -> list[Any]:
        connection = await self._connection()
        cancelled = _cancellations()
        try:
            # packed by hiredis: the asyncio connection's own packing is pure Python and takes ten times as long
            await connection.send_packed_command(pack(commands))
            if _cancellations() > cancelled:
                raise asyncio.CancelledError
            replies = [await self._reply(connection) for _ in commands]
        except BaseException as error:
            # replies may still arrive on this connection, so it cannot be reused
            await connection.disconnect(nowait=True)
            if isinstance(error, (redis_errors.RedisError, OSError, asyncio.IncompleteReadError)):
                raise self._lost(error, sent=True) from error
            raise
        finally:
            await self._pool.release(connection)
        return replies

    async def _connection(self) -> Any:
        try:
            return await self._pool.get_connection()
        except redis_errors.RedisError as error:
            reply = error.__cause__ if isinstance(error.__cause__, redis_errors.RedisError) else error
            if (known := _error_reply(reply)) is not None:
                raise known from error
            raise self._lost(error, sent=False) from error
        except OSError as error:
            raise self._lost(error, sent=False) from error

    async def _reply(self, connection: Any) -> Any:
        try:
            reply = await connection.read_response(disable_decoding=True)
        except redis_errors.RedisError as error:
            reply = _error_reply(error)
            if reply is None:
                raise
        self.answered = True
        return reply

    def _lost(self, error: BaseException, *, sent: bool) -> Lost:
        timed_out = isinstance(error, (redis_errors.TimeoutError, TimeoutError))
        reason = "no answer in time" if timed_out else _reason(error)
        return Lost(self.where, reason, sent=sent, timed_out=timed_out, opening=not sent)

    async def stream(self, command: Command, seconds: float) -> AsyncGenerator[Any, None]:
        """The endless replies to a command such as MONITOR, for a number of seconds."""
        async with self._slots:
            connection = await self._connection()
            cancelled = _cancellations()
            try:
                await connection.send_packed_command(pack([command]))
                if _cancellations() > cancelled:
                    raise asyncio.CancelledError
                if isinstance(reply := await self._reply(connection), ErrorReply):
                    raise reply
                clock = asyncio.get_running_loop().time
                deadline = clock() + seconds
                while (left := deadline - clock()) > 0:
                    reply = await connection.read_response(disable_decoding=True, timeout=left)
                    if reply is None:
                        return
                    yield reply
            except (redis_errors.RedisError, OSError, asyncio.IncompleteReadError) as error:
                raise self._lost(error, sent=True) from error
            finally:
                await connection.disconnect(nowait=True)
                await self._pool.release(connection)

    async def masters(self) -> Sequence[ClientRouter]:
        """The server of the client."""
        return [self]

    async def close(self) -> None:
        """Do nothing: the client belongs to the caller."""


def _error_reply(error: BaseException) -> ErrorReply | None:
    """The error reply that redis-py raised as an exception; None if it is another error."""
    text = str(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return ErrorReply(text if text.startswith(code) else f"{code} {text}")
    return ErrorReply(text) if isinstance(error, redis_errors.ResponseError) else None


def _where(pool: Any) -> str:
    options = pool.connection_kwargs
    if "path" in options:
        return f"unix://{options['path']}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"


def _cancellations() -> int:
    """How often this task was cancelled, including cancellations that redis-py lost.

    redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation that arrives when the sending
    completes: Ctrl-C would do nothing (python/cpython#86296).
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, redis_errors.RedisError):
            return reason_of(cause)
        cause = cause.__cause__ or cause.__context__
    return reason_of(error)
