"""Repair keys that are derived from sessions. Each script checks again before it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...document import keys
from .server import Call, Script, Server


class Orphan(NamedTuple):
    """A mapping or a diff whose session does not exist."""

    name: bytes
    #: The session that the key belongs to; None if its value is not a session id.
    session_id: str | None
    #: The first bytes that the value must have.
    start: bytes = b""
    #: The length that the value must have; None: do not compare the value.
    length: int | None = None

    @property
    def call(self) -> Call:
        """Keys and arguments of `remove_orphan.lua`."""
        session = keys.session_key(self.session_id) if self.session_id is not None else self.name
        return [self.name, session], [self.start, self.length if self.length is not None else -1]


class MissingTtl(NamedTuple):
    """A key without the TTL that it should have."""

    name: bytes
    #: The length that the value must have.
    length: int
    #: The TTL to set.
    ttl_ms: int

    @property
    def call(self) -> Call:
        """Keys and arguments of `set_missing_ttl.lua`."""
        return [self.name], [self.length, self.ttl_ms]


class MissingMapping(NamedTuple):
    """A live session whose agent has no mapping."""

    #: The key of the mapping.
    name: bytes
    session_id: str

    @property
    def call(self) -> Call:
        """Keys and arguments of `create_mapping.lua`."""
        return [self.name, keys.session_key(self.session_id)], [self.session_id]


Repairable = Orphan | MissingTtl | MissingMapping

_SCRIPTS = {
    Orphan: Script("remove_orphan"),
    MissingTtl: Script("set_missing_ttl"),
    MissingMapping: Script("create_mapping"),
}


async def repair(server: Server, faults: Sequence[Repairable]) -> list[bool]:
    """Repair keys, unless they have changed. Returns for each whether it was repaired. One round trip; idempotent."""
    replies = await server.run_each([(_SCRIPTS[type(one)], one.call) for one in faults], idempotent=True)
    return [
        server.checked(reply, one.name.decode("utf-8", "replace")) == 1
        for one, reply in zip(faults, replies, strict=True)
    ]
