"""List the archive: the sessions of awictl, and those that only the app's collection has, as one sorted listing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo import DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from ...document.json_codec import encodable
from ...store.mongo.connection import Document
from ..base import ArchivedSummary, ArchiveQuery, Cursor
from . import app_documents, documents, legacy
from .app_view import app_agent_id
from .collections import Collections
from .documents import range_of
from .values import as_datetime

#: Number of the app's documents that are compared with `awi_sessions` at once.
_BATCH = 100

#: A session with its place in the listing.
_Listed = tuple[tuple[float, str], ArchivedSummary]


async def find(
    collections: Collections, query: ArchiveQuery, after: Cursor | None, limit: int | None, action_counts: bool
) -> AsyncGenerator[ArchivedSummary, None]:
    """Iterate over the sessions that match, the latest activity first. See `Archive.find`."""
    left = limit
    async with (
        aclosing(_own(collections, query, after, limit, action_counts)) as own,
        aclosing(_others(collections, query, after, limit, action_counts)) as others,
    ):
        one, other = await anext(own, None), await anext(others, None)
        while left != 0:
            if one is not None and (other is None or one[0] > other[0]):
                yield one[1]
                one = await anext(own, None)
            elif other is not None:
                yield other[1]
                other = await anext(others, None)
            else:
                return
            left = left - 1 if left is not None else None


async def _own(
    collections: Collections, query: ArchiveQuery, after: Cursor | None, limit: int | None, action_counts: bool
) -> AsyncGenerator[_Listed, None]:
    """Iterate over the sessions in `awi_sessions`."""
    fields = documents.SUMMARY_FIELDS | (documents.ACTION_COUNT_FIELDS if action_counts else {})
    conditions = documents.conditions_of(query, after)
    async with await _sorted(collections.sessions, conditions, "_id", limit, fields) as cursor:
        async for found in cursor:
            yield _place(found, found["_id"]), documents.summary_of(found)


async def _others(
    collections: Collections, query: ArchiveQuery, after: Cursor | None, limit: int | None, action_counts: bool
) -> AsyncGenerator[_Listed, None]:
    """Iterate over the sessions that only the app's collection has."""
    fields = legacy.SUMMARY_FIELDS | (legacy.ACTION_COUNT_FIELDS if action_counts else {})
    size = max(limit, _BATCH) if limit is not None else None
    while True:
        count = 0
        last: Document = {}
        async with await _sorted(
            collections.app_sessions, _conditions_of(query, after), "sessionId", size, fields
        ) as cursor:
            while batch := await cursor.to_list(_BATCH):
                count += len(batch)
                last = batch[-1]
                ids = [one["sessionId"] for one in batch]
                own = {one["_id"] async for one in collections.sessions.find({"_id": {"$in": ids}}, {"_id": 1})}
                for found in batch:
                    if (session_id := found["sessionId"]) not in own:
                        summary = legacy.summary_of if legacy.is_legacy(found) else app_documents.summary
                        yield _place(found, session_id), summary(found)
        if size is None or count < size:
            return
        after = Cursor(as_datetime(last.get("lastActivityAt")), last["sessionId"])


async def _sorted(
    collection: AsyncCollection[Document],
    conditions: list[Document],
    id_field: str,
    limit: int | None,
    fields: Document,
) -> Any:
    """Return a cursor over the documents that match all conditions, in the order of a listing."""
    stages: list[Document] = [
        {"$match": {"$and": conditions}},
        {"$sort": {"lastActivityAt": DESCENDING, id_field: DESCENDING}},
        *([{"$limit": limit}] if limit is not None else []),
        {"$project": fields},
    ]
    return await collection.aggregate(stages, allowDiskUse=True)


def _conditions_of(query: ArchiveQuery, after: Cursor | None) -> list[Document]:
    """Return the filters of a query for the app's collection, without the views that awictl added there."""
    conditions: list[Document] = [{"awi.view": {"$exists": False}}]
    if query.agent is not None:
        conditions.append({"$or": [{"agentId": app_agent_id(query.agent)}, {"agentName": encodable(query.agent)}]})
    if query.failed:
        conditions.append({"statistics.failedActions": {"$gt": 0}})
    return [*conditions, *range_of(query, after, "sessionId")]


def _place(found: Document, session_id: str) -> tuple[float, str]:
    """Return the place of a document in the listing: the largest first, as MongoDB sorts dates and ids."""
    moment = found.get("lastActivityAt")
    if isinstance(moment, DatetimeMS):  # beyond the year 9999
        return float(int(moment)), session_id
    return (moment.timestamp() * 1000 if isinstance(moment, datetime) else float("-inf")), session_id
