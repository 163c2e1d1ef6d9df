"""API keys in MongoDB: those of awictl in a collection of their own, and those of the app, which are only read.

The app stores secrets as they are and requires one in each document; awictl stores only their SHA-256. So the two
cannot share a collection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson import DatetimeMS, ObjectId
from bson.errors import InvalidId
from pymongo import ASCENDING

from ..archive.mongo.connection import Document, MongoConnection
from ..archive.mongo.errors import translate_errors
from ..archive.mongo.values import as_datetime
from ..document.schema import as_object, as_text
from .api_keys import AgentKey, newest_first, permissions_of

COLLECTION = "awiagentkeys"
APP_COLLECTION = "agentapikeys"
#: Projection that leaves out the secret.
_APP_FIELDS = {"key": 0}
#: Largest limit of requests that counts as one: beyond it, doubles are not exact.
_MAX_REQUESTS = 2**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MongoKeyStore:
    """The `KeyStore` in the database of an archive."""

    def __init__(self, connection: MongoConnection) -> None:
        self.where = connection.where
        self._connection = connection
        self._ours = connection.collection(COLLECTION)
        self._apps = connection.collection(APP_COLLECTION)
        self._indexed = False

    async def add(self, key: AgentKey, digest: str) -> None:
        """Store a new key; with a provisional one, delete those that have expired. digest: SHA-256 of its secret."""
        document = {
            "_id": ObjectId(key.agent_id),
            "digest": digest,
            "name": key.name,
            "description": key.description,
            "permissions": list(key.permissions),
            "active": key.active,
            "expiresAt": key.expires_at,
            "createdAt": key.created_at,
        }
        if key.provisional:
            document["provisional"] = True
        with self._in_time():
            await self._connection.check_reachable()
            if not self._indexed:
                await self._ours.create_index([("digest", ASCENDING)], unique=True)
                self._indexed = True
            if key.provisional:
                await self._ours.delete_many({"provisional": True, "expiresAt": {"$lte": key.created_at}})
            await self._ours.insert_one(document)

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        """Return the key with this secret, in any state: one of awictl, or else one of the app."""
        with translate_errors(self.where), pymongo.timeout(self._connection.connect_timeout):
            found = await self._ours.find_one({"digest": digest})
            if found is not None:
                return _key(found)
            found = await self._apps.find_one({"key": secret}, _APP_FIELDS)
        return _key(found, of_app=True) if found is not None else None

    async def all(self) -> list[AgentKey]:
        """Return all keys, the newest first, those of the app included."""
        with self._in_time():
            await self._connection.check_reachable()
            ours = await self._ours.find({}).to_list()
            apps = await self._apps.find({}, _APP_FIELDS).to_list()
        return newest_first([_key(one) for one in ours] + [_key(one, of_app=True) for one in apps])

    async def revoke(self, agent_id: str) -> bool:
        """Revoke a key of awictl. Returns whether there is one with this id."""
        try:
            wanted = {"_id": ObjectId(agent_id)}
        except InvalidId:
            return False
        with self._in_time():
            await self._connection.check_reachable()
            return (await self._ours.update_one(wanted, {"$set": {"active": False}})).matched_count > 0

    async def confirm(self, agent_id: str, now: datetime) -> bool:
        """Remove the expiry of a provisional key, unless it is over at `now`. Returns whether that was done."""
        wanted = {"_id": ObjectId(agent_id), "provisional": True, "expiresAt": {"$gt": now}}
        change = {"$set": {"expiresAt": None}, "$unset": {"provisional": ""}}
        with translate_errors(self.where), pymongo.timeout(self._connection.connect_timeout):
            return (await self._ours.update_one(wanted, change)).matched_count > 0

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """One deadline over all requests in the block, also if the server answers pings only. Translates errors."""
        with translate_errors(self.where), pymongo.timeout(self._connection.patience):
            yield


def _expiry(value: Any) -> datetime | None:
    """When a key expires; None if never. A value that is not a date must not make a key valid for ever."""
    if value is None or isinstance(value, datetime):
        return as_datetime(value)
    return None if isinstance(value, DatetimeMS) and int(value) > 0 else _EPOCH  # beyond the year 9999


def _requests(value: Any) -> int | None:
    """A limit of requests; None if the value is not one."""
    is_limit = isinstance(value, (int, float)) and 1 <= value <= _MAX_REQUESTS
    return int(value) if is_limit else None


def _key(found: Document, *, of_app: bool = False) -> AgentKey:
    """Convert a document. Fields that the app left out, or of another type, count as not set."""
    limit = found.get("rateLimit")
    requests = limit.get("requestsPerHour") if isinstance(limit, dict) else None
    return AgentKey(
        agent_id=str(found["_id"]),
        name=as_text(found.get("name")) or str(found["_id"]),
        permissions=permissions_of(found.get("permissions")),
        created_at=as_datetime(found.get("createdAt")),
        expires_at=_expiry(found.get("expiresAt")),
        active=found.get("active") is True,
        suspended=bool(found.get("suspended")),
        suspended_until=as_datetime(found.get("suspendedUntil")),
        suspension_reason=as_text(found.get("suspensionReason")),
        description=as_text(found.get("description")),
        requests_per_hour=_requests(requests),
        provisional=not of_app and found.get("provisional") is True,
        of_app=of_app,
        last_used_at=as_datetime(as_object(found.get("usage")).get("lastUsed")),
    )
