"""Plain string keys with a TTL, for caches and media."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from ...errors import AwiError
from ...settings import Settings
from ...util.batched import batched
from ...util.fingerprint_set import FingerprintSet
from ...util.prefetch import prefetch
from ..keyspace import KeyInfo
from ..strings import KeyVersion
from . import keyspace
from .keyspace import groups
from .server import Argument, Call, Script, Server, connect

#: Maximum number of keys that are deleted in one request (DESIGN, promise 9).
DELETE_BATCH = 1_000

_COMPARE_AND_SET = Script("compare_and_set")
_KEY_VERSIONS = Script("key_versions")
_DELETE_UNCHANGED = Script("delete_unchanged")

#: Characters with a special meaning in the patterns of SCAN.
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "*?[]\\^"})


class Strings:
    """The string keys of one server. Methods raise Unreachable, AccessDenied, InvalidData, TooLarge."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._max_bytes = settings.max_document_bytes
        self.where = server.where
        self.keyspace = keyspace.RedisKeyspace(server)

    @classmethod
    def open(cls, settings: Settings) -> Strings:
        """The strings of the server in the settings. Sends nothing before the first request."""
        return cls(connect(settings), settings)

    async def close(self) -> None:
        """Close all connections. Only for strings that `open` returned: others share the connections of their store."""
        await self._server.close()

    async def get(self, key: str) -> bytes | None:
        """The value of a key; None if it does not exist. Raises TooLarge if it exceeds the limit. One round trip."""
        raw, length, there = await self._server.execute_idempotent(
            ("GETRANGE", key, 0, self._max_bytes - 1), ("STRLEN", key), ("EXISTS", key)
        )
        raw = self._server.checked(raw, key)
        self._server.check_size(key, self._server.checked(length, key), self._max_bytes)
        return raw if raw or self._server.checked(there, key) else None

    async def get_many(self, names: Sequence[str]) -> dict[str, bytes | AwiError]:
        """The values of these keys, or why one could not be read. Missing keys are left out.

        Two round trips, or more if they are too large for one request together: sizes are checked first.
        """
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
                elif raw:  # otherwise it has expired since
                    found[name] = raw
        return found

    async def put(self, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()) -> None:
        """Store strings with a TTL of `ttl_ms` milliseconds. One round trip; idempotent.

        `also`: keys whose TTL is set too, if they exist; their values stay.
        """
        stores = [("SET", name, raw, "PX", ttl_ms) for name, raw in strings.items()]
        replies = await self._server.execute_idempotent(*stores, *(("PEXPIRE", name, ttl_ms) for name in also))
        for name, reply in zip((*strings, *also), replies, strict=True):
            self._server.checked(reply, name)

    async def compare_and_set(
        self, name: str, expected: bytes | None, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()
    ) -> bool:
        """Like `put`, if the key `name`, which `strings` must contain, still has a value. Returns whether it had.

        `expected`: that value; None: the key must not exist. Not retried after a lost reply.
        """
        names = [name, *(one for one in strings if one != name)]
        values = [strings[one] for one in names]
        arguments: list[Argument] = [ttl_ms, len(names), expected or b"", int(expected is not None), *values]
        [reply] = await self._server.run(_COMPARE_AND_SET, ([*names, *also], arguments))
        return bool(self._server.checked(reply, name))

    async def delete(self, names: Sequence[str]) -> list[bool]:
        """Delete keys. Returns for each whether it existed. One round trip for each `DELETE_BATCH` keys."""
        replies: list[Any] = []
        for some in batched(names, DELETE_BATCH):
            replies += await self._server.execute(*(("DEL", name) for name in some))
        return [bool(self._server.checked(reply, name)) for name, reply in zip(names, replies, strict=True)]

    async def versions(self, names: Sequence[str]) -> dict[str, KeyVersion]:
        """The current versions of keys, for `delete_unchanged`. One round trip for each `DELETE_BATCH` keys."""
        found: dict[str, KeyVersion] = {}
        for some in batched(names, DELETE_BATCH):
            reply = self._server.checked(await self._server.run_one(_KEY_VERSIONS, some, ()), some[0])
            for name, digest, expires_at in zip(some, reply[::2], reply[1::2], strict=True):
                found[name] = KeyVersion(digest.decode(), expires_at)
        return found

    async def delete_unchanged(self, versions: Mapping[str, KeyVersion]) -> dict[str, bool]:
        """Delete keys that are still in these versions. One round trip for each `DELETE_BATCH` keys; idempotent.

        Returns for each whether it is gone: it was deleted now, or before. Otherwise it was written to, or its TTL was
        set.
        """
        calls: list[Call] = [([name], [one.digest, one.expires_at]) for name, one in versions.items()]
        replies: list[Any] = []
        for some in batched(calls, DELETE_BATCH):
            replies += await self._server.run(_DELETE_UNCHANGED, *some, idempotent=True)
        return {name: self._server.checked(one, name) != 0 for name, one in zip(versions, replies, strict=True)}

    async def key_info(self, names: Sequence[str], size: int = 0) -> list[KeyInfo | None]:
        """TTL, length and the first `size` bytes of each key; None if a key does not exist. One round trip."""
        return await keyspace.key_info(self._server, names, size)

    async def scan(self, prefix: str, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The names of all keys with a prefix, without the prefix, each once, in batches.

        `rate`: maximum number of keys to scan per second. Names that are not UTF-8 are left out.
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
