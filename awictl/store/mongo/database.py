"""The collections of live sessions in one MongoDB database, their indexes, and how requests to them fail.

`<prefix>_sessions` has one document per session:

    _id, agent_id     the session's id, and its agent's
    revision          changes with every write of the session's string, and never repeats
    head, lines, parts, count, length     the string, see `documents.py`
    following         the first bytes after the head, which an update needs
    inline, inline_bytes, op_ids          number and size of `lines`, and the op_ids in them
    expires_at        null if it does not expire
    parts_until       its parts last a day longer than this, at least; FOREVER if it has none, or they never expire
    diff, diff_expires_at                 the last delta
    taken             true while the session is being ended: then its agent does not find it

Other fields are left as they are. `<prefix>_parts` has older parts of the strings, `<prefix>_agents` the session of
each agent, `<prefix>_strings` caches and media, `<prefix>_counters` the requests that rate limits count. The TTL index
of each collection deletes what has expired, at some time; so every read checks the expiry, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pymongo
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from ...errors import Unconfirmed
from ..errors import ReplyLost
from .clock import ServerClock
from .connection import Document, MongoConnection
from .errors import translate, translate_errors

log = logging.getLogger("awictl")

#: Prefix of the collections of the live store.
LIVE = "awi_live"

_EXPIRY = IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)
_BY_SESSION = IndexModel([("session", ASCENDING)])
_BY_AGENT = IndexModel([("agent_id", ASCENDING)])
_TAKEN = IndexModel([("taken", ASCENDING)], partialFilterExpression={"taken": True})


class LiveDatabase:
    """The collections with one prefix. `timeout`: seconds that a request may take."""

    def __init__(self, connection: MongoConnection, prefix: str, timeout: float) -> None:
        self.connection = connection
        self.prefix = prefix
        #: The URL without credentials, for messages.
        self.where = connection.where
        self.timeout = timeout
        self.clock = ServerClock(self._server_time)
        self.sessions: AsyncCollection[Document] = connection.collection(f"{prefix}_sessions")
        self.parts: AsyncCollection[Document] = connection.collection(f"{prefix}_parts")
        self.agents: AsyncCollection[Document] = connection.collection(f"{prefix}_agents")
        self.strings: AsyncCollection[Document] = connection.collection(f"{prefix}_strings")
        self.counters: AsyncCollection[Document] = connection.collection(f"{prefix}_counters")
        self._prepared = False
        self._preparing = asyncio.Lock()

    @property
    def indexes(self) -> list[tuple[AsyncCollection[Document], list[IndexModel]]]:
        """The indexes of each collection."""
        return [
            (self.sessions, [_EXPIRY, _BY_AGENT, _TAKEN]),
            (self.parts, [_EXPIRY, _BY_SESSION]),
            (self.agents, [_EXPIRY]),
            (self.strings, [_EXPIRY]),
            (self.counters, [_EXPIRY]),
        ]

    @contextmanager
    def request(self) -> Iterator[None]:
        """Limit how long the requests in the block take together, and translate their errors."""
        with translate_errors(self.where), pymongo.timeout(self.timeout):
            yield

    @contextmanager
    def write_once(self, done: str, retry: str, op_id: str = "") -> Iterator[None]:
        """Like `request`, for a write that must not be executed twice.

        Raises ReplyLost if it may have been executed, and Unconfirmed if it was, but a majority did not acknowledge it:
        `done` says what was done, and `retry` how to repeat it. Raises Unreachable if it was not sent.
        """
        try:
            with pymongo.timeout(self.timeout):
                yield
        except (WTimeoutError, WriteConcernError) as error:
            raise Unconfirmed(
                f"{self.where}: {done}, but a majority of the servers did not confirm it in time, so a failover may "
                f"lose it; {retry}",
                op_id=op_id,
                acknowledged=0,
                wanted=1,
            ) from error
        except PyMongoError as error:
            translated = translate(error, self.where)
            raise (ReplyLost(str(translated)) if _may_be_executed(error) else translated) from error

    async def now(self) -> datetime:
        """The server's time. Usually no request."""
        return await self.clock.now()

    async def _server_time(self) -> datetime:
        with self.request():
            found = (await self.connection.command("hello")).get("localTime")
        # all supported servers send it; the local time is the best guess for one that does not
        return found if isinstance(found, datetime) else datetime.now(UTC)

    async def prepare(self) -> None:
        """Create the indexes, once per process. Without them, what has expired is not deleted, but not read either."""
        if not self._prepared:
            async with self._preparing:  # many tasks may begin at once
                if not self._prepared:
                    await self._create_indexes()
                    self._prepared = True

    async def _create_indexes(self) -> None:
        with self.request():
            outcomes = await asyncio.gather(
                *(collection.create_indexes(wanted) for collection, wanted in self.indexes), return_exceptions=True
            )
        for outcome in outcomes:
            if isinstance(outcome, OperationFailure) and not outcome.timeout:
                log.warning("%s: an index of live sessions cannot be created: %s", self.where, _message(outcome))
            elif isinstance(outcome, PyMongoError):
                raise translate(outcome, self.where) from outcome
            elif isinstance(outcome, BaseException):
                raise outcome

    async def missing_indexes(self) -> list[str]:
        """The indexes that do not exist, as COLLECTION (FIELD)."""
        missing = []
        with self.request():
            for collection, wanted in self.indexes:
                existing = [list(index["key"]) async for index in await collection.list_indexes()]
                fields = [next(iter(index.document["key"])) for index in wanted]
                missing += [f"{collection.name} ({field})" for field in fields if [field] not in existing]
        return missing


def _message(error: OperationFailure) -> str:
    return str((error.details or {}).get("errmsg", error))


def _may_be_executed(error: PyMongoError) -> bool:
    """Whether the server may have executed the request that failed with this error."""
    if isinstance(error, (ServerSelectionTimeoutError, WaitQueueTimeoutError)):
        return False
    if isinstance(error.__cause__, ConnectionRefusedError):
        return False
    return isinstance(error, ConnectionFailure) or error.timeout
