"""Where API keys are stored: the interface of a key store, and the one beside an archive."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ..archive.base import Archive
from .api_keys import AgentKey


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

    async def revoke(self, agent_id: str) -> bool:
        """Revoke a key of awictl. Returns whether there is one with this id."""

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
