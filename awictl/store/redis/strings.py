"""Plain strings with an expiry, under one prefix: what caches and media are kept as."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from ...errors import AwiError
from ...settings import Settings
from ...util.fingerprint_set import FingerprintSet
from ...util.prefetch import prefetch
from . import keyspace
from .connection import Argument, Script, Server, connect
from .keyspace import KeyInfo, groups

_COMPARE_AND_SET = Script("compare_and_set")

#: Characters that have a meaning in the patterns of SCAN.
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "*?[]\\^"})


class Strings:
    """The strings of one server. Raises Unreachable, AccessDenied, InvalidData, TooLarge …"""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._max_bytes = settings.max_document_bytes
        self.where = server.where
        self.keyspace = keyspace.Keyspace(server)

    @classmethod
    def open(cls, settings: Settings) -> Strings:
        """Those of the server that the settings name. Nothing is sent until the first request."""
        return cls(connect(settings), settings)

    async def close(self) -> None:
        """Close all connections, unless they belong to somebody else."""
        await self._server.close()

    async def get(self, key: str) -> bytes | None:
        """A string; None where there is none. At most as large as a document may be. One round trip."""
        raw, length, there = await self._server.execute_idempotent(
            ("GETRANGE", key, 0, self._max_bytes - 1), ("STRLEN", key), ("EXISTS", key)
        )
        raw = self._server.checked(raw, key)
        self._server.check_size(key, self._server.checked(length, key), self._max_bytes)
        return raw if raw or self._server.checked(there, key) else None

    async def get_many(self, names: Sequence[str]) -> dict[str, bytes | AwiError]:
        """Those of these strings that are there, or why one cannot be read. Sizes are looked at first."""
        found: dict[str, bytes | AwiError] = {}
        sizes: dict[str, int] = {}
        for name, info in zip(names, await self.key_info(names), strict=True):
            if info is None:
                continue
            if info.error is not None:
                found[name] = self._server.translate(info.error, name)
                continue
            try:
                self._server.check_size(name, info.length, self._max_bytes)
            except AwiError as error:
                found[name] = error
            else:
                sizes[name] = info.length
        for group in groups(sizes):
            replies = await self._server.execute_idempotent(
                *(("GETRANGE", name, 0, self._max_bytes - 1) for name in group)
            )
            for name, raw in zip(group, replies, strict=True):
                if isinstance(raw, Exception):
                    found[name] = self._server.translate(raw, name)
                elif raw:  # else it is gone by now
                    found[name] = raw
        return found

    async def put(self, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()) -> None:
        """Store these strings, which expire in `ttl_ms` milliseconds. One round trip; safe to repeat.

        `also`: strings that are to expire then too, where they are there, and stay as they are.
        """
        stores = [("SET", name, raw, "PX", ttl_ms) for name, raw in strings.items()]
        replies = await self._server.execute_idempotent(*stores, *(("PEXPIRE", name, ttl_ms) for name in also))
        for name, reply in zip((*strings, *also), replies, strict=True):
            self._server.checked(reply, name)

    async def replace(
        self, base: tuple[str, bytes | None], strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()
    ) -> bool:
        """Like `put`, if the string that `base` names still is what it says (None: not there); returns whether it was.

        Safe to repeat: once done, it is not done again.
        """
        name, expected = base
        names = [name, *(one for one in strings if one != name)]
        values = [strings[one] for one in names]
        arguments: list[Argument] = [ttl_ms, len(names), expected or b"", int(expected is not None), *values]
        [reply] = await self._server.run(_COMPARE_AND_SET, ([*names, *also], arguments))
        return bool(self._server.checked(reply, name))

    async def delete(self, names: Sequence[str]) -> list[bool]:
        """Delete strings; for each, whether it was there. One round trip."""
        replies = await self._server.execute(*(("DEL", name) for name in names))
        return [bool(self._server.checked(reply, name)) for name, reply in zip(names, replies, strict=True)]

    async def key_info(self, names: Sequence[str], size: int = 0) -> list[KeyInfo | None]:
        """Length, expiry and the first `size` bytes of each; None where it is gone. One round trip."""
        return await keyspace.key_info(self._server, names, size)

    async def scan(self, prefix: str, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """What follows the prefix in the names of all keys that begin with it, each once, in batches.

        `rate`: how many keys the server visits in a second at the most. Names that are not UTF-8 are left out.
        """
        seen = FingerprintSet()
        pattern = prefix.translate(_SPECIAL) + "*"
        async with aclosing(prefetch(keyspace.scan(self._server, pattern, rate))) as batches:
            async for names in batches:
                texts = [text for name in names if (text := _decoded(name)) is not None]
                if fresh := seen.add_new(text.removeprefix(prefix) for text in texts):
                    yield fresh


def _decoded(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None
