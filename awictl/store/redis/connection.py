"""Connections to one Redis server: commands and scripts, each call one round trip, and errors that say what to do.

Commands are sent over redis-py's connections directly, not through its client, because after a failure it must be
known whether the request was sent. If not, nothing happened (Unreachable); if so, the server may have executed it
(ReplyLost).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import hiredis
import redis.asyncio as aioredis
from redis import exceptions as redis_errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...errors import AccessDenied, AwiError, InvalidData, Refused, TooLarge, Unreachable
from ...settings import Settings
from ..errors import MalformedReply, ReplyLost, cannot_save
from .bounded_parser import BoundedParser, describe_excess
from .reply_shapes import is_expected, is_expected_of_script

Argument = bytes | str | int
#: The keys and arguments of one call of a script.
Call = tuple[Sequence[str | bytes], Sequence[Argument]]

#: Maximum number of connections of one process; further requests wait for a free one.
MAX_CONNECTIONS = 64
#: What to check if a server without TLS has never replied.
_TLS_HINT = "; if that goes on, check whether it expects TLS (rediss://)"


class Script:
    """A Lua script in `scripts/`, called by its hash; its source is sent only if the server does not have it cached.

    The file is read at the first call, because most commands use one script or none.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def source(self) -> bytes:
        """The contents of the file."""
        return (Path(__file__).parent / "scripts" / f"{self.name}.lua").read_bytes()

    @cached_property
    def sha(self) -> str:
        """The SHA-1 of the source in hex, as EVALSHA takes it."""
        return hashlib.sha1(self.source, usedforsecurity=False).hexdigest()


class Server:
    """One Redis server, with a pool of connections that are opened on demand."""

    def __init__(self, client: aioredis.Redis, where: str) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        #: The server's address for messages, without secrets.
        self.where = where
        #: Whether the server denies scripts to this user; reads then use plain commands.
        self.scripts_forbidden = False
        #: Whether it has ever sent a reply of the Redis protocol.
        self._answered = False

    async def execute(self, *commands: Sequence[Argument]) -> list[Any]:
        """Send commands in one round trip. Returns their replies; error replies are returned as exceptions.

        Raises Unreachable if nothing was sent, and its subclass ReplyLost if the request was sent.
        """
        async with self._slots:
            return await self._execute(commands)

    async def _execute(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        cancelled = _cancellations()
        try:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except Exception as error:
            raise self.translate(error) from error
        _expect_replies(connection)
        try:
            try:
                # packed by hiredis: the asyncio connection's own packing is pure Python and takes ten times as long
                await connection.send_packed_command(
                    b"".join(hiredis.pack_command(tuple(one)) for one in commands)  # type: ignore[arg-type]
                )
                if _cancellations() > cancelled:
                    raise asyncio.CancelledError
                replies = []
                for _ in commands:
                    try:
                        replies.append(await connection.read_response(disable_decoding=True))
                    except redis_errors.ResponseError as error:
                        replies.append(error)
                    self._answered = True
                _expect_replies(connection)  # nothing of these replies is kept
            except BaseException:
                # replies may still arrive on this connection, so it cannot be reused
                await connection.disconnect(nowait=True)
                raise
        except (redis_errors.BusyLoadingError, redis_errors.AuthenticationError) as error:
            raise self.translate(error) from error
        except (redis_errors.RedisError, OSError, asyncio.IncompleteReadError) as error:
            if (excess := describe_excess(error)) is not None:
                raise self.malformed(excess) from error
            if isinstance(error, redis_errors.InvalidResponse) and not self._answered:
                raise self._not_redis(error) from error
            hint = "" if self._answered or not self.where.startswith("redis://") else _TLS_HINT
            text = f"{self.where} closed the connection before it replied: {_reason(error)}{hint}"
            raise ReplyLost(text, retryable=not isinstance(error, redis_errors.TimeoutError)) from error
        finally:
            await self._pool.release(connection)
        for command, reply in zip(commands, replies, strict=True):
            if not is_expected(command, reply):
                raise self.malformed(f"its reply to {command[0]!s} is {reply!r:.80}")
        return replies

    async def execute_idempotent(self, *commands: Sequence[Argument]) -> list[Any]:
        """Like `execute`, for idempotent commands: retried once if the connection breaks."""
        try:
            return await self.execute(*commands)
        except ReplyLost as lost:
            if not lost.retryable:
                raise
            return await self.execute(*commands)

    async def stream(self, command: Sequence[Argument], seconds: float) -> AsyncGenerator[Any, None]:
        """The endless replies to a command such as MONITOR, for a number of seconds, on a connection of its own.

        Raises AccessDenied, Refused, Unreachable.
        """
        async with self._slots:
            cancelled = _cancellations()
            try:
                connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            except Exception as error:
                raise self.translate(error) from error
            try:
                await connection.send_packed_command(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type]
                if _cancellations() > cancelled:
                    raise asyncio.CancelledError
                await connection.read_response(disable_decoding=True)
                clock = asyncio.get_running_loop().time
                deadline = clock() + seconds
                while (left := deadline - clock()) > 0:
                    _expect_replies(connection, long_line=True)
                    reply = await connection.read_response(disable_decoding=True, timeout=left)
                    if reply is None:
                        return
                    if not isinstance(reply, bytes):
                        raise self.malformed(f"it streams {reply!r:.80}")
                    yield reply
            except (redis_errors.ResponseError, redis_errors.InvalidResponse) as error:
                raise self.translate(error) from error
            except (redis_errors.RedisError, OSError, asyncio.IncompleteReadError) as error:
                raise Unreachable(f"{self.where} closed the connection: {_reason(error)}") from error
            finally:
                await connection.disconnect(nowait=True)
                await self._pool.release(connection)

    async def run_one(self, script: Script, keys: Sequence[str | bytes], arguments: Sequence[Argument]) -> Any:
        """Run an idempotent script and return its reply. Like `run_each`, but with less overhead, for hot paths."""
        [reply] = await self.execute_idempotent(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        if isinstance(reply, redis_errors.NoScriptError):
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
        """
        execute = self.execute_idempotent if idempotent else self.execute
        replies = await execute(*(("EVALSHA", one.sha, len(keys), *keys, *args) for one, (keys, args) in calls), *then)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, redis_errors.NoScriptError)]
        if unknown:  # these calls did nothing
            again = [
                ("EVAL", calls[i][0].source, len(calls[i][1][0]), *calls[i][1][0], *calls[i][1][1]) for i in unknown
            ]
            places = [*unknown, *range(len(calls), len(replies))]
            for i, reply in zip(places, await execute(*again, *then), strict=True):
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

    def translate(self, error: Exception, key: str | None = None) -> AwiError:
        """Translate an error of redis-py into an error of awictl, which says what happened, where, and what to do."""
        refusal = error.__cause__
        if isinstance(refusal, AwiError):
            return refusal  # the connection was refused on this side
        if (excess := describe_excess(error)) is not None:
            return self.malformed(excess)
        if isinstance(error, redis_errors.ConnectionError) and isinstance(refusal, redis_errors.RedisError):
            error = refusal  # the server's reply while the connection was being established
        at = f"{self.where}, key {key}" if key else self.where
        text = str(error).strip()
        if isinstance(error, redis_errors.InvalidResponse):
            return self._not_redis(error)
        if isinstance(error, redis_errors.AuthenticationError):
            return AccessDenied(
                f"{self.where} rejected the user name or password: check REDIS_USERNAME and REDIS_PASSWORD ({text})"
            )
        if (
            isinstance(error, (redis_errors.NoPermissionError, redis_errors.AuthorizationError))
            or "ACL failure" in text
        ):
            return AccessDenied(f"{at}: this user has no permission: {text}")
        if isinstance(error, redis_errors.ReadOnlyError):
            return Refused(f"{self.where} is a read-only replica: connect to its primary")
        if isinstance(error, redis_errors.OutOfMemoryError):
            return Refused(f"{self.where} is out of memory and rejects writes. Nothing was written")
        if isinstance(error, redis_errors.BusyLoadingError):
            return Unreachable(f"{self.where} is still loading its data; try again later")
        if isinstance(error, redis_errors.ResponseError):
            if "MISCONF" in text:
                return cannot_save(self.where, text)
            if "WRONGTYPE" in text:
                return InvalidData(f"{at} is not a string; check it with `TYPE {key}` in redis-cli")
            return Refused(f"{at}: {text}")
        if isinstance(error, (redis_errors.RedisError, OSError)):
            return Unreachable(
                f"cannot reach Redis at {self.where}: {_reason(error)}; check that it is running and that the address "
                "is right (`awictl config show`)"
            )
        return AwiError(f"{at}: {text}")

    def _not_redis(self, error: Exception) -> Refused:
        """The error for a server whose first reply is not of the Redis protocol: a retry would not help."""
        text = str(error).strip()
        sent = "it seems to expect TLS (rediss://, or REDIS_TLS=true)" if '"\\x15"' in text else f"it replied: {text}"
        return Refused(f"{self.where} is not a Redis server: {sent}; check the address (`awictl config show`)")

    def check_pong(self, reply: Any) -> None:
        """Raise the error that is the reply to a PING, or Refused if the server does not reply as Redis does."""
        if self.checked(reply, "") != b"PONG":
            raise self._not_redis(ValueError(f"{reply!r:.80} to a PING"))

    def malformed(self, what: object) -> MalformedReply:
        """The error for a reply that no Redis server sends. `what`: what is wrong with it, as a clause."""
        return MalformedReply(
            f"{self.where} does not behave like a Redis server: {what}; check the address (`awictl config show`)"
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def connect(settings: Settings) -> Server:
    """The server in the settings. Sends nothing before the first request."""
    options: dict[str, Any] = {
        "db": settings.redis_db,
        "username": settings.redis_username,
        "password": settings.redis_password,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 0),  # `Server` decides whether a request is retried
        "protocol": 2,
        "client_name": None,
        "driver_info": None,  # saves two commands per connection, and an error if the user has no permission for CLIENT
    }
    if settings.redis_socket:
        options["unix_socket_path"] = settings.redis_socket
    else:
        options |= {"host": settings.redis_host, "port": settings.redis_port}
        if settings.redis_tls:
            options |= {"ssl": True, "ssl_ca_certs": settings.redis_tls_ca_certs}
    client = aioredis.Redis(**options)
    pool = client.connection_pool
    pool.connection_kwargs["parser_class"] = partial(BoundedParser, settings.max_document_bytes)
    if settings.embedded:
        from .private_connection import PrivateConnection

        pool.connection_class = PrivateConnection
    return Server(client, settings.redis_address)


def _expect_replies(connection: Any, *, long_line: bool = False) -> None:
    """Announce a new request to the parser of a connection; see `BoundedParser`. Other kinds have no limits."""
    parser = getattr(connection, "_parser", None)
    if isinstance(parser, BoundedParser):
        parser.expect_replies(long_line=long_line)


def _cancellations() -> int:
    """How often this task was cancelled, including cancellations that redis-py lost.

    redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation that arrives when the sending
    completes: Ctrl-C would do nothing (python/cpython#86296).
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _reason(error: BaseException) -> str:
    """The cause of a connection error, without the address."""
    if isinstance(error, (redis_errors.TimeoutError, TimeoutError)):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or cause}"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, redis_errors.RedisError):
            return cause.strerror if not cause.strerror.startswith("Connect call failed") else "connection refused"
        cause = cause.__cause__ or cause.__context__
    return str(error).strip().rstrip(".") or type(error).__name__
