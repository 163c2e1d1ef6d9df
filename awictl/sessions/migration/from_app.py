"""The app's own live sessions in MongoDB, as sessions that awictl and the app can keep in Redis.

Before it used Redis, the app kept live sessions in its collection `agentsessions`. Their documents have fewer fields
than a session in Redis; what they lack is as in a new session. They are only read here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...archive.mongo.app_documents import session_document
from ...archive.mongo.collections import APP_SESSIONS
from ...archive.mongo.values import as_datetime
from ...document import keys
from ...document.byte_layout import encode
from ...document.merge import merge
from ...document.schema import APP_DOCUMENT_ID, as_object, as_text, new_document
from ...document.timestamps import EPOCH, optional_timestamp
from ...errors import AwiError, InvalidData
from ...store.mongo.errors import translate_errors
from ...store.mongo.sessions import MongoStore


class AppSession(NamedTuple):
    """One of the app's sessions, converted."""

    session_id: str
    agent_id: str
    raw: bytes
    #: Milliseconds until it expires.
    ttl_ms: int


class AppSessions:
    """The app's own active sessions in the database of a store.

    `usual_ttl_ms`: TTL in milliseconds of those that do not say when they expire.
    """

    def __init__(self, store: MongoStore, usual_ttl_ms: int) -> None:
        self._usual_ttl_ms = usual_ttl_ms
        self._store = store
        self._collection = store.database.connection.collection(APP_SESSIONS)
        self.where = f"{store.where}, {APP_SESSIONS}"

    async def active(self) -> list[tuple[Any, str]]:
        """The `_id` and the session id of each session that is active and has not expired, the latest used first.

        Two sessions of one agent are in that order, so that the later one becomes its current session.
        """
        now = await self._store.database.now()
        wanted: dict[str, Any] = {
            "sessionActive": True,
            "awi": {"$exists": False},
            "$or": [{"expiresAt": {"$gt": now}}, {"expiresAt": None}],
        }
        fields = {"sessionId": 1, "lastActivityAt": 1}
        with translate_errors(self._store.where):
            found = await self._collection.find(wanted, fields).to_list()
        found.sort(key=lambda one: (as_datetime(one.get("lastActivityAt")) or EPOCH).timestamp(), reverse=True)
        return [(one["_id"], str(one.get("sessionId"))) for one in found]

    async def load(self, document_id: Any) -> AppSession | None:
        """Convert a session; None if it is not active any more. Raises InvalidData."""
        with translate_errors(self._store.where):
            found = await self._collection.find_one({"_id": document_id, "sessionActive": True})
        if found is None:
            return None
        expires_at, now = as_datetime(found.get("expiresAt")), await self._store.database.now()
        left_ms = int((expires_at - now).total_seconds() * 1000) if expires_at is not None else self._usual_ttl_ms
        return converted(found, left_ms, self.where) if left_ms > 0 else None


def converted(found: dict[str, Any], ttl_ms: int, where: str) -> AppSession:
    """Convert a document of the app to a session. Raises InvalidData."""
    document = session_document(found)
    session_id = as_text(document.get("session_id")) or ""
    try:
        agent_id = keys.check_agent_id(document.get("agent_id", ""))
        keys.check_session_id(session_id)
    except AwiError as error:
        raise InvalidData(f"{where}: {session_id!a:.80} cannot be copied: {error}") from error
    started = optional_timestamp(as_datetime(found.get("sessionStartedAt"))) or ""
    # the other defaults of the app's schema, which `session_document` leaves out, are those of a new session
    route = as_text(as_object(found.get("currentState")).get("currentRoute")) or "/"
    agent_name = as_text(document.get("agent_name")) or agent_id
    skeleton = new_document(session_id, agent_id, agent_name, route, started) | {APP_DOCUMENT_ID: str(found["_id"])}
    return AppSession(session_id, agent_id, encode(merge(skeleton, document)), ttl_ms)
