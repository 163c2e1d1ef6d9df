"""Keys of agents in MongoDB: ours in a collection of their own, and the app's, which are only read.

The app keeps its secrets as they are; ours are kept as their SHA-256. That is why they cannot share a collection: each
document of the app's must have a secret.
"""

from __future__ import annotations

import pymongo
from bson import ObjectId
from bson.errors import InvalidId
from pymongo import ASCENDING

from ..archive.app_documents import moment
from ..archive.mongo.archive import MongoArchive
from ..archive.mongo.documents import Document
from ..archive.mongo.errors import translated
from ..document.schema import as_text
from .api_keys import AgentKey, newest_first, permissions_of

COLLECTION = "awiagentkeys"
APP_COLLECTION = "agentapikeys"
#: Everything but the secret.
_APP_FIELDS = {"key": 0}


class MongoKeyStore:
    """The `KeyStore` in the database of an archive."""

    def __init__(self, archive: MongoArchive) -> None:
        self.where = archive.where
        self._archive = archive
        self._ours = archive.collection(COLLECTION)
        self._apps = archive.collection(APP_COLLECTION)
        self._indexed = False

    async def add(self, key: AgentKey, digest: str) -> None:
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
        with translated(self.where):
            await self._archive.reached()
            if not self._indexed:
                await self._ours.create_index([("digest", ASCENDING)], unique=True)
                self._indexed = True
            await self._ours.insert_one(document)

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        with translated(self.where), pymongo.timeout(self._archive.reach):
            found = await self._ours.find_one({"digest": digest})
            if found is not None:
                return _key(found)
            found = await self._apps.find_one({"key": secret}, _APP_FIELDS)
        return _key(found, of_app=True) if found is not None else None

    async def all(self) -> list[AgentKey]:
        with translated(self.where):
            await self._archive.reached()
            ours = await self._ours.find({}).to_list()
            apps = await self._apps.find({}, _APP_FIELDS).to_list()
        return newest_first([_key(one) for one in ours] + [_key(one, of_app=True) for one in apps])

    async def revoke(self, agent_id: str) -> bool:
        try:
            wanted = {"_id": ObjectId(agent_id)}
        except InvalidId:
            return False
        with translated(self.where):
            await self._archive.reached()
            return (await self._ours.update_one(wanted, {"$set": {"active": False}})).matched_count > 0


def _key(found: Document, *, of_app: bool = False) -> AgentKey:
    """The key that a document is; what the app left out or wrote otherwise counts as not said."""
    limit = found.get("rateLimit")
    requests = limit.get("requestsPerHour") if isinstance(limit, dict) else None
    return AgentKey(
        agent_id=str(found["_id"]),
        name=as_text(found.get("name")) or str(found["_id"]),
        permissions=permissions_of(found.get("permissions")),
        created_at=moment(found.get("createdAt")),
        expires_at=moment(found.get("expiresAt")),
        active=found.get("active") is True,
        suspended=bool(found.get("suspended")),
        suspended_until=moment(found.get("suspendedUntil")),
        suspension_reason=as_text(found.get("suspensionReason")),
        description=as_text(found.get("description")),
        requests_per_hour=int(requests) if isinstance(requests, (int, float)) and requests >= 1 else None,
        of_app=of_app,
    )
