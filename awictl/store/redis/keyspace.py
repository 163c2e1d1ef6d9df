"""Walking through the keys of a server without being in its way: paced SCANs, and a look at many keys at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import NoPermissionError

from .connection import Argument, Script, Server

if TYPE_CHECKING:
    from .monitor import Monitor
    from .repairs import Repairable
    from .server_info import ServerInfo

#: Keys that one SCAN visits: about a millisecond of the server's time, so that round trips hardly count.
SCAN_COUNT = 2_000
#: Steps in a second of a paced scan: short ones, so that other clients hardly wait.
PACED_STEPS = 500
#: Keys that one script looks at: some hundred microseconds of the server's time.
KEYS_PER_SCRIPT = 100
#: Sessions, or keys, that are asked for in one go.
BATCH_KEYS = 500
#: Bytes that one request for several strings may ask for at the most (one larger string is asked for alone).
_REQUEST_BYTES = 4_194_304

_KEY_INFO = Script("key_info")


#: Called after each step of a scan with the approximate number of keys that the server visited in it.
StepCallback = Callable[[int], None]


class KeyInfo(NamedTuple):
    """What a first look at a key tells."""

    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: Length of the string, in bytes.
    length: int
    #: How it begins.
    start: bytes
    #: The server's error where it is no string, or may not be read.
    error: Exception | None = None

    @property
    def forbidden(self) -> bool:
        """Whether this user may not read it, so that nothing is known of it, not even its expiry."""
        return isinstance(self.error, NoPermissionError)


async def scan(
    server: Server, pattern: str | None, rate: float | None = None, on_step: StepCallback = lambda _: None
) -> AsyncGenerator[list[bytes], None]:
    """The names of all keys, or of those that match, in batches. One may come twice.

    `rate`: maximum number of keys per second (None: not paced). `on_step`: called with the number of keys of each step.
    """
    count = SCAN_COUNT if rate is None else max(1, min(SCAN_COUNT, int(rate / PACED_STEPS)))
    matching: Sequence[Argument] = ("MATCH", pattern) if pattern is not None else ()
    cursor = b"0"
    while True:
        started = time.monotonic()
        [reply] = await server.execute_idempotent(("SCAN", cursor, *matching, "COUNT", count))
        cursor, names = server.checked(reply, pattern or "*")
        on_step(count)
        if names:
            yield names
        if cursor == b"0":
            return
        if rate is not None:
            await asyncio.sleep(max(0.0, count / rate - (time.monotonic() - started)))


async def key_info(
    server: Server, names: Sequence[str | bytes], size: int = 0, more: int | None = None
) -> list[KeyInfo | None]:
    """The first `size` bytes of each key, its length and its expiry; None where it is gone. One round trip.

    `more`: how many bytes are enough after the first newline, where there is one among them.

    By a script, since three replies a key cost a client more than all the rest; by plain commands where the user may
    not run scripts, or the server has the keys in different places.
    """
    if not server.scripts_forbidden:
        groups = [names[start : start + KEYS_PER_SCRIPT] for start in range(0, len(names), KEYS_PER_SCRIPT)]
        arguments = (size, more if more is not None else -1)
        replies = await server.run(_KEY_INFO, *((group, arguments) for group in groups), idempotent=True)
        if not any(isinstance(reply, Exception) for reply in replies):
            return _key_infos(one for reply in replies for one in reply)
        server.scripts_forbidden = True
    commands: list[Sequence[Argument]] = []
    for name in names:
        commands += [("PTTL", name), ("STRLEN", name), ("GETRANGE", name, *((0, size - 1) if size else (1, 0)))]
    return _key_infos(await server.execute_idempotent(*commands))


def _key_infos(replies: Iterable[Any]) -> list[KeyInfo | None]:
    """The replies, three for each key, as what they tell."""
    flat = iter(replies)
    found: list[KeyInfo | None] = []
    for ttl, length, start in zip(flat, flat, flat, strict=True):
        ttl_ms = ttl if isinstance(ttl, int) and ttl >= 0 else None
        if isinstance(length, int) and isinstance(start, bytes):
            found.append(KeyInfo(ttl_ms, length, start) if ttl != -2 else None)
        else:
            found.append(KeyInfo(ttl_ms, 0, b"", length if isinstance(length, Exception) else start))
    return found


def groups(sizes: Mapping[str, int]) -> Iterable[list[str]]:
    """The names, or ids, in groups whose sizes in bytes together make one request that is bearable."""
    group: list[str] = []
    total = 0
    for name, size in sizes.items():
        if group and total + size > _REQUEST_BYTES:
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        yield group


class Keyspace:
    """The keys of one server, whatever they are for. Raises Unreachable, AccessDenied."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: For messages: which server this is, without secrets.
        self.where = server.where

    async def size(self) -> int | None:
        """How many keys there are; None where the server does not tell this user."""
        [reply] = await self._server.execute_idempotent(("DBSIZE",))
        return reply if isinstance(reply, int) else None

    def scan(
        self, pattern: str | None = None, rate: float | None = None, on_step: StepCallback = lambda _: None
    ) -> AsyncGenerator[list[bytes], None]:
        """The names of all keys, or of those that match, in batches; see `scan`."""
        return scan(self._server, pattern, rate, on_step)

    async def key_info(self, names: Sequence[bytes], size: int = 0) -> list[KeyInfo | None]:
        """Length, expiry and the first `size` bytes of each; None where it is gone. One round trip."""
        return await key_info(self._server, names, size)

    async def ends(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The last byte of each; None where there is none, or it may not be read. One round trip."""
        replies = await self._server.execute_idempotent(*(("GETRANGE", name, -1, -1) for name in names))
        return [reply if isinstance(reply, bytes) and reply else None for reply in replies]

    async def memory(self, names: Sequence[bytes]) -> list[int | None]:
        """The bytes of memory that each of these keys takes; None where the server does not tell."""
        replies = await self._server.execute_idempotent(*(("MEMORY", "USAGE", name) for name in names))
        return [reply if isinstance(reply, int) else None for reply in replies]

    @cached_property
    def server_info(self) -> ServerInfo:
        """What the server tells of itself."""
        from .server_info import ServerInfo

        return ServerInfo(self._server)

    def monitor(self) -> Monitor:
        """What reads the commands that the server runs."""
        from .monitor import Monitor

        return Monitor(self._server)

    async def repair(self, what: Sequence[Repairable]) -> list[bool]:
        """Put right what is derived; see `repairs.repair`."""
        from .repairs import repair

        return await repair(self._server, what)

    def describe_error(self, info: KeyInfo, name: str) -> str | None:
        """Why a key cannot be read as a string, in words; None where it can."""
        return str(self._server.translate(info.error, name)) if info.error is not None else None
