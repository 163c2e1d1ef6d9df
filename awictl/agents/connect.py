"""Open the keys of agents, which are kept beside the archive."""

from __future__ import annotations

from ..archive.base import Archive
from .api_keys import Keyring


def open_keyring(archive: Archive) -> Keyring:
    """The keys of agents that are kept beside an archive."""
    from ..archive.sqlite.archive import SqliteArchive

    if isinstance(archive, SqliteArchive):
        from .sqlite import SqliteKeyring

        return SqliteKeyring(archive)

    from ..archive.mongo.archive import MongoArchive
    from .mongo import MongoKeyring

    if isinstance(archive, MongoArchive):
        return MongoKeyring(archive)
    raise TypeError(f"keys cannot be kept beside a {type(archive).__name__}")
