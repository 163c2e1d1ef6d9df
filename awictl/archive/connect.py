"""Open the archive that the settings name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from ..errors import Refused
from ..settings import Settings
from ..store.embedded import embedded_server
from ..util.urls import without_credentials
from .base import Archive

#: Name of the embedded server's archive, in the folder of its data.
EMBEDDED_FILE = "archive.db"


def open_archive(settings: Settings) -> Archive | None:
    """Return the archive that the settings name, or None. It connects, or creates its file, when it is first used."""
    url = settings.archive
    if url is None and not settings.embedded:
        return None
    if url is None or url.startswith("sqlite:"):
        from .sqlite.archive import SqliteArchive

        # as in SQLAlchemy: three slashes before a relative path, four before an absolute one
        path = (
            Path(unquote(url.removeprefix("sqlite:///"))) if url else embedded_server(settings).folder / EMBEDDED_FILE
        )
        return SqliteArchive(
            path.absolute(), settings.timeout, named=url is not None, max_bytes=settings.max_document_bytes
        )

    from .mongo.archive import MongoArchive

    return MongoArchive.open(url, without_credentials(url), settings)


def required(archive: Archive | None, otherwise: str = "") -> Archive:
    """Return the archive. Raises Refused if there is none; `otherwise` is appended to the message as an alternative."""
    if archive is None:
        raise Refused(
            "no archive is configured, so nothing was done: set MONGODB_URI or AWI_ARCHIVE_URL, or give "
            f"--archive URL (mongodb://HOST/DATABASE or sqlite:///FILE){otherwise}"
        )
    return archive
