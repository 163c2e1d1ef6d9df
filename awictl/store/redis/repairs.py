"""Putting right what is derived from the sessions. Each script looks again before it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...document import keys
from .connection import Call, Script, Server


class Orphan(NamedTuple):
    """A mapping or a diff whose session is gone."""

    name: bytes
    #: The session that it belongs to; None where it holds no session id at all.
    session_id: str | None
    #: How what it holds begins, and its length; None where that does not matter.
    start: bytes = b""
    length: int | None = None

    @property
    def call(self) -> Call:
        """What `remove_orphan` gets."""
        session = keys.session_key(self.session_id) if self.session_id is not None else self.name
        return [self.name, session], [self.start, self.length if self.length is not None else -1]


class MissingTtl(NamedTuple):
    """A key that should expire, and never does."""

    name: bytes
    length: int
    ttl_ms: int

    @property
    def call(self) -> Call:
        """What `set_missing_ttl` gets."""
        return [self.name], [self.length, self.ttl_ms]


class MissingMapping(NamedTuple):
    """A live session whose agent is in none."""

    name: bytes
    session_id: str

    @property
    def call(self) -> Call:
        """What `create_mapping` gets."""
        return [self.name, keys.session_key(self.session_id)], [self.session_id]


Repairable = Orphan | MissingTtl | MissingMapping

_SCRIPTS = {
    Orphan: Script("remove_orphan"),
    MissingTtl: Script("set_missing_ttl"),
    MissingMapping: Script("create_mapping"),
}


async def repair(server: Server, what: Sequence[Repairable]) -> list[bool]:
    """Put these right, in one round trip; for each, whether it still was as it had been seen. Safe to repeat."""
    replies = await server.run_each([(_SCRIPTS[type(one)], one.call) for one in what], idempotent=True)
    return [
        server.checked(reply, one.name.decode("utf-8", "replace")) == 1
        for one, reply in zip(what, replies, strict=True)
    ]
