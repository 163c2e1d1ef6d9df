"""The indexes of the collection of sessions in MongoDB."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

_NEWEST = ("lastActivityAt", DESCENDING)

WANTED = [
    IndexModel([("sessionId", ASCENDING)], unique=True),
    IndexModel([("agentId", ASCENDING), ("sessionActive", ASCENDING), _NEWEST]),
    IndexModel([_NEWEST, ("sessionId", DESCENDING)]),
    IndexModel([("sessionActive", ASCENDING), ("awi.expiresAt", ASCENDING)]),
]


async def missing(collection: Any) -> list[IndexModel]:
    """Those of the wanted indexes that a collection does not have, whoever made them and by whatever name."""
    existing = [
        (index["key"], bool(index.get("unique")))
        async for index in await collection.list_indexes()
        if "partialFilterExpression" not in index
    ]
    return [one for one in WANTED if (one.document["key"], bool(one.document.get("unique"))) not in existing]
