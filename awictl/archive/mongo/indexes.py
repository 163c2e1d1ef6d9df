"""The indexes of the archive's collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from ...store.mongo.connection import Document
from .collections import Collections

_NEWEST = ("lastActivityAt", DESCENDING)

#: In this order: listings; listings of an agent; sessions that may be live; sessions that the app cannot see yet.
SESSIONS = [
    IndexModel([_NEWEST, ("_id", DESCENDING)]),
    IndexModel([("agentId", ASCENDING), _NEWEST]),
    IndexModel([("state", ASCENDING), ("expiresAt", ASCENDING)], partialFilterExpression={"state": "live"}),
    IndexModel([("unpublished", ASCENDING)], partialFilterExpression={"unpublished": True}),
]
#: In this order: one document per session; the app's query; listings; what earlier versions of awictl archived.
APP_SESSIONS = [
    IndexModel([("sessionId", ASCENDING)], unique=True),
    IndexModel([("agentId", ASCENDING), ("sessionActive", ASCENDING), _NEWEST]),
    IndexModel([_NEWEST, ("sessionId", DESCENDING)]),
    IndexModel([("awi.format", ASCENDING)], partialFilterExpression={"awi.format": 1}),
]
#: Of the chunks and of the parts of a session.
BY_SESSION = [IndexModel([("session", ASCENDING)])]


async def missing(collections: Collections) -> list[tuple[AsyncCollection[Document], list[IndexModel]]]:
    """Return the indexes that each collection lacks. An index with the same keys serves, whatever its name is."""
    found = []
    for collection, wanted in (
        (collections.app_sessions, APP_SESSIONS),
        (collections.actions, BY_SESSION),
        (collections.parts, BY_SESSION),
        (collections.sessions, SESSIONS),
    ):
        existing = [_kind_of(index) async for index in await collection.list_indexes()]
        if lacking := [one for one in wanted if _kind_of(one.document) not in existing]:
            found.append((collection, lacking))
    return found


def _kind_of(index: Mapping[str, Any]) -> tuple[Document, bool, Document]:
    return dict(index["key"]), bool(index.get("unique")), dict(index.get("partialFilterExpression", {}))
