"""Repair data that is derived from sessions. Each repair compares again in its write."""

from __future__ import annotations

from datetime import timedelta

from ...document import keys
from ...document.keys import KeyKind, decode_key, kind_of
from ..redis.repairs import MissingTtl, Orphan, Repairable
from .contents import EXISTS, Contents, parts_until
from .database import LiveDatabase
from .documents import Document
from .mapping import Mappings


async def repair(database: LiveDatabase, contents: Contents, fault: Repairable) -> bool:
    """Repair a fault, unless what it concerns has changed. Returns whether it was repaired."""
    if isinstance(fault, Orphan):
        return await _delete_orphan(database, contents, fault)
    if isinstance(fault, MissingTtl):
        return await _set_ttl(database, contents, fault)
    found = await contents.find(fault.session_id, EXISTS)
    expires_at = found.get("expires_at") if found is not None else None
    if expires_at is None:  # it does not exist, or waits to be archived
        return False
    agent_id = _id(fault.name)
    before = await Mappings(database).get(agent_id)
    return before is None and await Mappings(database).set_if_absent(agent_id, fault.session_id, expires_at) == (
        fault.session_id
    )


async def _delete_orphan(database: LiveDatabase, contents: Contents, fault: Orphan) -> bool:
    """Delete a mapping whose session does not exist. No last delta is an orphan: it is a part of its session."""
    if kind_of(fault.name) is not KeyKind.AGENT:
        return False
    if fault.session_id is not None and await contents.find(fault.session_id, EXISTS) is not None:
        return False
    with database.request():
        found = await database.agents.find_one({"_id": _id(fault.name)}, {"session_id": 1})
        value = found.get("session_id") if found is not None else None
        raw = value_of(value)
        if found is None or not raw.startswith(fault.start) or len(raw) != fault.length:
            return False
        done = await database.agents.delete_one({"_id": found["_id"], "session_id": value})
    return done.deleted_count > 0


async def _set_ttl(database: LiveDatabase, contents: Contents, fault: MissingTtl) -> bool:
    """Set the TTL of what has none, if it has still the same length."""
    expires_at = await database.now() + timedelta(milliseconds=fault.ttl_ms)
    kind, name = kind_of(fault.name), _id(fault.name)
    collection, change = database.strings, {"expires_at": expires_at}
    wanted: Document = {"_id": name, "expires_at": None, "length": fault.length}
    if kind is KeyKind.SESSION:
        collection = database.sessions
        change |= {"parts_until": parts_until(expires_at)}
        wanted["taken"] = {"$ne": True}
    elif kind is KeyKind.AGENT:
        collection = database.agents
        del wanted["length"]
    elif kind is KeyKind.RATE_LIMIT:
        collection = database.counters
        del wanted["length"]
    with database.request():
        done = await collection.update_one(wanted, {"$set": change})
    if done.matched_count and kind is KeyKind.SESSION:
        await contents.shorten_parts(name, parts_until(expires_at))
    return done.matched_count > 0


def value_of(value: object) -> bytes:
    """The string that Redis would have for a short value."""
    return str(value if value is not None else "").encode("utf-8", "replace")


def _id(name: bytes) -> str:
    """The id of the document that a key stands for."""
    text = decode_key(name)
    for kind in (KeyKind.SESSION, KeyKind.AGENT):
        text = text.removeprefix(keys.PREFIXES[kind])
    return text
