"""The indexes of the collection `agentsessions`."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

_NEWEST = ("lastActivityAt", DESCENDING)

#: In this order: one document per session; the app's query; listings; sessions that have expired.
WANTED = [
    IndexModel([("sessionId", ASCENDING)], unique=True),
    IndexModel([("agentId", ASCENDING), ("sessionActive", ASCENDING), _NEWEST]),
    IndexModel([_NEWEST, ("sessionId", DESCENDING)]),
    IndexModel([("sessionActive", ASCENDING), ("awi.expiresAt", ASCENDING)]),
]


async def missing(collection: Any) -> list[IndexModel]:
    """Return the indexes that the collection lacks. An index with the same keys serves, whatever its name is."""
    existing = [
        (index["key"], bool(index.get("unique")))
        async for index in await collection.list_indexes()
        if "partialFilterExpression" not in index
    ]
    return [one for one in WANTED if (one.document["key"], bool(one.document.get("unique"))) not in existing]
