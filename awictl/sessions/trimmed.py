"""Actions that are trimmed from sessions in Redis: archived before they are dropped, and found again by op_id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..document.action_numbers import actions_of, t_of
from ..document.splice import Base
from ..document.update import Change
from ..errors import AwiError

if TYPE_CHECKING:
    from ..archive.base import Archive


class TrimmedActions:
    """The archive of trimmed actions. It is opened at first use."""

    def __init__(self, open_archive: Callable[[], Archive]) -> None:
        self._open_archive = open_archive

    async def save(self, session_id: str, change: Change) -> None:
        """Archive the actions that a change drops, before it drops them."""
        from ..archive.chunks import Chunk

        chunk = Chunk(change.head["history"]["trimmed_actions"] - len(change.dropped), change.dropped)
        await self._open_archive().save_trimmed_actions(session_id, _agent_id(change.head), chunk)

    async def have(self, session_id: str, base: Base, op_id: str) -> bool | None:
        """Whether an action with this op_id was trimmed; None if not every missing action is in the archive.

        `base`: the session with its trajectory.
        """
        try:
            chunks = await self._open_archive().load_trimmed_actions(session_id, _agent_id(base.document))
        except AwiError:
            return None
        archived: set[int] = set()
        for chunk in chunks:
            if contains(chunk.actions, op_id):
                return True
            archived.update(range(chunk.first, chunk.first + len(chunk.actions)))
        trimmed = base.document["history"].get("trimmed_actions")
        actions = actions_of(base.document) or []
        # the app trims too, without archiving or counting; its `t` then is not consecutive
        consecutive = type(trimmed) is int and all(t_of(one) == t for t, one in enumerate(actions, trimmed))
        return False if consecutive and archived.issuperset(range(trimmed)) else None


def contains(actions: Sequence[Any], op_id: str) -> bool:
    """Whether an action with this op_id is among `actions`."""
    return any(isinstance(action, dict) and action.get("op_id") == op_id for action in actions)


def _agent_id(document: dict[str, Any]) -> str | None:
    agent_id = document.get("agent_id")
    return agent_id if isinstance(agent_id, str) else None
