"""MongoDB as the store of live sessions in the place of a worker's Valkey server (AWICTL_TEST_STORE=mongo)."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from awictl import Settings
from awictl.document import keys
from awictl.store.mongo.contents import expiry_of_parts, parts_until
from awictl.store.mongo.documents import FOREVER, divide, join, string_fields

from .mongo import MongoServer

PREFIX = "awi_live"


class MongoLive:
    """What tests use of `support.valkey.ValkeyServer`, for MongoDB; a test that uses more is skipped."""

    def __init__(self, server: MongoServer) -> None:
        self.server = server
        #: The stored data by the keys of Redis.
        self.raw: Any = _Keys(server)

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"needs Redis: {name}")

    def location(self, key: str) -> str:
        """How messages name the document in the place of a key, as a regular expression."""
        for prefix, kind in ((keys.SESSION_PREFIX, "sessions"), (keys.AGENT_PREFIX, "agents")):
            if key.startswith(prefix):
                return f"{PREFIX}_{kind} {key.removeprefix(prefix)}|{key}"
        return key

    def settings(self, **others: Any) -> Settings:
        """Return settings for this server."""
        return settings_for(self.server.uri, **others)


def needs_redis(server: object, why: str) -> None:
    """Skip a test that cannot hold on MongoDB."""
    if isinstance(server, MongoLive):
        pytest.skip(f"needs Redis: {why}")


#: Why a test is skipped that needs an operator without an archive.
HAS_AN_ARCHIVE = "where MongoDB is the store, it is the archive, too"


def settings_for(uri: str, **others: Any) -> Settings:
    """Return settings of which the live store is MongoDB."""
    return Settings(**{"use_redis": False, "mongodb_uri": uri, **others})


class _Keys:
    """The methods of a client of Redis that tests call, on the documents in MongoDB."""

    def __init__(self, server: MongoServer) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"needs Redis: {name}")

    def _collection(self, kind: str) -> Any:
        return self._server.raw[f"{PREFIX}_{kind}"]

    def _place(self, key: str | bytes) -> tuple[Any, str, str]:
        """The collection and the `_id` of a key, and the field with its expiry."""
        name = key.decode() if isinstance(key, bytes) else key
        for prefix, kind, expiry in (
            (keys.SESSION_PREFIX, "sessions", "expires_at"),
            (keys.DIFF_PREFIX, "sessions", "diff_expires_at"),
            (keys.AGENT_PREFIX, "agents", "expires_at"),
        ):
            if name.startswith(keys.RATE_LIMIT_PREFIX):
                return self._collection("counters"), name, "expires_at"
            if name.startswith(prefix):
                return self._collection(kind), name.removeprefix(prefix), expiry
        return self._collection("strings"), name, "expires_at"

    def _find(self, key: str | bytes) -> dict[str, Any] | None:
        collection, one, expiry = self._place(key)
        found: dict[str, Any] | None = collection.find_one({"_id": one})
        if found is None or found.get("taken") or (expiry == "diff_expires_at" and found["diff"] is None):
            return None
        return found if found[expiry] is None or found[expiry] > datetime.now(UTC) else None

    def get(self, key: str | bytes) -> bytes | None:
        """The string of a key."""
        found = self._find(key)
        collection, _, expiry = self._place(key)
        if found is None:
            return None
        if expiry == "diff_expires_at":
            return bytes(found["diff"])
        if collection.name == f"{PREFIX}_agents":
            return str(found["session_id"]).encode()
        if collection.name == f"{PREFIX}_strings":
            return bytes(found["value"])
        if collection.name == f"{PREFIX}_counters":
            return str(found["count"]).encode()
        parts = {one["_id"]: one["data"] for one in self._collection("parts").find({"session": found["_id"]})}
        pieces = [parts[one["id"]][one["skip"] :] for one in found["parts"]]
        return join(found["head"], [*pieces, *found["lines"]], found["count"])

    def set(self, key: str, value: Any, *, ex: int | None = None, px: int | None = None, keepttl: bool = False) -> None:
        """Store a string."""
        raw = value if isinstance(value, bytes) else str(value).encode()
        now = datetime.now(UTC)
        milliseconds = px if px is not None else ex * 1000 if ex is not None else None
        expires_at = None if milliseconds is None else now + timedelta(milliseconds=milliseconds)
        collection, one, expiry = self._place(key)
        if keepttl and (found := self._find(key)) is not None:
            expires_at = found[expiry]
        if expiry == "diff_expires_at":
            collection.update_one({"_id": one}, {"$set": {"diff": raw, "diff_expires_at": expires_at}})
        elif collection.name == f"{PREFIX}_agents":
            made = {"_id": one, "session_id": raw.decode("utf-8", "replace"), "expires_at": expires_at}
            collection.replace_one({"_id": one}, made, upsert=True)
        elif collection.name == f"{PREFIX}_counters":
            counter = {"_id": one, "count": int(raw), "expires_at": expires_at}
            collection.replace_one({"_id": one}, counter, upsert=True)
        elif collection.name == f"{PREFIX}_strings":
            digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
            made = {"_id": one, "value": raw, "length": len(raw), "digest": digest, "expires_at": expires_at}
            collection.replace_one({"_id": one}, made, upsert=True)
        else:
            until = parts_until(expires_at)
            divided = divide(one, int(now.timestamp() * 1_000_000), raw)
            before = collection.find_one({"_id": one}) or {}
            made = {
                "_id": one,
                "revision": int(now.timestamp() * 1_000_000),
                "agent_id": divided.agent_id,
                **string_fields(raw, divided),
                "expires_at": expires_at,
                "parts_until": until if divided.parts else FOREVER,
                "diff": before.get("diff"),
                "diff_expires_at": before.get("diff_expires_at"),
            }
            for new in divided.parts:
                part = {"_id": new.part.id, "session": one, "data": new.data, "op_ids": new.op_ids}
                self._collection("parts").insert_one(part | {"expires_at": expiry_of_parts(until)})
            collection.replace_one({"_id": one}, made, upsert=True)

    def mset(self, values: dict[str, Any]) -> None:
        """Store strings without a TTL."""
        for key, value in values.items():
            self.set(key, value)

    def exists(self, *names: str) -> int:
        """How many of these keys exist."""
        return sum(self._find(name) is not None for name in names)

    def delete(self, *names: str) -> int:
        """Delete keys. Returns how many existed."""
        deleted = 0
        for name in names:
            collection, one, expiry = self._place(name)
            deleted += self._find(name) is not None
            if expiry == "diff_expires_at":
                collection.update_one({"_id": one}, {"$set": {"diff": None, "diff_expires_at": None}})
            else:
                collection.delete_one({"_id": one})
        return deleted

    def pttl(self, key: str | bytes) -> int:
        """Milliseconds until a key expires; -1 if it has no TTL, -2 if it does not exist.

        Too low by half a second: the store has measured the server's clock, so that what it sets is off by a moment.
        """
        found = self._find(key)
        if found is None:
            return -2
        expires_at = found[self._place(key)[2]]
        if expires_at is None:
            return -1
        return max((expires_at - datetime.now(UTC)) // timedelta(milliseconds=1) - 500, 1)

    def ttl(self, key: str | bytes) -> int:
        """The same in seconds."""
        found = self.pttl(key)
        return found if found < 0 else round(found / 1000)

    def pexpire(self, key: str, milliseconds: int) -> None:
        """Set the TTL of a key."""
        self._expire(key, datetime.now(UTC) + timedelta(milliseconds=milliseconds))

    def expire(self, key: str, seconds: int) -> None:
        """Set the TTL of a key."""
        self.pexpire(key, seconds * 1000)

    def persist(self, key: str) -> None:
        """Remove the TTL of a key."""
        self._expire(key, None)

    def _expire(self, key: str, expires_at: datetime | None) -> None:
        collection, one, expiry = self._place(key)
        collection.update_one({"_id": one}, {"$set": {expiry: expires_at}})

    def strlen(self, key: str) -> int:
        """Length of a string."""
        return len(self.get(key) or b"")

    def keys(self, pattern: str = "*") -> list[bytes]:
        """The names of all keys that match a pattern."""
        return list(self.scan_iter(pattern))

    def scan_iter(self, match: str = "*", **_: Any) -> Iterator[bytes]:
        """The names of all keys that match a pattern."""
        for one in self._collection("sessions").find({}, {"_id": 1}):
            yield from self._matching(match, keys.SESSION_PREFIX + one["_id"], keys.DIFF_PREFIX + one["_id"])
        for one in self._collection("agents").find({}, {"_id": 1}):
            yield from self._matching(match, keys.AGENT_PREFIX + one["_id"])
        for one in self._collection("strings").find({}, {"_id": 1}):
            yield from self._matching(match, one["_id"])

    def _matching(self, pattern: str, *names: str) -> Iterator[bytes]:
        for name in names:
            if fnmatch.fnmatchcase(name, pattern) and self._find(name) is not None:
                yield name.encode()

    def dbsize(self) -> int:
        """Number of keys."""
        return len(self.keys())
