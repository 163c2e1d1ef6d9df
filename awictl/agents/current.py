"""Which session each of many agents is in, and when it was last active there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..document import keys
from ..document.schema import as_object, as_text
from ..store.base import SessionStore
from ..util.batched import batched

#: Agents per request.
_BATCH = 200


class CurrentSession(NamedTuple):
    """The current session of an agent."""

    session_id: str
    #: Timestamp of its last action, as stored; None if unknown.
    last_activity: str | None


async def current_sessions(store: SessionStore, agent_ids: Sequence[str]) -> dict[str, CurrentSession]:
    """Return the current sessions of those agents that have one, in three round trips for 200 agents."""
    found: dict[str, CurrentSession] = {}
    for batch in batched(agent_ids, _BATCH):
        names = {keys.agent_key(one): one for one in batch}
        values = await store.strings.get_many(list(names))
        mapped = {names[name]: keys.as_session_id(raw) for name, raw in values.items() if isinstance(raw, bytes)}
        wanted = list({one for one in mapped.values() if one is not None})
        listed = {one.session_id: one for one in await store.list(wanted)}
        for agent_id, session_id in mapped.items():
            if session_id is not None and session_id in listed:
                statistics = as_object(listed[session_id].head.get("statistics"))
                found[agent_id] = CurrentSession(session_id, as_text(statistics.get("last_activity")))
    return found
