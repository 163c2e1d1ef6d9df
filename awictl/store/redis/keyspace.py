"""Scan and examine all keys of a server without slowing it down: paced SCANs, and many keys per request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...util.batched import batched, batched_by_bytes
from ..keyspace import KeyInfo, StepCallback
from .replies import ErrorReply
from .scan_keys import scan_primary
from .server import Argument, Script, Server

if TYPE_CHECKING:
    from .monitor import Monitor
    from .repairs import Repairable
    from .server_info import ServerInfo

#: Maximum number of keys of one script call: some hundred microseconds of the server's time.
KEYS_PER_SCRIPT = 100
#: Maximum size of the replies to one request for several strings, in bytes; a larger string is requested alone.
_REQUEST_BYTES = 4_194_304

#: The error for a key whose length or bytes are of a wrong type.
_NOT_A_STRING = ErrorReply("the server sent no string")

_KEY_INFO = Script("key_info")


def scan(
    server: Server, pattern: str | None, rate: float | None = None, on_step: StepCallback = lambda _: None
) -> AsyncGenerator[list[bytes], None]:
    """The names of all keys, or of those that match a pattern, in batches. A key may be returned twice.

    `rate`: maximum number of keys per second (None: not paced). `on_step`: called with the number of keys of each step.
    Raises InvalidData if the scan does not end.
    """
    if server.router.slots:
        from .cluster_scan import scan_masters

        return scan_masters(server, pattern, rate, on_step)
    return scan_primary(server, pattern, rate, on_step)


async def key_info(
    server: Server, names: Sequence[str | bytes], size: int = 0, more: int | None = None
) -> list[KeyInfo | None]:
    """TTL, length and the first `size` bytes of each key, in their order; None if a key does not exist. One round trip.

    `more`: return only this many bytes after the first newline.

    Uses a script, because decoding three replies per key costs a client more than anything else; uses plain commands if
    the user has no permission for scripts. So it does on a cluster, where a call per slot takes 1.4 times as long, and
    2.5 times as much of the servers' time.
    """
    if not (server.scripts_forbidden or server.router.slots):
        arguments = (size, more if more is not None else -1)
        calls = [(some, arguments) for some in batched(names, KEYS_PER_SCRIPT)]
        replies = await server.run(_KEY_INFO, *calls, idempotent=True)
        if not any(isinstance(reply, Exception) for reply in replies):
            found = _key_infos([one for reply in replies for one in reply])
            if len(found) != len(names):
                raise server.malformed(f"it describes {len(found):,} keys instead of {len(names):,}")
            return found
        server.scripts_forbidden = True
    commands: list[Sequence[Argument]] = []
    for name in names:
        commands += [("PTTL", name), ("STRLEN", name), ("GETRANGE", name, *((0, size - 1) if size else (1, 0)))]
    return _key_infos(await server.execute_idempotent(*commands))


def _key_infos(replies: Sequence[Any]) -> list[KeyInfo | None]:
    """The replies, three per key, as records."""
    ttls, lengths, starts = replies[::3], replies[1::3], replies[2::3]
    if set(map(type, ttls)) == {int} == set(map(type, lengths)) and set(map(type, starts)) == {bytes}:  # as usual
        return [
            KeyInfo(ttl if ttl >= 0 else None, length, start) if ttl != -2 else None
            for ttl, length, start in zip(ttls, lengths, starts, strict=True)
        ]
    flat = iter(replies)
    found: list[KeyInfo | None] = []
    for ttl, length, start in zip(flat, flat, flat, strict=True):
        ttl_ms = ttl if isinstance(ttl, int) and ttl >= 0 else None
        if isinstance(length, int) and isinstance(start, bytes):
            found.append(KeyInfo(ttl_ms, length, start) if ttl != -2 else None)
        else:
            errors = (one for one in (length, start) if isinstance(one, Exception))
            found.append(KeyInfo(ttl_ms, 0, b"", next(errors, _NOT_A_STRING)))
    return found


def groups(sizes: Mapping[str, int]) -> Iterable[list[str]]:
    """Group names (or ids) by their sizes in bytes, so that the replies to one request stay within a limit."""
    return batched_by_bytes(sizes, sizes.__getitem__, _REQUEST_BYTES)


class RedisKeyspace:
    """The keys of one server or deployment, of any kind. Raises Unreachable, AccessDenied."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: The server's address for messages, without secrets.
        self.where = server.where

    async def size(self) -> int | None:
        """Number of keys, on all masters; None if not available."""
        replies = await self.server_info.of_all_masters("DBSIZE")
        sizes = [reply for reply in replies if isinstance(reply, int)]
        return sum(sizes) if len(sizes) == len(replies) else None

    def scan(
        self, pattern: str | None = None, rate: float | None = None, on_step: StepCallback = lambda _: None
    ) -> AsyncGenerator[list[bytes], None]:
        """The names of all keys, or of those that match a pattern, in batches; see `scan`."""
        return scan(self._server, pattern, rate, on_step)

    async def key_info(self, names: Sequence[bytes], size: int = 0) -> list[KeyInfo | None]:
        """TTL, length and the first `size` bytes of each key; None if a key does not exist. One round trip."""
        return await key_info(self._server, names, size)

    async def last_bytes(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The last byte of each key; None if the key is empty, does not exist, or cannot be read. One round trip."""
        replies = await self._server.execute_idempotent(*(("GETRANGE", name, -1, -1) for name in names))
        return [reply if isinstance(reply, bytes) and reply else None for reply in replies]

    async def memory(self, names: Sequence[bytes]) -> list[int | None]:
        """Memory that each key takes, in bytes; None if not available. One round trip."""
        replies = await self._server.execute_idempotent(*(("MEMORY", "USAGE", name) for name in names))
        return [reply if isinstance(reply, int) else None for reply in replies]

    @cached_property
    def server_info(self) -> ServerInfo:
        """Queries about the server itself."""
        from .server_info import ServerInfo

        return ServerInfo(self._server)

    def monitor(self) -> Monitor:
        """A reader of the commands that the server executes."""
        from .monitor import Monitor

        return Monitor(self._server)

    async def repair(self, faults: Sequence[Repairable]) -> list[bool]:
        """Repair derived keys; see `repairs.repair`."""
        from .repairs import repair

        return await repair(self._server, faults)

    def describe_error(self, info: KeyInfo, name: str) -> str | None:
        """Why a key cannot be read as a string; None if it can."""
        return str(self._server.translate(info.error, name)) if info.error is not None else None
