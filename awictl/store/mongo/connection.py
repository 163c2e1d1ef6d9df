"""The connection to the archive's database, with the options that all of its reads and writes share."""

from __future__ import annotations

import time
import warnings
from datetime import UTC
from typing import Any

import pymongo
from bson import CodecOptions
from bson.codec_options import DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from ...errors import AwiError
from ...settings import Settings
from .errors import invalid_url, translate_errors

#: The database if the URL names none: the default of mongoose, and so of the app.
DEFAULT_DATABASE = "test"
#: Maximum seconds to wait for a connection. `session end` exits within five seconds if MongoDB is down: the rest
#: of them is for starting the interpreter, also on a slow machine, and for Redis.
CONNECT_SECONDS = 2.0
#: Seconds that archiving a batch may take, as a share of the timeout, and for a timeout below `USUAL_TIMEOUT`.
#: `session end` exits within five seconds if the writes of MongoDB hang, too.
PATIENCE_SHARE = 0.7
USUAL_TIMEOUT = 5.0
#: Seconds for which an error of a connection attempt is raised again, without another attempt.
UNREACHABLE_SECONDS = 1.0
#: Minimum timeout, in seconds, for a reply of a connected server, and for the confirmation by a majority.
WRITE_SECONDS = 30.0

Document = dict[str, Any]


class MongoConnection:
    """A client of one MongoDB database. Writes want a majority and the journal; reads are from the primary."""

    def __init__(self, client: AsyncMongoClient[Document], where: str, timeout: float) -> None:
        self._client = client
        #: The URL without credentials, for messages.
        self.where = where
        #: Seconds after which an attempt to connect fails.
        self.connect_timeout = min(timeout, CONNECT_SECONDS)
        #: See `Archive.patience`.
        self.patience = max(timeout, USUAL_TIMEOUT) * PATIENCE_SHARE
        self._options: dict[str, Any] = {
            "codec_options": CodecOptions(
                tz_aware=True,
                tzinfo=UTC,
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,  # JavaScript's dates go beyond the year 9999
                unicode_decode_error_handler="replace",  # damaged text must not keep others from being read
            ),
            "write_concern": WriteConcern("majority", j=True, wtimeout=int(max(timeout, WRITE_SECONDS) * 1000)),
            "read_concern": ReadConcern("majority"),
            "read_preference": ReadPreference.PRIMARY,
        }
        #: Until when the last connection error is raised again (by the monotonic clock), and that error.
        self._unreachable: tuple[float, PyMongoError | AwiError | None] = (0.0, None)

    @classmethod
    def open(cls, url: str, where: str, settings: Settings) -> MongoConnection:
        """Create a client for a URL, without connecting yet. Raises InvalidInput if the URL is malformed."""
        connect_ms = int(min(settings.timeout, CONNECT_SECONDS) * 1000)
        with translate_errors(where):
            try:
                with warnings.catch_warnings():  # the URL may have parameters that only the app's driver knows
                    warnings.simplefilter("ignore")
                    client: AsyncMongoClient[Document] = AsyncMongoClient(
                        url,
                        appname="awictl",
                        serverSelectionTimeoutMS=connect_ms,
                        connectTimeoutMS=connect_ms,
                        socketTimeoutMS=int(max(settings.timeout, WRITE_SECONDS) * 1000),
                    )
            except (ValueError, TypeError, OSError):  # pymongo raises these for some malformed URLs
                raise invalid_url(where) from None
            return cls(client, where, settings.timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return a collection of the database, with the options of this connection."""
        return self._client.get_default_database(DEFAULT_DATABASE).get_collection(name, **self._options)

    async def command(self, name: str) -> dict[str, Any]:
        """The reply to a command without arguments, such as `hello`. Its dates have a time zone."""
        return dict(await self._client.admin.command(name, codec_options=self._options["codec_options"]))

    async def ping(self) -> dict[str, Any]:
        """Measure the latency of the server. Returns `latency_ms` and `version`."""
        with translate_errors(self.where), pymongo.timeout(self.connect_timeout):
            started = time.perf_counter()
            await self._client.admin.command("ping")
            latency = time.perf_counter() - started
            return {"latency_ms": round(latency * 1000, 3), "version": (await self._client.server_info())["version"]}

    async def check_reachable(self) -> None:
        """Raise an error soon if the server does not answer; the timeout of other requests is much longer.

        An error is raised again for `UNREACHABLE_SECONDS`, so that a command for many sessions waits for it once.
        """
        until, last_error = self._unreachable
        if last_error is not None and time.monotonic() < until:
            raise last_error
        try:
            with pymongo.timeout(self.connect_timeout):
                await self._client.admin.command("ping")
        except PyMongoError as error:
            self.suspend(error)
            raise

    def suspend(self, error: PyMongoError | AwiError) -> None:
        """Let `check_reachable` raise this error for `UNREACHABLE_SECONDS`."""
        self._unreachable = (time.monotonic() + UNREACHABLE_SECONDS, error)
