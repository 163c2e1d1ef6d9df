"""List sessions: paced scans over their ids, and their heads without the trajectories."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from ...document.byte_layout import CLOSE, OPEN, decode_head
from ...document.json_codec import dumps
from ...document.keys import is_session_id
from ...document.splice import base_from_string
from ...errors import AwiError, InvalidData
from ...util.batched import batched
from ...util.prefetch import prefetch
from ..base import Listed
from .contents import EXISTS, HEAD, Contents, is_live_or_invalid, whole_string
from .database import LiveDatabase
from .documents import Document, count_of, expiry_of, of_type, ttl_ms

if TYPE_CHECKING:
    from ..session_fields import SessionFields

T = TypeVar("T")

#: Sessions per request of a listing, and per request for ids only.
LIST_BATCH, SCAN_BATCH = 500, 1_000
#: Bytes of heads after which a page ends early.
MAX_PAGE_BYTES = 4_194_304
#: Requests per second of a paced scan: many short ones, so that other clients hardly wait.
_PACED_STEPS = 100


class Listing:
    """Lists the sessions of a store."""

    def __init__(self, database: LiveDatabase, contents: Contents) -> None:
        self._database = database
        self._contents = contents

    async def scan(self, rate: float | None) -> AsyncGenerator[list[str], None]:
        """The ids of all sessions, in batches. `rate`: maximum number per second."""
        async with aclosing(prefetch(self._pages(EXISTS, SCAN_BATCH, rate))) as pages:
            async for found, _ in pages:
                if found:
                    yield [str(one["_id"]) for one in found]

    async def _pages(
        self, fields: Document, batch: int, rate: float | None
    ) -> AsyncGenerator[tuple[list[Document], datetime], None]:
        """These fields of all sessions, in the order of their ids, with the time at which they were read.

        Each page is a request of its own, from the last id on: a cursor that is not used for a while is closed.
        """
        count = batch if rate is None else max(1, min(batch, int(rate / _PACED_STEPS)))
        after = ""
        while True:
            started = time.monotonic()
            now = await self._database.now()
            with self._database.request():
                cursor = self._database.sessions.find({"_id": {"$gt": after}}, fields).sort("_id", 1).limit(count)
                page, size = [], 0
                async for one in cursor:
                    page.append(one)
                    size += len(head) if isinstance(head := one.get("head"), bytes) else 0
                    if size > MAX_PAGE_BYTES:
                        break
                await cursor.close()
            yield [one for one in page if is_session_id(one["_id"]) and is_live_or_invalid(one, now)], now
            if len(page) < count and size <= MAX_PAGE_BYTES:
                return
            after = page[-1]["_id"]
            if rate is not None:
                await asyncio.sleep(max(0.0, count / rate - (time.monotonic() - started)))

    async def list_all(self, convert: Callable[[Listed], T], rate: float | None) -> AsyncGenerator[list[T], None]:
        """All sessions, in batches as they are found, converted by `convert`. The next batch is prefetched."""
        async with aclosing(prefetch(self._pages(HEAD, LIST_BATCH, rate))) as pages:
            async for found, now in pages:
                if found:
                    yield [convert(one) for document in found if (one := await self._listed(document, now))]

    async def list_fields(self, rate: float | None) -> AsyncGenerator[Sequence[SessionFields], None]:
        """Like `list_all`, but decodes only the fields that lists show."""
        from ..session_fields import decode_batch, fields_of

        async with aclosing(prefetch(self._pages(HEAD, LIST_BATCH, rate))) as pages:
            async for found, now in pages:
                ids = [str(one["_id"]) for one in found]
                starts = [_start(one, now) for one in found]
                readable = [one for one, start in zip(ids, starts, strict=True) if start is not None]
                decoded = dict(zip(readable, decode_batch(readable, [one for one in starts if one]), strict=True))
                batch: list[SessionFields] = []
                for session_id, document in zip(ids, found, strict=True):
                    if (fields := decoded.get(session_id)) is not None:
                        batch.append(fields)
                    elif (listed := await self._listed(document, now)) is not None:
                        batch.append(fields_of(*listed))
                if batch:
                    yield batch

    async def list(self, session_ids: Sequence[str]) -> list[Listed]:
        """These sessions, in their order. Missing sessions are left out."""
        found: dict[str, Listed] = {}
        for some in batched(session_ids, LIST_BATCH):
            now = await self._database.now()
            async for document in self._contents.each(some, HEAD):
                if (listed := await self._listed(document, now)) is not None:
                    found[listed.session_id] = listed
        return [found[one] for one in session_ids if one in found]

    async def _listed(self, document: Document, now: datetime) -> Listed | None:
        """A session from its document with the fields HEAD; None if it does not exist any more."""
        session_id = str(document["_id"])
        ttl: int | None = None
        length = 0
        try:
            ttl, length = ttl_ms(expiry_of(document), now), of_type(document, "length", int)
            count = count_of(document)
            if count is not None:
                line = of_type(document, "head", bytes)
                head = decode_head(line)
                if head is None:
                    raise InvalidData("its head is not the start of a session document")
                return Listed(session_id, head, count, ttl, length, None, length - len(line) - len(CLOSE))
            raw = whole_string(document)
            if raw is None:
                whole = await self._contents.whole(session_id)
                if whole is None:
                    return None
                raw = whole.raw
            base = base_from_string(raw)
            rest = length - len(dumps(base.head)) - len(OPEN)
            return Listed(session_id, base.head, len(base.document["history"]["actions"]), ttl, length, None, rest)
        except AwiError as error:
            return Listed(session_id, {}, None, ttl, length, str(error))


def _start(document: Document, now: datetime) -> tuple[int | None, int, bytes, None] | None:
    """What `session_fields.decode_batch` decodes; None if the session has to be decoded in full."""
    head, following, length = document.get("head"), document.get("following"), document.get("length")
    if not (isinstance(head, bytes) and isinstance(following, bytes) and isinstance(length, int)):
        return None
    if not isinstance(document.get("count"), int):
        return None
    try:
        return ttl_ms(expiry_of(document), now), int(length), head + following, None
    except InvalidData:
        return None
