"""Read session strings from their documents and parts, and write their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import ReplaceOne

from ...document.byte_layout import decode_head
from ...document.splice import FOLLOWING_BYTES, Base, base_from_string
from ...errors import AwiError, InvalidData, TooLarge
from ...util.batched import batched, batched_by_bytes
from ..base import Stored
from .database import LiveDatabase
from .documents import (
    BATCH_IDS,
    FOREVER,
    PARTS_OUTLIVE,
    Document,
    NewPart,
    Part,
    count_of,
    expiry_of,
    join,
    lines_of,
    of_type,
    parts_of,
    ttl_ms,
)

#: Number of reads of a session that is written to meanwhile.
_ATTEMPTS = 10
#: Maximum size of the strings of one request for several, and their number.
_REQUEST_BYTES, _REQUEST_SESSIONS = 4_194_304, BATCH_IDS

#: Projections: to find out whether a session exists; its string; its head.
EXISTS = dict.fromkeys(("expires_at", "taken"), 1)
STRING = {**EXISTS, **dict.fromkeys(("revision", "agent_id", "head", "lines", "parts", "count", "length"), 1)}
HEAD = {**EXISTS, **dict.fromkeys(("revision", "head", "following", "count", "length"), 1)}


class Whole(NamedTuple):
    """A session with its whole string."""

    raw: bytes
    revision: int
    #: The id of its agent, if known.
    agent_id: str | None
    #: When it expires; None if it never does.
    expires_at: datetime | None
    parts: list[Part]


def is_live(found: Document | None, now: datetime, *, taken: bool = False) -> bool:
    """Whether a session's document is that of a live session; with `taken`, of one that is being ended.

    Raises InvalidData.
    """
    if found is None or (found.get("taken") is True) is not taken:
        return False
    expires_at = expiry_of(found)
    return expires_at is None or expires_at > now


class Contents:
    """The strings of sessions. `max_bytes`: of one string."""

    def __init__(self, database: LiveDatabase, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes

    def location(self, session_id: str) -> str:
        """The server, collection and id of a session, for messages."""
        return f"{self._database.where}, {self._database.sessions.name} {session_id}"

    def check_size(self, session_id: str, length: int) -> None:
        """Raise TooLarge if a string is longer than the limit."""
        if length > self._max_bytes:
            raise TooLarge(
                f"{self.location(session_id)}: {length:,} bytes, more than the limit of {self._max_bytes:,} "
                "(AWI_MAX_DOCUMENT_BYTES)"
            )

    async def find(self, session_id: str, fields: Document, *, taken: bool = False) -> Document | None:
        """These fields of a live session, or of one that is being ended; None if there is none. Raises InvalidData."""
        now = await self._database.now()
        with self._database.request():
            found = await self._database.sessions.find_one({"_id": session_id}, fields)
        try:
            return found if is_live(found, now, taken=taken) else None
        except InvalidData as error:
            raise self.invalid(session_id, error) from None

    def invalid(self, session_id: str, error: InvalidData) -> InvalidData:
        """The error for an invalid document, which names its session."""
        return InvalidData(f"{self.location(session_id)}: {error}")

    def missing_part(self, session_id: str) -> InvalidData:
        """The error for a session that lacks a part."""
        return InvalidData(f"{self.location(session_id)}: a part of it is missing in {self._database.parts.name}")

    async def whole(self, session_id: str, *, taken: bool = False) -> Whole | None:
        """A live session with its string, or one that is being ended; None if there is none."""
        for _ in range(_ATTEMPTS):
            found = await self.find(session_id, STRING, taken=taken)
            if found is None:
                return None
            try:
                return await self._whole(session_id, found)
            except PartMissing:
                continue  # trimmed or deleted meanwhile
        raise self.missing_part(session_id)

    async def _whole(self, session_id: str, found: Document) -> Whole:
        try:
            length = of_type(found, "length", int)
            self.check_size(session_id, length)
            parts, lines, count = parts_of(found), lines_of(found), count_of(found)
            head, revision = of_type(found, "head", bytes), of_type(found, "revision", int)
            self.check_size(session_id, sum(part.bytes for part in parts))
            raw = join(head, [*await self.data_of(parts), *lines], count)
            if len(raw) != length:
                raise InvalidData(f"it has {len(raw):,} bytes instead of {length:,}")
            agent_id = found.get("agent_id")
            return Whole(raw, revision, agent_id if isinstance(agent_id, str) else None, expiry_of(found), parts)
        except InvalidData as error:
            raise self.invalid(session_id, error) from None

    async def data_of(self, parts: Sequence[Part]) -> list[bytes]:
        """The bytes of parts. Raises InvalidData, and an error that `whole` handles if one of them is missing."""
        data: dict[str, Any] = {}
        for some in batched(parts, _REQUEST_SESSIONS):
            with self._database.request():
                cursor = self._database.parts.find({"_id": {"$in": [part.id for part in some]}}, {"data": 1})
                data |= {one["_id"]: one.get("data") async for one in cursor}
        found = []
        for part in parts:
            if part.id not in data:
                raise PartMissing
            value = data[part.id]
            if not isinstance(value, bytes) or len(value) - part.skip != part.bytes:
                raise InvalidData(f"its part {part.id} has not the {part.bytes:,} bytes that it should have")
            found.append(value[part.skip :])
        return found

    async def many(self, session_ids: Sequence[str]) -> dict[str, Stored | AwiError]:
        """The strings of live sessions, or why one could not be read. Missing sessions are left out."""
        found: dict[str, Stored | AwiError] = {}
        sizes: dict[str, int] = {}
        async for one in self.each(session_ids, {**EXISTS, "length": 1}):
            session_id = str(one["_id"])
            try:
                sizes[session_id] = of_type(one, "length", int)
                self.check_size(session_id, sizes[session_id])
            except InvalidData as error:
                found[session_id] = self.invalid(session_id, error)
            except TooLarge as error:
                found[session_id] = error
        readable = [one for one in session_ids if one in sizes and one not in found]
        for group in batched_by_bytes(readable, sizes.__getitem__, _REQUEST_BYTES, _REQUEST_SESSIONS):
            now = await self._database.now()
            documents = [one async for one in self.each(group, STRING)]
            for document in documents:
                session_id = str(document["_id"])
                try:
                    found[session_id] = await self._stored(session_id, document, now)
                except PartMissing:
                    try:
                        if (whole := await self.whole(session_id)) is not None:
                            found[session_id] = Stored(whole.raw, ttl_ms(whole.expires_at, now))
                    except (InvalidData, TooLarge) as error:
                        found[session_id] = error
                except (InvalidData, TooLarge) as error:
                    found[session_id] = error
        return found

    async def _stored(self, session_id: str, document: Document, now: datetime) -> Stored:
        whole = await self._whole(session_id, document)
        return Stored(whole.raw, ttl_ms(whole.expires_at, now))

    async def each(self, session_ids: Sequence[str], fields: Document) -> Any:
        """These fields of live sessions, and of those whose expiry cannot be read, in any order."""
        for some in batched(session_ids, BATCH_IDS):
            now = await self._database.now()
            with self._database.request():
                documents = [one async for one in self._database.sessions.find({"_id": {"$in": list(some)}}, fields)]
            for one in documents:
                if is_live_or_invalid(one, now):
                    yield one

    async def base(self, session_id: str, *, full: bool) -> Base | None:
        """See `SessionStore.read_base`."""
        if not full:
            found = await self.find(session_id, HEAD)
            if found is None:
                return None
            if (base := self.base_of_head(session_id, found)) is not None:
                return base
        whole = await self.whole(session_id)
        if whole is None:
            return None
        try:
            return base_from_string(whole.raw)._replace(revision=whole.revision)
        except InvalidData as error:
            raise self.invalid(session_id, error) from None

    def base_of_head(self, session_id: str, found: Document) -> Base | None:
        """The base from a document with the fields HEAD; None if these are not enough."""
        try:
            if count_of(found) is None:
                raw = whole_string(found)
                if raw is None:
                    return None
                self.check_size(session_id, len(raw))
                return base_from_string(raw)._replace(revision=of_type(found, "revision", int))
            head, following = of_type(found, "head", bytes), of_type(found, "following", bytes)
            length, revision = of_type(found, "length", int), of_type(found, "revision", int)
            document = decode_head(head)
            if document is None:
                raise InvalidData("its head is not the start of a session document")
        except InvalidData as error:
            raise self.invalid(session_id, error) from None
        self.check_size(session_id, length)
        return Base(document, head, length, None, True, following[:FOLLOWING_BYTES], revision)

    # -- writing

    async def insert_parts(self, session_id: str, parts: Iterable[NewPart], until: datetime) -> None:
        """Write parts, before the session's document refers to them. `until`: the `parts_until` that it will have."""
        expires_at = expiry_of_parts(until)
        for group in batched_by_bytes(parts, lambda new: len(new.data), _REQUEST_BYTES, _REQUEST_SESSIONS):
            # replacements, because an insertion that is repeated after a lost reply would fail
            writes = [
                ReplaceOne(
                    {"_id": new.part.id},
                    {"session": session_id, "data": new.data, "op_ids": new.op_ids, "expires_at": expires_at},
                    upsert=True,
                )
                for new in group
            ]
            with self._database.request():
                await self._database.parts.bulk_write(writes, ordered=False)

    async def extend_parts(self, session_ids: Sequence[str], until: datetime) -> None:
        """Let all parts of sessions last for `until`, before that becomes their `parts_until`."""
        expires_at = expiry_of_parts(until)
        which: Document = {"session": {"$in": list(session_ids)}}
        # a part that never expires is left so
        which["expires_at"] = {"$ne": None} if expires_at is None else {"$lt": expires_at}
        with self._database.request():
            await self._database.parts.update_many(which, {"$set": {"expires_at": expires_at}})

    async def shorten_parts(self, session_id: str, until: datetime) -> None:
        """Let the parts of a session that never expire, expire: after its document has got this `parts_until`."""
        with self._database.request():
            await self._database.parts.update_many(
                {"session": session_id, "expires_at": None}, {"$set": {"expires_at": expiry_of_parts(until)}}
            )

    async def keep_parts(self, parts: Iterable[Part]) -> None:
        """Let these parts never expire."""
        for some in batched([part.id for part in parts], BATCH_IDS):
            with self._database.request():
                await self._database.parts.update_many({"_id": {"$in": some}}, {"$set": {"expires_at": None}})

    async def delete_parts(self, parts: Iterable[Part]) -> None:
        """Delete parts to which no session refers any more."""
        ids = [part.id for part in parts]
        for some in batched(ids, BATCH_IDS):
            with self._database.request():
                await self._database.parts.delete_many({"_id": {"$in": some}})


class PartMissing(Exception):
    """A part that a session's document refers to does not exist."""


def whole_string(found: Document) -> bytes | None:
    """The string of a document with the fields HEAD if it does not have the layout, and no parts; else None."""
    head = found.get("head")
    is_whole = isinstance(head, bytes) and found.get("count", 0) is None and found.get("length") == len(head)
    return head if is_whole else None


def is_live_or_invalid(found: Document, now: datetime) -> bool:
    """Like `is_live`, and true if the document is invalid: then the caller reports that."""
    try:
        return is_live(found, now)
    except InvalidData:
        return True


def parts_until(expires_at: datetime | None) -> datetime:
    """The `parts_until` for sessions that expire then."""
    return FOREVER if expires_at is None else expires_at + PARTS_OUTLIVE


def expiry_of_parts(until: datetime) -> datetime | None:
    """When parts expire whose session's `parts_until` is this."""
    return None if until >= FOREVER else until + PARTS_OUTLIVE
