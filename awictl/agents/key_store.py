"""Where API keys are stored: the interface of a key store, and the one beside an archive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ..archive.base import Archive
from .api_keys import AgentKey
from .records import AgentRecord
from .suspension import Suspension
from .usage import Use


class KeyStore(Protocol):
    """Stores API keys by the digest of their secret. Every method raises the errors of `awictl.errors`."""

    #: The location for messages, without credentials.
    where: str

    async def add(self, key: AgentKey, digest: str) -> None:
        """Store a new key. digest: the SHA-256 of its secret, in hex.

        With a provisional key, the provisional keys of awictl that have expired when it is created are deleted.
        """

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        """Return the key with this secret, in any state; None if there is none.

        Keys of awictl are found by the digest, keys of the app by the secret itself, which the app stores.
        """

    async def all(self) -> list[AgentKey]:
        """Return all keys, the newest first, those of the app included."""

    async def named(self, agents: Sequence[str]) -> list[AgentKey]:
        """Return the keys of agents with these ids or else names, the newest first, those of the app included.

        For an agent with such an id, others that have it as their name may be left out.
        """

    async def usable(self, keys: Sequence[AgentKey], now: datetime) -> set[str]:
        """Return the ids of those keys that are neither revoked nor suspended at `now`, whatever else they are."""

    async def suspend(self, key: AgentKey, suspension: Suspension) -> None:
        """Suspend a key. Raises NotFound if it does not exist any more. No other field of it changes."""

    async def resume(self, key: AgentKey) -> None:
        """Remove the suspension of a key. Raises NotFound if it does not exist any more."""

    async def revoke(self, key: AgentKey) -> None:
        """Revoke a key. Raises NotFound if it does not exist any more."""

    async def records(self, key: AgentKey | None = None) -> list[AgentRecord]:
        """Return all that is stored about all agents, the newest first, or about the one with a key, if it exists."""

    async def add_usage(self, uses: Sequence[Use]) -> None:
        """Add counts of requests to those that are stored. Nothing is written to the keys of the app."""

    async def confirm(self, agent_id: str, now: datetime) -> bool:
        """Remove the expiry of a provisional key of awictl, unless it is over at `now`. Returns whether that was done.

        The key is no longer provisional then.
        """


def open_key_store(archive: Archive) -> KeyStore:
    """Return the key store in the database or file of an archive."""
    from ..archive.sqlite.archive import SqliteArchive

    if isinstance(archive, SqliteArchive):
        from .sqlite import SqliteKeyStore

        return SqliteKeyStore(archive.file)

    from ..archive.mongo.archive import MongoArchive
    from .mongo import MongoKeyStore

    if isinstance(archive, MongoArchive):
        return MongoKeyStore(archive.connection)
    raise TypeError(f"API keys cannot be stored beside a {type(archive).__name__}")
