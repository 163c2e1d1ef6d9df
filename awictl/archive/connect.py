"""The archive that the settings name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from ..errors import Refused
from ..settings import Settings
from ..store.embedded import embedded_server
from ..util.urls import without_credentials
from .base import Archive

#: The archive of the embedded server, in its folder.
EMBEDDED_FILE = "archive.db"


def open_archive(settings: Settings) -> Archive | None:
    """The archive that the settings name; None where they name none. Nothing is sent, and no file made, yet."""
    url = settings.archive
    if url is None and not settings.embedded:
        return None
    if url is None or url.startswith("sqlite:"):
        from .sqlite.archive import SqliteArchive

        # after three slashes a path is relative, after four it is not
        path = (
            Path(unquote(url.removeprefix("sqlite:///"))) if url else embedded_server(settings).folder / EMBEDDED_FILE
        )
        return SqliteArchive(path.absolute(), settings.timeout)

    from .mongo.archive import MongoArchive

    return MongoArchive.open(url, without_credentials(url), settings)


def required(archive: Archive | None, otherwise: str = "") -> Archive:
    """The archive. Raises Refused if there is none; `otherwise` completes the message with an alternative."""
    if archive is None:
        raise Refused(
            "no archive is configured, so nothing was done: set MONGODB_URI or AWI_ARCHIVE_URL, or give "
            f"--archive URL (mongodb://HOST/DATABASE or sqlite:///FILE){otherwise}"
        )
    return archive
