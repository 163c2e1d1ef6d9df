"""API keys in MongoDB: those of awictl in a collection of their own, and those of the app.

Of the app's keys, only an explicit command of the operator changes some fields; see `suspension.py`.

The app stores secrets as they are and requires one in each document; awictl stores only their SHA-256. So the two
cannot share a collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pymongo
from bson import DatetimeMS, ObjectId
from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection

from ..archive.mongo.values import as_datetime, possible_ids, to_json
from ..document.schema import as_array, as_object, as_text
from ..document.timestamps import EPOCH
from ..errors import Refused
from ..store.mongo.connection import Document, MongoConnection
from ..store.mongo.errors import translate_errors
from ..util.batched import batched
from .api_keys import AgentKey, newest_first, permissions_of
from .records import AgentRecord
from .suspension import Suspension, no_key
from .usage import Usage, Use

COLLECTION = "awi_agent_keys"
#: Where earlier versions of awictl stored keys. They are accepted and changed there; new ones are not added.
EARLIER_COLLECTION = "awiagentkeys"
APP_COLLECTION = "agentapikeys"
#: How often awictl's server was used with the keys of the app.
USAGE_COLLECTION = "awi_agent_usage"
#: Projection that leaves out the secrets of the app's keys.
_PUBLIC_FIELDS = {"key": 0}
#: Largest number of requests that counts as one: beyond it, doubles are not exact.
_MAX_REQUESTS = 2**53
#: The history of suspensions in the documents of the app, and so in those of awictl.
_HISTORY = "securityMetrics.suspensionHistory"
#: Keys per request.
_BATCH = 1_000


class MongoKeyStore:
    """The `KeyStore` in the database of an archive."""

    def __init__(self, connection: MongoConnection) -> None:
        self.where = connection.where
        self._connection = connection
        self._ours = connection.collection(COLLECTION)
        self._apps = connection.collection(APP_COLLECTION)
        self._usage = connection.collection(USAGE_COLLECTION)
        self._indexed = False
        #: See `_own`; None before the first request.
        self._own_collections: list[AsyncCollection[Document]] | None = None

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
                for collection in await self._own():
                    await collection.delete_many({"provisional": True, "expiresAt": {"$lte": key.created_at}})
            await self._ours.insert_one(document)

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        """Return the key with this secret, in any state: one of awictl, or else one of the app."""
        with translate_errors(self.where), pymongo.timeout(self._connection.connect_timeout):
            for collection in await self._own():
                found = await collection.find_one({"digest": digest})
                if found is not None:
                    return _key(found)
            found = await self._apps.find_one({"key": secret}, _PUBLIC_FIELDS)
        return _key(found, of_app=True) if found is not None else None

    async def all(self) -> list[AgentKey]:
        """Return all keys, the newest first, those of the app included."""
        return await self._matching({})

    async def named(self, agents: Sequence[str]) -> list[AgentKey]:
        """Return the keys of agents with these ids or else names, the newest first, those of the app included."""
        found: dict[str, AgentKey] = {}
        for some in batched(agents, _BATCH):
            ids = [one for agent in some for one in possible_ids(agent)]
            keys = await self._matching({"_id": {"$in": ids}})
            found.update((key.agent_id, key) for key in keys)
            # there may be no index on names
            if names := [agent for agent in some if agent not in found]:
                found.update((key.agent_id, key) for key in await self._matching({"name": {"$in": names}}))
        return newest_first(list(found.values()))

    async def _matching(self, wanted: Document) -> list[AgentKey]:
        """The keys that match a filter, the newest first."""
        with self._in_time():
            await self._connection.check_reachable()
            own = await self._own()
        ours = [one for collection in own for one in await self._read(collection, wanted)]
        apps = await self._read(self._apps, wanted)
        return newest_first([_key(one) for one in ours] + [_key(one, of_app=True) for one in apps])

    async def _read(self, collection: AsyncCollection[Document], wanted: Document) -> list[Document]:
        """The documents that match a filter. Each batch has a deadline of its own, since there may be many."""
        found: list[Document] = []
        async with collection.find(wanted, _PUBLIC_FIELDS).batch_size(_BATCH) as cursor:
            while True:
                with self._in_time():
                    batch = await cursor.to_list(_BATCH)
                if not batch:
                    return found
                found += batch

    async def usable(self, keys: Sequence[AgentKey], now: datetime) -> set[str]:
        """Return the ids of those keys that are neither revoked nor suspended at `now`."""
        found: set[str] = set()
        with translate_errors(self.where), pymongo.timeout(self._connection.connect_timeout):
            own = [(collection, False) for collection in await self._own()]
            for collection, of_app in (*own, (self._apps, True)):
                for some in batched([key for key in keys if key.of_app is of_app], _BATCH):
                    ids = [one for key in some for one in possible_ids(key.agent_id)]
                    wanted = {"_id": {"$in": ids}, **_not_stopped(now)}
                    found.update(str(one["_id"]) for one in await collection.find(wanted, {"_id": 1}).to_list())
        return found

    async def suspend(self, key: AgentKey, suspension: Suspension) -> None:
        """Suspend a key, and append to the history of its suspensions."""
        fields = {"suspended": True, "suspendedUntil": suspension.until, "suspensionReason": suspension.reason}
        change = {
            "$set": {name: value for name, value in fields.items() if value is not None},
            "$unset": {name: "" for name, value in fields.items() if value is None},
        }
        change = {operator: names for operator, names in change.items() if names}
        entry = {"reason": suspension.reason, "suspendedAt": suspension.since, "suspendedUntil": suspension.until}
        entry = {name: value for name, value in entry.items() if value is not None}
        try:
            await self._change(key, change | {"$push": {_HISTORY: entry}})
        except Refused:  # the history is not an array
            await self._change(key, change)

    async def resume(self, key: AgentKey) -> None:
        """Remove the suspension of a key. The history of its suspensions stays."""
        await self._change(
            key, {"$set": {"suspended": False}, "$unset": {"suspendedUntil": "", "suspensionReason": ""}}
        )

    async def revoke(self, key: AgentKey) -> None:
        """Revoke a key."""
        await self._change(key, {"$set": {"active": False}})

    async def _change(self, key: AgentKey, change: Document) -> None:
        """Change single fields of a key, so that what others write at the same time stays. Raises NotFound."""
        with self._in_time():
            await self._connection.check_reachable()
            for collection in [self._apps] if key.of_app else await self._own():
                if (await collection.update_one({"_id": {"$in": possible_ids(key.agent_id)}}, change)).matched_count:
                    return
        raise no_key(self.where, key)

    async def records(self, key: AgentKey | None = None) -> list[AgentRecord]:
        """Return all that is stored about all agents, the newest first, or about the one with a key."""
        wanted = {} if key is None else {"_id": {"$in": possible_ids(key.agent_id)}}
        with self._in_time():
            await self._connection.check_reachable()
            own = [] if key is not None and key.of_app else await self._own()
        ours = [one for collection in own for one in await self._read(collection, wanted)]
        apps = [] if key is not None and not key.of_app else await self._read(self._apps, wanted)
        counted = await self._read(self._usage, {} if key is None else {"_id": key.agent_id}) if apps else []
        usages = {str(one["_id"]): one for one in counted}
        found = [_record(one, one) for one in ours]
        found += [_record(one, usages.get(str(one["_id"]), {}), of_app=True) for one in apps]
        by_id = {one.key.agent_id: one for one in found}
        return [by_id[one.agent_id] for one in newest_first([one.key for one in found])]

    async def add_usage(self, uses: Sequence[Use]) -> None:
        """Add counts: in the keys of awictl, and for the app's in a collection of awictl's own."""
        with self._in_time():
            await self._connection.check_reachable()
            own = [(collection, False) for collection in await self._own()]
            for collection, of_app in (*own, (self._usage, True)):
                for some in batched([one for one in uses if one.of_app is of_app], _BATCH):
                    await collection.bulk_write([_added(one) for one in some], ordered=False)

    async def confirm(self, agent_id: str, now: datetime) -> bool:
        """Remove the expiry of a provisional key, unless it is over at `now`. Returns whether that was done."""
        wanted = {"_id": ObjectId(agent_id), "provisional": True, "expiresAt": {"$gt": now}}
        change = {"$set": {"expiresAt": None}, "$unset": {"provisional": ""}}
        with translate_errors(self.where), pymongo.timeout(self._connection.connect_timeout):
            for collection in await self._own():
                if (await collection.update_one(wanted, change)).matched_count:
                    return True
        return False

    async def _own(self) -> list[AsyncCollection[Document]]:
        """The collections with awictl's keys: that of earlier versions too, if there is any key in it."""
        if self._own_collections is None:
            earlier = self._connection.collection(EARLIER_COLLECTION)
            is_used = await earlier.find_one({}, {"_id": 1}) is not None
            self._own_collections = [self._ours, *([earlier] if is_used else [])]
        return self._own_collections

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """One deadline over all requests in the block, also if the server answers pings only. Translates errors."""
        with translate_errors(self.where), pymongo.timeout(self._connection.patience):
            yield


def _not_stopped(now: datetime) -> Document:
    """The filter for keys that are neither revoked nor suspended; see `AgentKey.state`."""
    return {"active": True, "$or": [{"suspended": {"$in": [False, None]}}, {"suspendedUntil": {"$lte": now}}]}


def _expiry(value: Any) -> datetime | None:
    """When a key expires; None if never. A value that is not a date must not make a key valid for ever."""
    if value is None or isinstance(value, datetime):
        return as_datetime(value)
    return None if isinstance(value, DatetimeMS) and int(value) > 0 else EPOCH  # beyond the year 9999


def _requests(value: Any) -> int | None:
    """A limit of requests; None if the value is not one."""
    return _number(value) or None


def _number(value: Any) -> int:
    """A number of requests; 0 if the value is not one."""
    is_number = isinstance(value, (int, float)) and 1 <= value <= _MAX_REQUESTS
    return int(value) if is_number else 0


def _added(use: Use) -> pymongo.UpdateOne:
    """The write that adds counts; that of an agent of awictl which was deleted does nothing."""
    change = {
        "$inc": {"usage.totalRequests": use.requests}
        | {f"operationUsage.{name}": count for name, count in use.operations.items()},
        "$max": {"usage.lastUsed": use.last_used},
    }
    if use.of_app:
        return pymongo.UpdateOne({"_id": use.agent_id}, change, upsert=True)
    return pymongo.UpdateOne({"_id": ObjectId(use.agent_id)}, change)


def _usage(found: Document) -> Usage:
    stored = as_object(found.get("usage"))
    return Usage(
        _number(stored.get("totalRequests")),
        as_datetime(stored.get("lastUsed")),
        to_json(as_object(found.get("operationUsage"))),
    )


def _record(found: Document, counted: Document, *, of_app: bool = False) -> AgentRecord:
    """Convert the document of a key, and the one with awictl's counts, which is the same for a key of awictl."""
    metrics = as_object(found.get("securityMetrics"))
    return AgentRecord(
        key=_key(found, of_app=of_app),
        usage=_usage(counted),
        app_usage=_usage(found) if of_app else None,
        reputation=to_json(found.get("reputation")),
        score=to_json(found.get("reputationScore")),
        violations=to_json(metrics.get("totalViolations")),
        violations_by_type=to_json(metrics.get("violationsByType")),
        suspensions=as_array(to_json(metrics.get("suspensionHistory"))),
    )


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
