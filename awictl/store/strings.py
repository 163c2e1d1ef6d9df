"""Plain string keys with a TTL, for caches and media: the interface. `redis/strings.py` implements it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..errors import AwiError
    from .keyspace import KeyInfo, Keyspace


class KeyVersion(NamedTuple):
    """What changes if a key is written to, or its TTL is set."""

    #: SHA-1 of its value in hex; empty if it is not a string.
    digest: str
    #: When it expires, in milliseconds since 1970; negative if it has no TTL.
    expires_at: int


class StringStore(Protocol):
    """The string keys of one server. Methods raise Unreachable, AccessDenied, InvalidData, TooLarge."""

    #: The server's address for messages, without secrets.
    where: str

    @property
    def keyspace(self) -> Keyspace:
        """All keys of the server, of any kind."""

    async def close(self) -> None:
        """Close all connections. Only for strings on a server of their own; others share those of their store."""

    async def get(self, key: str) -> bytes | None:
        """The value of a key; None if it does not exist. Raises TooLarge if it exceeds the limit. One round trip."""

    async def get_many(self, names: Sequence[str]) -> dict[str, bytes | AwiError]:
        """The values of these keys, or why one could not be read. Missing keys are left out."""

    async def put(self, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()) -> None:
        """Store strings with a TTL of `ttl_ms` milliseconds. Idempotent.

        `also`: keys whose TTL is set too, if they exist; their values stay.
        """

    async def compare_and_set(
        self, name: str, expected: bytes | None, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()
    ) -> bool:
        """Like `put`, if the key `name`, which `strings` must contain, still has a value. Returns whether it had.

        `expected`: that value; None: the key must not exist. Not retried after a lost reply.
        """

    async def delete(self, names: Sequence[str]) -> list[bool]:
        """Delete keys. Returns for each whether it existed."""

    async def versions(self, names: Sequence[str]) -> dict[str, KeyVersion]:
        """The current versions of keys, for `delete_unchanged`."""

    async def delete_unchanged(self, versions: Mapping[str, KeyVersion]) -> dict[str, bool]:
        """Delete keys that are still in these versions. Idempotent.

        Returns for each whether it is gone: it was deleted now, or before. Otherwise it was written to, or its TTL was
        set.
        """

    async def key_info(self, names: Sequence[str], size: int = 0) -> list[KeyInfo | None]:
        """TTL, length and the first `size` bytes of each key; None if a key does not exist."""

    def scan(self, prefix: str, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The names of all keys with a prefix, without the prefix, each once, in batches.

        `rate`: maximum number of keys to scan per second. Names that are not UTF-8 are left out.
        """
