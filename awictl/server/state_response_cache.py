"""Caches the bodies of `GET …/state` as far as they only depend on the session document.

Agents read the state far more often than they change it. The parts of the body that are copied from the document are
serialized once and kept as `orjson.Fragment`; the duration and the timestamp are set for each response. `AgentSessions`
returns the same `Base` object as long as the stored bytes of a session are the same, so a cached body is valid if it
was made from the very same object.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from ..document.json_codec import dumps
from ..document.splice import Base
from ..document.timestamps import timestamp
from ..sessions.get_or_create import Visit
from ..util.bounded_dict import BoundedDict
from . import response_bodies

#: Maximum number of cached bodies, and maximum size of each, in bytes.
MAX_ENTRIES = 1_024
MAX_BYTES = 65_536


class _Entry(NamedTuple):
    base: Base
    started: datetime | None
    #: The body, with fragments for everything that was read from the document.
    body: dict[str, Any]


class StateResponseCache:
    """The bodies of responses about the sessions that were requested most recently."""

    def __init__(self) -> None:
        self._entries: BoundedDict[str, _Entry] = BoundedDict(MAX_ENTRIES)

    def body(self, visit: Visit) -> bytes:
        """The body of the response about the session of a request, at this moment."""
        now = datetime.now(UTC)
        entry = self._entries.get(visit.session_id)
        if entry is None or entry.base is not visit.base:
            entry = self._add(visit, now)
        entry.body["statistics"]["sessionDuration"] = response_bodies.duration_ms(entry.started, now)
        entry.body["timestamp"] = timestamp(now)
        return orjson.dumps(entry.body)

    def _add(self, visit: Visit, now: datetime) -> _Entry:
        body: dict[str, Any] = dict(response_bodies.state(visit.session_id, visit.head, now))
        # `dumps` also serializes stored text that orjson refuses, such as lone surrogates
        parts = {name: dumps(body[name]) for name in ("currentState", "actionState", "cacheInfo")}
        counts = {name: dumps(value) for name, value in body["statistics"].items()}
        body |= {name: orjson.Fragment(part) for name, part in parts.items()}
        body["statistics"] = {name: orjson.Fragment(part) for name, part in counts.items()}
        entry = _Entry(visit.base, response_bodies.started_at(visit.head), body)
        if sum(map(len, (*parts.values(), *counts.values()))) <= MAX_BYTES:
            self._entries[visit.session_id] = entry
        return entry
