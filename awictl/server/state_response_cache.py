"""Caches the bodies of `GET …/state` as far as they only depend on the session document.

Agents read the state far more often than they change it. What was copied from the document is serialized once, and kept
as `orjson.Fragment`; only the duration and the timestamp differ from response to response. `AgentSessions` returns the
same `Base` object as long as the stored bytes of a session are the same, so a body is valid if it was made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ..document.json_codec import dumps
from ..document.splice import Base
from ..document.timestamps import timestamp
from ..sessions.get_or_create import Visit
from ..util.bounded_dict import BoundedByteDict
from . import response_bodies

#: Maximum number of cached bodies; their maximum size in memory, with the documents they were made from, in bytes; and
#: the maximum size of each, as it is sent, and of the stored head of its document.
MAX_ENTRIES = 1_024
MAX_MEMORY = 33_554_432
MAX_BYTES = 65_536


@dataclass(slots=True)
class _Entry:
    base: Base
    started: datetime | None
    body: dict[str, Any]
    #: Size of the body as it is sent, in bytes.
    size: int
    #: Whether fragments replace the values from the document. The first response does without: it may be the only one.
    fragments: bool = False

    def serialize(self) -> None:
        """Replace the values from the document by fragments. `dumps` takes stored text that orjson refuses."""
        for values in (self.body, self.body["statistics"]):
            for name, value in values.items():
                if name != "statistics":
                    values[name] = orjson.Fragment(dumps(value))
        self.fragments = True


class StateResponseCache:
    """The bodies of responses about the sessions that were requested most recently."""

    def __init__(self) -> None:
        self._entries: BoundedByteDict[str, _Entry] = BoundedByteDict(
            MAX_ENTRIES, MAX_MEMORY, lambda _, entry: entry.base.memory + entry.size
        )

    def body(self, visit: Visit) -> bytes:
        """The body of the response about the session of a request, at this moment."""
        now = datetime.now(UTC)
        if visit.degraded:
            return dumps({**response_bodies.state(visit.session_id, visit.head, now), "degraded": True})
        entry = self._entries.get(visit.session_id)
        if entry is None or entry.base is not visit.base:
            body = dict(response_bodies.state(visit.session_id, visit.head, now))
            text = dumps(body)
            if len(text) <= MAX_BYTES and len(visit.base.prefix) <= MAX_BYTES:
                self._entries[visit.session_id] = _Entry(
                    visit.base, response_bodies.started_at(visit.head), body, len(text)
                )
            return text
        if not entry.fragments:
            entry.serialize()
        entry.body["statistics"]["sessionDuration"] = response_bodies.duration_ms(entry.started, now)
        entry.body["timestamp"] = timestamp(now)
        return orjson.dumps(entry.body)
