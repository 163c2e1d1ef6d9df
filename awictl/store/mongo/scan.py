"""Go through a collection in the order of its ids, paced, in requests of limited size."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection

from ..keyspace import StepCallback
from .database import LiveDatabase
from .documents import Document, live_at

#: Documents of a request that is not paced, and requests per second of one that is: other clients hardly wait.
SCAN_DOCUMENTS = 1_000
PACED_REQUESTS = 20


async def scan(
    database: LiveDatabase,
    collection: AsyncCollection[Document],
    prefix: str = "",
    fields: Sequence[str] = (),
    *,
    rate: float | None = None,
    on_step: StepCallback = lambda _: None,
    also: Document | None = None,
) -> AsyncGenerator[list[Document], None]:
    """The documents whose ids are strings that start with `prefix`, and have not expired; in batches, by id.

    `fields`: what to read besides the id. `rate`: maximum number of documents per second; None: not paced. `on_step`:
    called with the number of documents of each request. `also`: a further condition.
    """
    count = SCAN_DOCUMENTS if rate is None else max(1, min(SCAN_DOCUMENTS, int(rate / PACED_REQUESTS)))
    bounds: dict[str, Any] = {"$gte": prefix}
    if prefix:
        bounds["$lt"] = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    while True:
        started = time.monotonic()
        now = await database.now()
        wanted = {"_id": dict(bounds), **live_at(now), **(also or {})}
        with database.request():
            found = (
                await collection.find(wanted, dict.fromkeys(("_id", *fields), 1))
                .sort("_id", ASCENDING)
                .limit(count)
                .to_list()
            )
        on_step(len(found))
        if named := [one for one in found if isinstance(one["_id"], str)]:
            yield named
        if len(found) < count:
            return
        bounds.pop("$gte", None)
        bounds["$gt"] = found[-1]["_id"]
        if rate is not None:
            await asyncio.sleep(max(0.0, count / rate - (time.monotonic() - started)))
