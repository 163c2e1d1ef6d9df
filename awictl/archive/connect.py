"""The archive that the settings name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from ..settings import Settings
from ..store.embedded import embedded_server
from ..util.urls import without_credentials
from .base import Archive
from .keyring import Keyring

#: The archive of the embedded server, in its folder.
EMBEDDED_FILE = "archive.db"


def open_keyring(archive: Archive) -> Keyring:
    """The keys of agents that are kept beside an archive."""
    from .sqlite import SqliteArchive

    if isinstance(archive, SqliteArchive):
        from .sqlite_keyring import SqliteKeyring

        return SqliteKeyring(archive)

    from .mongo import MongoArchive
    from .mongo_keyring import MongoKeyring

    if isinstance(archive, MongoArchive):
        return MongoKeyring(archive)
    raise TypeError(f"keys cannot be kept beside a {type(archive).__name__}")


def open_archive(settings: Settings) -> Archive | None:
    """The archive that the settings name; None where they name none. Nothing is sent, and no file made, yet."""
    url = settings.archive
    if url is None and not settings.embedded:
        return None
    if url is None or url.startswith("sqlite:"):
        from .sqlite import SqliteArchive

        # after three slashes a path is relative, after four it is not
        path = (
            Path(unquote(url.removeprefix("sqlite:///"))) if url else embedded_server(settings).folder / EMBEDDED_FILE
        )
        return SqliteArchive(path.absolute(), settings.timeout)

    from .mongo import MongoArchive

    return MongoArchive.open(url, without_credentials(url), settings)
