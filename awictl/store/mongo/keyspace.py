"""What MongoDB holds, under the names of the keys that Redis would have for it (DESIGN, section 2).

So what lists, surveys and examines keys works on both. A session and its last delta are fields of one document, which
are two keys here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from pymongo.asynchronous.collection import AsyncCollection

from ...document import keys
from ...document.keys import KeyKind, decode_key, kind_of
from ...errors import AwiError, InvalidData, Refused
from ...util.batched import batched
from ..base import Stored
from ..keyspace import KeyInfo, StepCallback
from . import repairs
from .contents import EXISTS, Contents
from .database import LiveDatabase
from .documents import BATCH_IDS, Document, count_of, expiry_of, live_at, of_type, ttl_ms
from .glob import literal_start, matcher
from .scan import scan

if TYPE_CHECKING:
    from ..redis.repairs import Repairable
    from .strings import MongoStrings

#: Fields of the last delta.
_DIFF = {"taken": 1, "diff": 1, "diff_expires_at": 1}


class MongoKeyspace:
    """All that is live in one MongoDB database. Raises Unreachable, AccessDenied."""

    #: Queries to a Redis server: there is none.
    server_info = None

    def __init__(self, database: LiveDatabase, contents: Contents, strings: Callable[[], MongoStrings]) -> None:
        self._database = database
        self._contents = contents
        self._open_strings = strings
        self.where = database.where

    async def size(self) -> int | None:
        """Number of documents: sessions with their last deltas, mappings, strings and counters."""
        database = self._database
        with database.request():
            collections = (database.sessions, database.agents, database.strings, database.counters)
            return sum(await asyncio.gather(*(one.estimated_document_count() for one in collections)))

    async def scan(
        self, pattern: str | None = None, rate: float | None = None, on_step: StepCallback = lambda _: None
    ) -> AsyncGenerator[list[bytes], None]:
        """The names of all keys, or of those that match a pattern, in batches. `rate`: maximum number per second."""
        start, matches = literal_start(pattern or "*"), matcher(pattern or "*")
        for prefix, collection in self._sources():
            if not (start.startswith(prefix) or prefix.startswith(start)):
                continue
            of_sessions = collection is self._database.sessions
            now = await self._database.now()
            batches = scan(
                self._database,
                collection,
                start.removeprefix(prefix) if start.startswith(prefix) else "",
                tuple(_DIFF) if prefix == keys.DIFF_PREFIX else ("taken",) if of_sessions else (),
                rate=rate,
                on_step=on_step,
            )
            async with aclosing(batches):
                async for documents in batches:
                    ids = [
                        one["_id"]
                        for one in documents
                        if one.get("taken") is not True
                        and (prefix != keys.DIFF_PREFIX or _diff_ttl_ms(one, now) is not None)
                    ]
                    names = [(prefix + one).encode("utf-8", "replace") for one in ids]
                    if found := [name for name in names if matches(name)]:
                        yield found

    def _sources(self) -> list[tuple[str, AsyncCollection[Document]]]:
        """The prefixes of keys, and the collection that has the rest of their names as ids."""
        database = self._database
        return [
            (keys.SESSION_PREFIX, database.sessions),
            (keys.DIFF_PREFIX, database.sessions),
            (keys.AGENT_PREFIX, database.agents),
            ("", database.strings),
            ("", database.counters),
        ]

    async def key_info(self, names: Sequence[bytes], size: int = 0) -> list[KeyInfo | None]:
        """TTL, length and the first `size` bytes of each key; None if a key does not exist."""
        by_kind: dict[KeyKind, list[bytes]] = {}
        for name in names:
            by_kind.setdefault(kind_of(name), []).append(name)
        found: dict[bytes, KeyInfo] = {}
        now = await self._database.now()
        for kind, some in by_kind.items():
            if kind is KeyKind.SESSION:
                found |= await self._sessions(some, size, now)
            elif kind is KeyKind.DIFF:
                found |= await self._diffs(some, size, now)
            elif kind is KeyKind.AGENT:
                found |= await self._values(self._database.agents, some, keys.AGENT_PREFIX, "session_id", size, now)
            elif kind is KeyKind.RATE_LIMIT:
                found |= await self._values(self._database.counters, some, "", "count", size, now)
            else:
                infos = await self._open_strings().key_info([decode_key(one) for one in some], size)
                found |= {one: info for one, info in zip(some, infos, strict=True) if info is not None}
        return [found.get(name) for name in names]

    async def _sessions(self, names: Sequence[bytes], size: int, now: datetime) -> dict[bytes, KeyInfo]:
        ids = keys.session_ids_of(names)
        starts = await self._contents.many(ids) if size else {}
        found = {}
        async for one in self._contents.each(ids, {**EXISTS, "length": 1}):
            session_id = str(one["_id"])
            start = starts.get(session_id)
            try:
                if isinstance(start, AwiError):
                    raise start
                raw = start.raw[:size] if isinstance(start, Stored) else b""
                info = KeyInfo(ttl_ms(expiry_of(one), now), of_type(one, "length", int), raw)
            except AwiError as error:
                info = KeyInfo(None, 0, b"", error)
            found[keys.session_key(session_id).encode()] = info
        return found

    async def _diffs(self, names: Sequence[bytes], size: int, now: datetime) -> dict[bytes, KeyInfo]:
        prefix = keys.DIFF_PREFIX.encode()
        ids = [decode_key(name.removeprefix(prefix)) for name in names]
        found = {}
        async for one in self._contents.each(ids, {**EXISTS, **_DIFF}):
            left, raw = _diff_ttl_ms(one, now), one.get("diff")
            if left is not None and isinstance(raw, bytes):
                found[keys.diff_key(one["_id"]).encode()] = KeyInfo(left, len(raw), raw[:size])
        return found

    async def _values(
        self,
        collection: AsyncCollection[Document],
        names: Sequence[bytes],
        prefix: str,
        field: str,
        size: int,
        now: datetime,
    ) -> dict[bytes, KeyInfo]:
        """Short values, which one field of a document has."""
        by_id = {decode_key(name).removeprefix(prefix): name for name in names}
        documents: list[Document] = []
        for some in batched(list(by_id), BATCH_IDS):
            with self._database.request():
                wanted = {"_id": {"$in": some}, **live_at(now)}
                documents += await collection.find(wanted, {field: 1, "expires_at": 1}).to_list()
        found = {}
        for one in documents:
            value = repairs.value_of(one.get(field))
            try:
                info = KeyInfo(ttl_ms(expiry_of(one), now), len(value), value[:size])
            except InvalidData as error:
                info = KeyInfo(None, 0, b"", InvalidData(f"{self.where}, {collection.name} {one['_id']}: {error}"))
            found[by_id[one["_id"]]] = info
        return found

    async def last_bytes(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The last byte of each session's string; None if there is none, or it cannot be read."""
        found: dict[str, bytes | None] = {}
        other_layout: list[str] = []
        async for one in self._contents.each(keys.session_ids_of(names), {**EXISTS, "count": 1}):
            try:
                count = count_of(one)
            except InvalidData:
                continue
            if count is None:
                other_layout.append(one["_id"])
            else:  # its end is not stored
                found[one["_id"]] = b"}"
        for session_id, stored in (await self._contents.many(other_layout)).items():
            found[session_id] = stored.raw[-1:] or None if isinstance(stored, Stored) else None
        prefix = keys.SESSION_PREFIX.encode()
        return [found.get(decode_key(name.removeprefix(prefix))) for name in names]

    async def memory(self, names: Sequence[bytes]) -> list[int | None]:
        """Memory that each key takes: not available."""
        return [None for _ in names]

    def monitor(self) -> NoReturn:
        """Raise Refused: no command of MongoDB reports what other clients do."""
        raise Refused(
            f"{self.where}: MongoDB does not report the commands of its clients, so there is nothing to monitor; "
            "`awictl session watch ID` and `awictl top` show what sessions do"
        )

    async def repair(self, faults: Sequence[Repairable]) -> list[bool]:
        """Repair derived data, unless it has changed. Returns for each whether it was repaired."""
        return [await repairs.repair(self._database, self._contents, one) for one in faults]

    def describe_error(self, info: KeyInfo, name: str) -> str | None:
        """Why a key cannot be read; None if it can."""
        return str(info.error) if info.error is not None else None


def _diff_ttl_ms(document: Document, now: datetime) -> int | None:
    """Milliseconds until the last delta of a session expires; None if there is none."""
    expires_at = document.get("diff_expires_at")
    if not isinstance(document.get("diff"), bytes) or not isinstance(expires_at, datetime) or expires_at <= now:
        return None
    return ttl_ms(expires_at, now)
