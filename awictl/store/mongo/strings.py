"""Plain string keys with a TTL in MongoDB, for caches and media: one document per key.

    {_id: key, value: Binary, length: bytes, digest: SHA-1 in hex, expires_at: Date or null}

`length` and `digest` are stored, because no query of MongoDB computes them: sizes are checked before values are
fetched, and versions are compared without fetching values.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from ...document.timestamps import EPOCH
from ...errors import AwiError, InvalidData, TooLarge
from ...settings import Settings
from ...util.batched import batched, batched_by_bytes
from ..keyspace import KeyInfo, Keyspace
from ..strings import KeyVersion
from .database import LiveDatabase
from .documents import BATCH_IDS, Document, expiry_of, live_at, of_type, ttl_ms
from .errors import only_duplicates
from .scan import scan

#: Maximum size of the values of one request, in bytes (DESIGN, promise 9).
BATCH_BYTES = 4_194_304
#: Maximum size of a value, in bytes: MongoDB stores no document above 16 MiB.
MAX_VALUE_BYTES = 16_711_680

_MILLISECOND = timedelta(milliseconds=1)


class MongoStrings:
    """The string keys in one collection. Methods raise Unreachable, AccessDenied, InvalidData, TooLarge."""

    def __init__(self, database: LiveDatabase, settings: Settings, keyspace: Keyspace) -> None:
        self._database = database
        self._strings = database.strings
        self._max_bytes = settings.max_document_bytes
        self.where = database.where
        self.keyspace = keyspace

    async def close(self) -> None:
        """Close nothing: the connections are those of the store."""

    async def get(self, key: str) -> bytes | None:
        """The value of a key; None if it does not exist. Raises TooLarge if it exceeds the limit. One round trip."""
        found = await self._values([key])
        if key in found:
            return found[key]
        [info] = await self.key_info([key])  # a missing key, or a large or invalid value
        if info is None:
            return None
        if isinstance(info.error, AwiError):
            raise info.error
        self._check_size(key, info.length)
        return (await self._values([key])).get(key)

    async def get_many(self, names: Sequence[str]) -> dict[str, bytes | AwiError]:
        """The values of these keys, or why one could not be read. Missing keys are left out.

        Two round trips, or more if they are too large for one request together: sizes are checked first.
        """
        found: dict[str, bytes | AwiError] = {}
        sizes: dict[str, int] = {}
        for name, info in zip(names, await self.key_info(names), strict=True):
            if info is None:
                continue
            try:
                if isinstance(info.error, AwiError):
                    raise info.error
                self._check_size(name, info.length)
            except AwiError as error:
                found[name] = error
            else:
                sizes[name] = info.length
        for group in batched_by_bytes(sizes, sizes.__getitem__, BATCH_BYTES, BATCH_IDS):
            found |= await self._values(group)
        return found

    async def _values(self, names: Sequence[str], most: int | None = None) -> dict[str, bytes]:
        """The values of these keys that are not larger than `most` bytes, by default the limit for documents."""
        now = await self._database.now()
        wanted = {"_id": {"$in": list(names)}, "length": {"$lte": self._max_bytes if most is None else most}}
        with self._database.request():
            documents = await self._strings.find(wanted, {"value": 1, "expires_at": 1}).to_list()
        return {
            one["_id"]: bytes(one["value"])
            for one in documents
            if isinstance(one.get("value"), bytes) and not has_expired(one, now) and _has_expiry(one)
        }

    async def put(self, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()) -> None:
        """Store strings with a TTL of `ttl_ms` milliseconds. One round trip for each 4 MiB; idempotent.

        `also`: keys whose TTL is set too, if they exist; their values stay.
        """
        for name, raw in strings.items():
            self._check_storable(name, raw)
        await self._database.prepare()
        now = await self._database.now()
        expiry = {"expires_at": now + timedelta(milliseconds=ttl_ms)}
        for group in batched_by_bytes(strings, lambda name: len(strings[name]), BATCH_BYTES, BATCH_IDS):
            await self._write([UpdateOne({"_id": one}, _set(strings[one], expiry), upsert=True) for one in group])
        await self._write([UpdateOne({"_id": one, **live_at(now)}, {"$set": expiry}) for one in also])

    async def _write(self, changes: Sequence[UpdateOne]) -> None:
        if not changes:
            return
        with self._database.request():
            try:
                await self._strings.bulk_write(list(changes), ordered=False)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise
                await self._strings.bulk_write(list(changes), ordered=False)  # others inserted the key meanwhile

    async def compare_and_set(
        self, name: str, expected: bytes | None, strings: Mapping[str, bytes], ttl_ms: int, also: Sequence[str] = ()
    ) -> bool:
        """Like `put`, if the key `name`, which `strings` must contain, still has a value. Returns whether it had.

        `expected`: that value; None: the key must not exist. Not retried after a lost reply. Only the write to `name`
        is compared; the others follow it, so a crash in between may leave them out.
        """
        for one, raw in strings.items():
            self._check_storable(one, raw)
        await self._database.prepare()
        now = await self._database.now()
        change = _set(strings[name], {"expires_at": now + timedelta(milliseconds=ttl_ms)})
        with self._database.write_once(f"{name} was stored", "store it again"):
            if expected is not None:
                wanted = {"_id": name, "digest": _digest(expected), **live_at(now)}
                done = await self._strings.update_one(wanted, change)
                if not done.matched_count:
                    return False
            else:
                try:  # the insert of an upsert fails if the key exists and has not expired
                    await self._strings.update_one({"_id": name, "expires_at": {"$lte": now}}, change, upsert=True)
                except DuplicateKeyError:
                    return False
        await self.put({one: raw for one, raw in strings.items() if one != name}, ttl_ms, also)
        return True

    async def delete(self, names: Sequence[str]) -> list[bool]:
        """Delete keys. Returns for each whether it existed. Two round trips for each `BATCH_IDS` keys."""
        infos = await self.key_info(names)
        for some in batched(list(names), BATCH_IDS):
            with self._database.request():
                await self._strings.delete_many({"_id": {"$in": list(some)}})
        return [info is not None for info in infos]

    async def versions(self, names: Sequence[str]) -> dict[str, KeyVersion]:
        """The current versions of keys, for `delete_unchanged`. One round trip for each `BATCH_IDS` keys."""
        found = dict.fromkeys(names, KeyVersion("", 0))  # the version of a missing key: nothing has it
        for document in await self._documents(names, {"digest": 1, "expires_at": 1}):
            expires_at = expiry_of(document)
            milliseconds = -1 if expires_at is None else (expires_at - EPOCH) // _MILLISECOND
            found[document["_id"]] = KeyVersion(str(document.get("digest")), milliseconds)
        return found

    async def delete_unchanged(self, versions: Mapping[str, KeyVersion]) -> dict[str, bool]:
        """Delete keys that are still in these versions. Idempotent.

        Returns for each whether it is gone: it was deleted now, or before. Otherwise it was written to, or its TTL was
        set.
        """
        for some in batched(list(versions), BATCH_IDS):
            unchanged = [DeleteOne({"_id": name, **_unchanged(versions[name])}) for name in some]
            with self._database.request():
                await self._strings.bulk_write(unchanged, ordered=False)
        left = {document["_id"] for document in await self._documents(list(versions), {"expires_at": 1})}
        return {name: name not in left for name in versions}

    async def key_info(self, names: Sequence[str], size: int = 0) -> list[KeyInfo | None]:
        """TTL, length and the first `size` bytes of each key; None if a key does not exist.

        One round trip for each `BATCH_IDS` keys; with a `size`, another one, or more for larger values: MongoDB returns
        no part of a value.
        """
        now = await self._database.now()
        found: dict[str, KeyInfo] = {}
        for document in await self._documents(names, {"length": 1, "expires_at": 1}):
            found[document["_id"]] = self._info(document, now)
        if size:
            lengths = {name: info.length for name, info in found.items() if info.length and info.error is None}
            for group in batched_by_bytes(lengths, lengths.__getitem__, BATCH_BYTES, BATCH_IDS):
                for name, raw in (await self._values(group, MAX_VALUE_BYTES)).items():
                    found[name] = found[name]._replace(start=raw[:size])
        return [found.get(name) for name in names]

    def _info(self, document: Document, now: datetime) -> KeyInfo:
        try:
            length: int = of_type(document, "length", int)
            return KeyInfo(ttl_ms(expiry_of(document), now), length, b"")
        except InvalidData as error:
            return KeyInfo(None, 0, b"", InvalidData(f"{self.where}, key {document['_id']}: {error}"))

    async def _documents(self, names: Sequence[str], fields: Document) -> list[Document]:
        """Fields of the keys that exist."""
        now = await self._database.now()
        found: list[Document] = []
        for some in batched(list(names), BATCH_IDS):
            with self._database.request():
                found += await self._strings.find({"_id": {"$in": list(some)}}, fields).to_list()
        return [one for one in found if not has_expired(one, now)]

    async def scan(self, prefix: str, rate: float | None = None) -> AsyncGenerator[list[str], None]:
        """The names of all keys with a prefix, without the prefix, each once, in batches.

        `rate`: maximum number of keys to scan per second.
        """
        async with aclosing(scan(self._database, self._strings, prefix, rate=rate)) as batches:
            async for documents in batches:
                yield [one["_id"].removeprefix(prefix) for one in documents]

    def _check_size(self, key: str, length: int) -> None:
        if length > self._max_bytes:
            raise TooLarge(
                f"{self.where}, key {key}: {length:,} bytes, more than the limit of {self._max_bytes:,}; "
                "increase AWI_MAX_DOCUMENT_BYTES to read it"
            )

    def _check_storable(self, key: str, raw: bytes) -> None:
        if len(raw) > MAX_VALUE_BYTES:
            raise TooLarge(
                f"{self.where}, key {key}: {len(raw):,} bytes, but MongoDB stores at most {MAX_VALUE_BYTES:,} in one "
                "document; nothing was written"
            )


def has_expired(document: Document, now: datetime) -> bool:
    """Whether a document has expired; False if what it has is no date."""
    expires_at = document.get("expires_at")
    return isinstance(expires_at, datetime) and expires_at <= now


def _has_expiry(document: Document) -> bool:
    """Whether the expiry of a document is a date or none."""
    expires_at = document.get("expires_at", "")
    return expires_at is None or isinstance(expires_at, datetime)


def _set(raw: bytes, expiry: Document) -> Document:
    return {"$set": {"value": raw, "length": len(raw), "digest": _digest(raw), **expiry}}


def _digest(raw: bytes) -> str:
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()


def _unchanged(version: KeyVersion) -> Document:
    """The condition that a key has this version."""
    expires_at = EPOCH + timedelta(milliseconds=version.expires_at) if version.expires_at >= 0 else None
    return {"digest": version.digest, "expires_at": expires_at}
