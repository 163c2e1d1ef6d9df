"""The app's audit log and security events: read newest first; only the resolution of an event is written.

No documents of `agentauditlogs` and `agentsecurityevents` were recorded, so the names of fields below are assumptions
in the style of the app's other collections. Where several names are common, each is accepted, and a document without
any of them is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import NetworkTimeout

from ..archive.base import Archive
from ..archive.mongo.archive import MongoArchive
from ..archive.mongo.values import possible_ids, to_json
from ..archive.values import truncate_to_milliseconds
from ..document.json_codec import encodable
from ..document.timestamps import timestamp
from ..errors import InvalidInput, NotFound, Refused, Unreachable
from ..settings import Settings
from ..store.mongo.connection import Document, MongoConnection
from ..store.mongo.errors import translate_errors
from .secret import masked

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.cursor import AsyncCursor

AUDIT_COLLECTION = "agentauditlogs"
EVENTS_COLLECTION = "agentsecurityevents"
#: Names of the fields that identify an agent, by id, and that hold a time.
AGENT_FIELDS = ("agentId", "agent", "agentKeyId", "apiKeyId")
TIME_FIELDS = ("timestamp", "createdAt")
#: Values of `status` in entries about something that failed.
_FAILED = ["failed", "failure", "error", "denied", "blocked", "rejected"]
#: Documents per request.
_BATCH = 200
#: A document was inserted at most this long before the time in it; then its id leads to it faster than its time.
_EARLIER = timedelta(days=1)
#: Between these times, a time minus `_EARLIER` fits into an ObjectId, which has 32 bits for it.
_FIRST_IN_ID, _LAST_IN_ID = datetime(1970, 1, 2, tzinfo=UTC), datetime(2106, 1, 1, tzinfo=UTC)
#: Maximum length of a note, in characters.
MAX_NOTE = 2_000


@dataclass(frozen=True)
class AuditQuery:
    """Which entries or events to read; None, False or empty: all."""

    agent_id: str | None = None
    #: For documents that have the name of the agent only.
    agent_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    operation: str | None = None
    failed: bool = False
    severities: Sequence[str] = ()
    unresolved: bool = False

    def filter(self) -> Document:
        """Return the filter for MongoDB."""
        conditions: list[Document] = []
        if self.agent_id is not None:
            ids = {"$in": possible_ids(self.agent_id)}
            agents: list[Document] = [{name: ids} for name in AGENT_FIELDS]
            if self.agent_name is not None:
                agents.append({"agentName": self.agent_name} | dict.fromkeys(AGENT_FIELDS))
            conditions.append({"$or": agents})
        if self.since is not None and _FIRST_IN_ID <= self.since < _LAST_IN_ID:
            conditions.append({"_id": {"$not": {"$lt": ObjectId.from_datetime(self.since - _EARLIER)}}})
        if self.since is not None or self.until is not None:
            conditions.append({"$or": _times(self.since, self.until)})
        if self.operation is not None:
            conditions.append({"$or": [{"operation": self.operation}, {"action": self.operation}]})
        if self.failed:
            statuses = [{"status": {"$in": _FAILED}}, {"status": {"$gte": 400}}, {"statusCode": {"$gte": 400}}]
            conditions.append({"$or": [{"success": False}, *statuses]})
        if self.severities:
            conditions.append(
                {"severity": {"$in": [re.compile(f"^{re.escape(one)}$", re.I) for one in self.severities]}}
            )
        if self.unresolved:
            conditions.append({"resolved": {"$ne": True}})
        return {"$and": conditions} if conditions else {}


class AuditLog:
    """The audit log and the security events in the app's database. Raises the errors of `awictl.errors`."""

    def __init__(self, connection: MongoConnection, settings: Settings) -> None:
        #: The location for messages, without credentials.
        self.where = connection.where
        self._connection = connection
        self._settings = settings

    def entries(self, query: AuditQuery, limit: int) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield at most `limit` entries of the audit log as JSON objects, the newest first, in batches."""
        return self._read(self._connection.collection(AUDIT_COLLECTION), query, limit)

    def events(self, query: AuditQuery, limit: int) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield at most `limit` security events as JSON objects, the newest first, in batches."""
        return self._read(self._connection.collection(EVENTS_COLLECTION), query, limit)

    async def event(self, event_id: str) -> dict[str, Any]:
        """Return a security event as a JSON object. Raises NotFound."""
        return _shown(await self._event(event_id))

    async def resolve(self, event_id: str, note: str | None = None) -> tuple[dict[str, Any], bool]:
        """Mark a security event as resolved now. Returns it as a JSON object, and whether anything was written.

        Sets `resolved` and `resolvedAt`, and adds the note to `notes`; nothing else, and nothing at all if the event is
        resolved already. Raises NotFound, InvalidInput; ReadOnly if writing is disabled; Refused if there is a note,
        and `notes` is not text.
        """
        self._settings.check_writable()
        if note is not None and (not 0 < len(note) <= MAX_NOTE or note != encodable(note)):
            raise InvalidInput(f"a note must have 1 to {MAX_NOTE:,} characters")
        found = await self._event(event_id)
        if found.get("resolved") is True:
            return _shown(found), False
        fields: Document = {"resolved": True, "resolvedAt": truncate_to_milliseconds(datetime.now(UTC))}
        unchanged: Document = {"_id": found["_id"], "resolved": {"$ne": True}}
        if note is not None:
            earlier = found.get("notes")
            if earlier is not None and not isinstance(earlier, str):
                raise Refused(f"{self.where}: the notes of event {event_id} are not text; resolve it without a note")
            fields["notes"] = f"{earlier}\n{note}" if earlier else note
            unchanged["notes"] = earlier
        with translate_errors(self.where):
            done = await self._connection.collection(EVENTS_COLLECTION).update_one(unchanged, {"$set": fields})
        if not done.matched_count:
            raise Refused(f"{self.where}: event {event_id} was changed at the same time; try again")
        return _shown(found | fields), True

    async def _event(self, event_id: str) -> Document:
        with translate_errors(self.where):
            await self._connection.check_reachable()
            found = await self._connection.collection(EVENTS_COLLECTION).find_one(
                {"_id": {"$in": possible_ids(event_id)}}
            )
        if found is None:
            raise NotFound(f"{self.where} has no security event {event_id!r:.80}; `awictl agent events` lists them")
        return found

    async def _read(
        self, collection: AsyncCollection[Document], query: AuditQuery, limit: int
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        with translate_errors(self.where):
            await self._connection.check_reachable()
            # by _id, which is in the order of insertion: an index on the time need not exist
            found = collection.find(query.filter()).sort("_id", DESCENDING).limit(limit).batch_size(_BATCH)
            async with found as cursor:
                while batch := await self._next(cursor):
                    yield [_shown(one) for one in batch]

    async def _next(self, cursor: AsyncCursor[Document]) -> list[Document]:
        try:
            return await cursor.to_list(_BATCH)
        except NetworkTimeout as error:  # the server was reachable before
            raise Unreachable(
                f"{self.where} did not answer in time: the app's collection may have no index for this search, which "
                "then reads all of it; narrow it with --since, or raise --timeout"
            ) from error


def open_audit_log(archive: Archive, settings: Settings) -> AuditLog:
    """Return the app's audit log, which is in the database of the archive. Raises Refused if that is an SQLite file."""
    if not isinstance(archive, MongoArchive):
        raise Refused(
            f"the audit log and the security events of the app are in its MongoDB, and the archive is {archive.where}; "
            "set MONGODB_URI, or pass --mongo"
        )
    return AuditLog(archive.connection, settings)


def _shown(found: Document) -> dict[str, Any]:
    """Convert a document to JSON, without the secrets of API keys that may be in its texts."""
    shown: dict[str, Any] = masked(to_json(found))
    return shown


def _times(since: datetime | None, until: datetime | None) -> list[Document]:
    """Filters for documents of a time span; times may be dates, or text as JavaScript prints it."""
    found: list[Document] = []
    for convert in (lambda moment: moment, timestamp):
        bounds = {"$gte": since, "$lte": until}
        span = {operator: convert(moment) for operator, moment in bounds.items() if moment is not None}
        first, *others = TIME_FIELDS
        found.append({first: span})
        found += [{name: span, first: None} for name in others]
    return found
