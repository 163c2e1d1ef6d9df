"""A connection to one Redis server: requests in counted round trips, and errors that say what to do.

Requests go over redis-py's connections directly, not through its client, for one reason: after a failure it must be
known whether the request had been sent. If not, nothing happened (Unreachable); if so, it may have been carried out
(ReplyLost).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import hiredis
import redis.asyncio as aioredis
from redis import exceptions as redis_errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...errors import AccessDenied, AwiError, InvalidData, Refused, TooLarge, Unreachable
from ...settings import Settings
from ..errors import ReplyLost

Argument = bytes | str | int
#: The keys and arguments of one call of a script.
Call = tuple[Sequence[str | bytes], Sequence[Argument]]


#: Connections that one process opens at the most; further requests wait for one.
MAX_CONNECTIONS = 64


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
    """One Redis server, through a pool of connections that are opened when they are needed."""

    def __init__(self, client: aioredis.Redis, where: str) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        #: For messages: the address, without secrets.
        self.where = where
        #: Whether it has refused to run scripts for this user, so that plain commands have to do for reading.
        self.scripts_forbidden = False

    async def execute(self, *commands: Sequence[Argument]) -> list[Any]:
        """The replies to `commands`, in one round trip; an error reply is among them as an exception.

        Raises Unreachable where nothing was sent, and ReplyLost (a kind of it) where something was.
        """
        async with self._slots:
            return await self._execute(commands)

    async def _execute(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        cancelled = _cancellations()
        try:
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        except Exception as error:
            raise self.translate(error) from error
        try:
            try:
                # packed by hiredis: the asyncio connection's own way is pure Python, and takes ten times as long
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
            except BaseException:
                # what is still to come on this connection belongs to nobody
                await connection.disconnect(nowait=True)
                raise
        except (redis_errors.BusyLoadingError, redis_errors.AuthenticationError) as error:
            raise self.translate(error) from error
        except (redis_errors.RedisError, OSError, asyncio.IncompleteReadError) as error:
            raise ReplyLost(f"{self.where} went away before it replied: {_reason(error)}") from error
        finally:
            await self._pool.release(connection)
        return replies

    async def execute_idempotent(self, *commands: Sequence[Argument]) -> list[Any]:
        """Like `ask`, for commands that change nothing: asked once more where the connection broke."""
        try:
            return await self.execute(*commands)
        except ReplyLost as lost:
            if isinstance(lost.__cause__, redis_errors.TimeoutError):
                raise  # the user has waited as long as was asked for
            return await self.execute(*commands)

    async def stream(self, command: Sequence[Argument], seconds: float) -> AsyncGenerator[Any, None]:
        """For so many seconds the replies to a command that has no end of them, after its OK, on its own connection.

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
                    reply = await connection.read_response(disable_decoding=True, timeout=left)
                    if reply is None:
                        return
                    yield reply
            except redis_errors.ResponseError as error:
                raise self.translate(error) from error
            except (redis_errors.RedisError, OSError, asyncio.IncompleteReadError) as error:
                raise Unreachable(f"{self.where} went away: {_reason(error)}") from error
            finally:
                await connection.disconnect(nowait=True)
                await self._pool.release(connection)

    async def run_one(self, script: Script, keys: Sequence[str | bytes], arguments: Sequence[Argument]) -> Any:
        """The reply of a script that may run again to one call: the short way of `run_each`, for hot paths."""
        [reply] = await self.execute_idempotent(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        if isinstance(reply, redis_errors.NoScriptError):
            [reply] = await self.execute_idempotent(("EVAL", script.source, len(keys), *keys, *arguments))
        return reply

    async def run(
        self, script: Script, *calls: Call, idempotent: bool = False, then: Sequence[Sequence[Argument]] = ()
    ) -> list[Any]:
        """The replies of a script to `calls`, and those to the commands that follow. See `run_each`."""
        return await self.run_each([(script, call) for call in calls], idempotent=idempotent, then=then)

    async def run_each(
        self,
        calls: Sequence[tuple[Script, Call]],
        *,
        idempotent: bool = False,
        then: Sequence[Sequence[Argument]] = (),
    ) -> list[Any]:
        """The replies of scripts to their calls, and those to the commands that follow, in one round trip.

        `idempotent`: the scripts change nothing more when they run again, so that a broken connection is retried. See
        `ask` and `read`. Where the server does not know one of them yet, that one runs after the others.
        """
        execute = self.execute_idempotent if idempotent else self.execute
        replies = await execute(*(("EVALSHA", one.sha, len(keys), *keys, *args) for one, (keys, args) in calls), *then)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, redis_errors.NoScriptError)]
        if unknown:  # which means that these calls did nothing
            again = [
                ("EVAL", calls[i][0].source, len(calls[i][1][0]), *calls[i][1][0], *calls[i][1][1]) for i in unknown
            ]
            places = [*unknown, *range(len(calls), len(replies))]
            for i, reply in zip(places, await execute(*again, *then), strict=True):
                replies[i] = reply
        return replies

    def checked(self, reply: Any, key: str) -> Any:
        """The reply itself; where it is an error reply, the error of awictl that it means is raised."""
        if isinstance(reply, Exception):
            raise self.translate(reply, key) from reply
        return reply

    def check_size(self, key: str, length: int, limit: int) -> None:
        """Raises Refused where a string of `length` bytes is larger than may be read."""
        if length > limit:
            raise TooLarge(
                f"{self.where}, key {key}: {length:,} bytes, more than the limit of {limit:,}; "
                "raise AWI_MAX_DOCUMENT_BYTES to read it all the same"
            )

    def translate(self, error: Exception, key: str | None = None) -> AwiError:
        """What an error of redis-py means to the user: what happened, where, and what to do."""
        refusal = error.__cause__
        if isinstance(error, redis_errors.ConnectionError) and isinstance(refusal, redis_errors.RedisError):
            error = refusal  # what the server said when the connection was set up
        at = f"{self.where}, key {key}" if key else self.where
        text = str(error).strip()
        if isinstance(error, redis_errors.AuthenticationError):
            return AccessDenied(
                f"{self.where} refuses the user name or password: check REDIS_USERNAME and REDIS_PASSWORD ({text})"
            )
        if (
            isinstance(error, (redis_errors.NoPermissionError, redis_errors.AuthorizationError))
            or "ACL failure" in text
        ):
            return AccessDenied(f"{at}: this user may not do that: {text}")
        if isinstance(error, redis_errors.ReadOnlyError):
            return Refused(f"{self.where} is a read-only replica: connect to its primary")
        if isinstance(error, redis_errors.OutOfMemoryError):
            return Refused(f"{self.where} is out of memory and refuses writes: nothing was written")
        if isinstance(error, redis_errors.BusyLoadingError):
            return Unreachable(f"{self.where} is still loading its data: try again shortly")
        if isinstance(error, redis_errors.ResponseError):
            if "WRONGTYPE" in text:
                return InvalidData(f"{at} is not a string, as it must be: see `TYPE {key}` in redis-cli")
            return Refused(f"{at}: {text}")
        if isinstance(error, (redis_errors.RedisError, OSError)):
            return Unreachable(
                f"cannot reach Redis at {self.where}: {_reason(error)}; is it running, and the right address? "
                "(`awictl config show`)"
            )
        return AwiError(f"{at}: {text}")

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()


def connect(settings: Settings) -> Server:
    """The server that the settings name. Nothing is sent until the first request."""
    options: dict[str, Any] = {
        "db": settings.redis_db,
        "username": settings.redis_username,
        "password": settings.redis_password,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 0),  # whether a request may be repeated is decided above
        "protocol": 2,
        "client_name": None,
        "driver_info": None,  # spares each connection two commands, and users without CLIENT an error
    }
    if settings.redis_socket:
        options["unix_socket_path"] = settings.redis_socket
    else:
        options |= {"host": settings.redis_host, "port": settings.redis_port}
        if settings.redis_tls:
            options |= {"ssl": True, "ssl_ca_certs": settings.redis_tls_ca_certs}
    return Server(aioredis.Redis(**options), settings.redis_address)


def _cancellations() -> int:
    """How often this task was cancelled, those times included that redis-py lost.

    It sends by asyncio.wait_for, which until Python 3.12 forgets a cancellation that comes as the sending is done: a
    Ctrl-C would do nothing (python/cpython#86296).
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _reason(error: BaseException) -> str:
    """The cause of a connection error in a few words, without the address."""
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
