"""Open the keys of agents, which are kept beside the archive."""

from __future__ import annotations

from ..archive.base import Archive
from .api_keys import KeyStore


def open_key_store(archive: Archive) -> KeyStore:
    """The keys of agents that are kept beside an archive."""
    from ..archive.sqlite.archive import SqliteArchive

    if isinstance(archive, SqliteArchive):
        from .sqlite import SqliteKeyStore

        return SqliteKeyStore(archive)

    from ..archive.mongo.archive import MongoArchive
    from .mongo import MongoKeyStore

    if isinstance(archive, MongoArchive):
        return MongoKeyStore(archive)
    raise TypeError(f"keys cannot be kept beside a {type(archive).__name__}")
