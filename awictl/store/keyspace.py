"""All keys of a server, of any kind: the interface. `redis/keyspace.py` implements it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from .redis.monitor import Monitor
    from .redis.repairs import Repairable
    from .redis.server_info import ServerInfo

#: Number of keys per request, for callers that examine many.
BATCH_KEYS = 500

#: Called with the number of keys of each step of a scan.
StepCallback = Callable[[int], None]


class KeyInfo(NamedTuple):
    """TTL, length and first bytes of a string key."""

    #: Milliseconds until the key expires; None if it has no TTL.
    ttl_ms: int | None
    #: Length of the string in bytes.
    length: int
    #: The first bytes of the string, as many as were requested.
    start: bytes
    #: The server's error if the key is not a string or the user has no permission to read it; None otherwise.
    error: Exception | None = None

    @property
    def forbidden(self) -> bool:
        """Whether the user has no permission to read the key. Then its TTL and length are unknown too."""
        return getattr(self.error, "code", None) == "NOPERM"


class Keyspace(Protocol):
    """The keys of one server or deployment, of any kind. Raises Unreachable, AccessDenied."""

    #: The server's address for messages, without secrets.
    where: str

    async def size(self) -> int | None:
        """Number of keys; None if not available."""

    def scan(
        self, pattern: str | None = None, rate: float | None = None, on_step: StepCallback = lambda _: None
    ) -> AsyncGenerator[list[bytes], None]:
        """The names of all keys, or of those that match a pattern, in batches. A key may be returned twice.

        `rate`: maximum number of keys per second; None: not paced.
        """

    async def key_info(self, names: Sequence[bytes], size: int = 0) -> list[KeyInfo | None]:
        """TTL, length and the first `size` bytes of each key; None if a key does not exist."""

    async def last_bytes(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The last byte of each key; None if the key is empty, does not exist, or cannot be read."""

    async def memory(self, names: Sequence[bytes]) -> list[int | None]:
        """Memory that each key takes, in bytes; None if not available."""

    @property
    def server_info(self) -> ServerInfo | None:
        """Queries about the Redis server itself; None if it is another kind of server."""

    def monitor(self) -> Monitor:
        """A reader of the commands that the server executes. Raises Refused if it cannot report them."""

    async def repair(self, faults: Sequence[Repairable]) -> list[bool]:
        """Repair derived keys; returns for each whether it was repaired."""

    def describe_error(self, info: KeyInfo, name: str) -> str | None:
        """Why a key cannot be read as a string; None if it can."""
