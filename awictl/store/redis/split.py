"""What becomes of a script with several keys on a cluster, where a script can only use keys of one slot.

Each function here has the name of a script, and returns what the script returns on a single server. The key that
decides is written first, alone, by the same script without its other keys: the session, or the first key of a group of
strings. Keys that are derived from it (the last delta, the agent's mapping) are written after it, together. Where
the reply does not depend on them, nobody waits for them; see `Following`. If a process dies in between, or a master of
such a key does, the key is stale until the next update or `awictl doctor --fix`: the session is the truth.

Repairs (`remove_orphan`, `create_mapping`) check one key and then write another. They are idempotent, and a session
that is created or deleted in that very moment can be missed: run them again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from ...errors import AwiError
from .replies import ErrorReply
from .script import Argument, Call, Script
from .slots import key_slot
from .split_calls import Commands, One, Sender, Split

log = logging.getLogger("awictl")

#: Longest value of a mapping that is read, in bytes; a session id is much shorter.
_MAPPING_BYTES = 1_024
#: Bytes of a last delta that are read at first.
_DIFF_BYTES = 32_768

_COMMIT = Script("commit")
_COMPARE_AND_SET = Script("compare_and_set")
_COUNT_REQUEST = Script("count_request")
_DELETE = Script("delete")
_DELETE_MAPPING = Script("delete_mapping")
_EXTEND_MAPPING = Script("extend_mapping")
_FINISH_END = Script("finish_end")
_PUT = Script("put")
_READ_BASE = Script("read_base")
_REMOVE_ORPHAN = Script("remove_orphan")
_REPLACE_MAPPING = Script("replace_mapping")
_RESTORE = Script("restore")
_TOUCH = Script("touch")

# -- sessions


async def commit(split: Split, call: Call, then: Commands) -> list[Any]:
    """The session; if that was written, the last delta and the TTL of the mapping follow."""
    (session, diff, mapping), arguments = call
    delta, delta_ttl = arguments[8], arguments[9]
    short = [*arguments]
    short[8] = b""  # not sent to the master of the session
    replies = await split.one(_COMMIT, ([session], short), then)
    if type(replies[0]) is list and replies[0][0] == b"ok":
        ttl, session_id = arguments[6], arguments[10]
        extended = [(_EXTEND_MAPPING, ([mapping], [session_id, ttl]))] if ttl else []
        split.follow(extended, [("SET", diff, delta, "PX", delta_ttl)])
    return replies


async def create(split: Split, call: Call, then: Commands) -> list[Any]:
    """The session, then the mapping. If only the mapping cannot be written, the session is created nevertheless.

    By `restore`, which a retry after a lost reply can repeat: a session with the same bytes is the same creation.
    """
    (session, mapping), (raw, ttl, session_id) = call
    replies = await split.one(_RESTORE, ([session], [raw, ttl, session_id]), then, idempotent=True)
    if replies[0] == [1, b""]:
        previous = await _map(split, mapping, session_id, ttl)
        replies[0] = [1, previous if previous != _bytes(session_id) else b""]
    return replies


async def restore(split: Split, call: Call, then: Commands) -> list[Any]:
    """The session, then the mapping, unless the agent has one."""
    (session, mapping), (raw, ttl, session_id) = call
    replies = await split.one(_RESTORE, ([session], [raw, ttl, session_id]), then, idempotent=True)
    if replies[0] == [1, b""]:
        replies[0] = await _map_if_unmapped(split, mapping, session_id, ttl)
    return replies


async def put(split: Split, call: Call, then: Commands) -> list[Any]:
    """The session, then the last delta, and the mapping unless the agent has one."""
    (session, diff, *mapping), arguments = call
    _, _, session_id, mapping_ttl, delta, delta_ttl = arguments
    replies = await split.one(_PUT, ([session], arguments), then, idempotent=True)
    if replies[0] == [1, b""]:
        if delta:
            split.follow([], [("SET", diff, delta, "PX", delta_ttl)])
        for one in mapping:
            replies[0] = await _map_if_unmapped(split, one, session_id, mapping_ttl)
    return replies


async def _map_if_unmapped(split: Split, mapping: str | bytes, session_id: Argument, ttl: Argument) -> Any:
    """Map an agent to a session unless it has a mapping. Returns [1, the mapping now], or an error."""
    written, current = await split.read(
        [("SET", mapping, session_id, "PX", ttl, "NX"), ("GETRANGE", mapping, 0, _MAPPING_BYTES)]
    )
    if isinstance(written, Exception):
        return written
    return [1, current if isinstance(current, bytes) else b""]


async def _map(split: Split, mapping: str | bytes, session_id: Argument, ttl: Argument) -> bytes:
    """Map an agent to a session. Returns the previous value. Failures are logged: the session exists."""
    try:
        previous, written = await split.read(
            [("GETRANGE", mapping, 0, _MAPPING_BYTES), ("SET", mapping, session_id, "PX", ttl)]
        )
        split.server.checked(written, str(mapping))
    except AwiError as error:
        log.warning("%s was created, but its agent is not mapped to it: %s", _bytes(session_id).decode(), error)
        return b""
    return previous if isinstance(previous, bytes) else b""


async def delete(split: Split, call: Call, then: Commands) -> list[Any]:
    """The session; the keys derived from it follow."""
    (session, diff, *mapping), (digest, session_id) = call
    replies = await split.one(_DELETE, ([session], [digest, session_id]), then)
    if replies[0] in (b"deleted", b"gone"):
        split.follow([(_DELETE_MAPPING, ([one], [session_id])) for one in mapping], [("DEL", diff)])
    return replies


async def finish_end(split: Split, call: Call, then: Commands) -> list[Any]:
    """What was taken of the session; the keys derived from it follow."""
    (session, ending, *derived), (session_id, digest) = call
    replies = await split.server.run_in_slots(
        [(_FINISH_END, ([session, ending], [session_id, digest]))], idempotent=True, then=then
    )
    if replies[0] == 1 and derived:
        diff, *mapping = derived
        split.follow([(_DELETE_MAPPING, ([one], [session_id])) for one in mapping], [("DEL", diff)])
    return replies


async def touch(split: Split, call: Call, then: Commands) -> list[Any]:
    """The session; the TTL of the mapping follows."""
    (session, mapping), (ttl, session_id, _) = call
    replies = await split.one(_TOUCH, ([session], [ttl, session_id, 1]), then, idempotent=True)
    if type(replies[0]) is list:
        replies[0] = [replies[0][0], b""]
        if replies[0][0] == 1:
            split.follow([(_EXTEND_MAPPING, ([mapping], [session_id, ttl]))])
    return replies


# -- requests of agents


async def read_for_request(split: Split, call: Call, then: Commands) -> list[Any]:
    """The counter, the mapping, the session and the last delta at once; then the TTLs follow, if they are extended."""
    (mapping, counter, session, *diff), arguments = call
    session_id, ttl, limit, window, chunk, most, more = arguments
    calls: list[tuple[Script, Call]] = []
    if session_id:
        calls.append((_READ_BASE, ([session], [chunk, most, more])))
    if limit:
        calls.append((_COUNT_REQUEST, ([counter], [window])))
    reads: list[Sequence[Argument]] = [("GETRANGE", mapping, 0, _MAPPING_BYTES)]
    reads += [("GETRANGE", one, 0, _DIFF_BYTES - 1) for one in diff if session_id]
    await split.following.finished([mapping, *diff])
    replies: list[Any] = await split.server.run_in_slots(calls, idempotent=True, then=[*reads, *then])
    if failure := next((one for one in replies[: len(calls) + 1] if isinstance(one, ErrorReply)), None):
        return [failure, *replies[len(calls) + len(reads) :]]
    found: list[Any] = replies.pop(0) if session_id else [-1, b"", b""]
    counted: list[int] = replies.pop(0) if limit else [0, 0]
    count, left = counted
    current, *deltas = replies[: len(reads)]
    rest = replies[len(reads) :]
    if limit and count > int(limit):
        return [[count, left, b"", -2, b"", b""], *rest]
    if not current or current != _bytes(session_id) or found[0] < 0:
        return [[count, left, current, -1, b"", b""], *rest]
    delta = deltas[0] if deltas else None
    if isinstance(delta, bytes) and len(delta) == _DIFF_BYTES:
        [delta] = await split.read([("GET", diff[0])])
    if isinstance(delta, ErrorReply):
        return [delta, *rest]
    split.follow([(_TOUCH, ([session], [ttl, session_id, 1])), (_EXTEND_MAPPING, ([mapping], [session_id, ttl]))])
    return [[count, left, current, *found, delta or None], *rest]


async def create_if_absent(split: Split, call: Call, then: Commands) -> list[Any]:
    """Look for the agent's session; then create one, and map the agent to it. Of several, all but one delete theirs."""
    (session, mapping, *existing), (raw, ttl, session_id, expected) = call
    reads: list[Sequence[Argument]] = [("GETRANGE", mapping, 0, _MAPPING_BYTES)]
    current, *there = await split.read([*reads, *(("EXISTS", one) for one in existing)])
    for one in (current, *there):
        if isinstance(one, Exception):
            return [one]
    if current == _bytes(session_id):  # a retry
        return [[1, b""]]
    if current != _bytes(expected) or any(there):
        return [[0, current]]
    [created, *rest] = await split.one(_RESTORE, ([session], [raw, ttl, session_id]), then, idempotent=True)
    if type(created) is not list:
        return [created, *rest]
    if not created[0]:
        return [[0, current], *rest]
    [mapped] = await split.one(_REPLACE_MAPPING, ([mapping], [session_id, ttl, expected]), idempotent=True)
    if type(mapped) is not list or not mapped[0]:
        digest = hashlib.sha1(_bytes(raw), usedforsecurity=False).hexdigest()
        split.follow([(_DELETE, ([session], [digest, session_id]))])
    return [mapped, *rest]


# -- repairs


async def remove_orphan(split: Split, call: Call, then: Commands) -> list[Any]:
    """Look for the session, then remove the key."""
    (key, session), arguments = call
    if key != session:
        [exists] = await split.read([("EXISTS", session)])
        if exists != 0:
            return [exists if isinstance(exists, Exception) else 0]
    return await split.one(_REMOVE_ORPHAN, ([key, key], arguments), then, idempotent=True)


async def create_mapping(split: Split, call: Call, then: Commands) -> list[Any]:
    """Look for the session, then create the mapping, unless there is one."""
    (mapping, session), (session_id,) = call
    [ttl] = await split.read([("PTTL", session)])
    if isinstance(ttl, Exception) or ttl <= 0:
        return [ttl if isinstance(ttl, Exception) else 0]
    [written, *rest] = await split.read([("SET", mapping, session_id, "PX", ttl, "NX"), *then])
    return [written if isinstance(written, Exception) else int(written is not None), *rest]


# -- strings


async def compare_and_set(split: Split, call: Call, then: Commands) -> list[Any]:
    """The first key decides; if it was written, the others are written after it, and awaited."""
    names, (ttl, count, expected, exists, *values) = call
    number = int(count)
    first = [ttl, 1, expected, exists, values[0]]
    replies = await split.one(_COMPARE_AND_SET, ([names[0]], first), then)
    if replies[0] == 1:
        writes: list[Sequence[Any]] = [
            ("SET", name, value, "PX", ttl) for name, value in zip(names[1:number], values[1:], strict=True)
        ]
        writes += [("PEXPIRE", name, ttl) for name in names[number:]]
        outcomes = await split.server.execute(*writes, idempotent=True)
        replies[0] = next((one for one in outcomes if isinstance(one, Exception)), 1)
    return replies


# -- many keys, which are only read


def _per_slot(name: str, width: int, *, time_first: bool = False) -> One:
    """A function for a script that returns `width` elements per key. `time_first`: after the time."""
    script = Script(name)

    async def run(split: Split, call: Call, then: Commands) -> list[Any]:
        names, arguments = call
        places: dict[int, list[int]] = {}
        for place, key in enumerate(names):
            places.setdefault(key_slot(key), []).append(place)
        calls: list[tuple[Script, Call]] = [
            (script, ([names[one] for one in some], arguments)) for some in places.values()
        ]
        replies = await split.server.run_in_slots(calls, idempotent=True, then=then)
        rest = replies[len(calls) :]
        flat: list[Any] = [None] * (width * len(names))
        times: list[int] = []
        for some, reply in zip(places.values(), replies, strict=False):
            if isinstance(reply, Exception):
                return [reply, *rest]
            if time_first:
                times.append(reply[0])
                reply = reply[1:]
            if len(reply) != width * len(some):
                raise split.server.malformed(f"it describes {len(reply) // width:,} keys instead of {len(some):,}")
            for at, place in enumerate(some):
                flat[width * place : width * (place + 1)] = reply[width * at : width * (at + 1)]
        return [[min(times), *flat] if time_first else flat, *rest]

    return run


def _bytes(value: Argument) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


#: By the name of a script with keys in several slots.
SPLIT: dict[str, One] = {
    "commit": commit,
    "compare_and_set": compare_and_set,
    "create": create,
    "create_if_absent": create_if_absent,
    "create_mapping": create_mapping,
    "delete": delete,
    "finish_end": finish_end,
    "key_info": _per_slot("key_info", 3),
    "key_versions": _per_slot("key_versions", 2),
    "put": put,
    "read_for_request": read_for_request,
    "remove_orphan": remove_orphan,
    "restore": restore,
    "session_versions": _per_slot("session_versions", 2, time_first=True),
    "touch": touch,
}


def split_of(server: Sender) -> Split:
    """What runs the scripts with several keys on a cluster."""
    return Split(server, SPLIT)
