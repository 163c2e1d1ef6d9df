"""The live sessions of one agent, also those that it is not mapped to.

The app sets an agent's mapping (AGENT:SESSION) once and never refreshes it. When it expires before the session does,
the agent gets a second session, and the first one stays live without anything that points to it.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from ..store.base import SessionStore

if TYPE_CHECKING:
    from ..store.session_fields import SessionFields


async def live_sessions_of(store: SessionStore, agent_id: str, rate: float | None = None) -> list[SessionFields]:
    """All sessions of an agent that have not ended, the one with the latest activity first.

    Scans the heads of all live sessions, since nothing else leads to them. `rate`: keys to scan per second.
    """
    found: list[SessionFields] = []
    async with aclosing(store.list_fields(rate)) as batches:
        async for batch in batches:
            found += [one for one in batch if one.agent_id == agent_id and not one.ended]
    return sorted(found, key=lambda one: (one.last_activity or "", one.session_id), reverse=True)
