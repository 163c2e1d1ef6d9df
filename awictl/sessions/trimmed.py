"""Actions that are trimmed from sessions in Redis: archived before they are dropped, and found again by op_id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document.action_numbers import actions_of, first_ordinal, t_of
from ..document.schema import as_object, as_text
from ..document.splice import Base
from ..document.update import Change
from ..errors import AwiError
from ..util.bounded_dict import BoundedByteDict

if TYPE_CHECKING:
    from ..archive.base import Archive

#: Maximum number of sessions of which the op_ids of trimmed actions are cached, and their size in memory.
CACHED_SESSIONS = 256
CACHED_BYTES = 16_777_216
#: Estimated size of a cached op_id in memory, in bytes, without its characters.
_OP_ID_BYTES = 128


class _Archived(NamedTuple):
    """The trimmed actions of a session, all of which are in the archive."""

    agent_id: str | None
    #: Number of actions that were trimmed.
    trimmed: int
    op_ids: frozenset[str]


class TrimmedActions:
    """The archive of trimmed actions. It is opened at first use."""

    def __init__(self, open_archive: Callable[[], Archive]) -> None:
        self._open_archive = open_archive
        #: By session: what was trimmed does not change until more is trimmed, so it need not be loaded for each update.
        self._archived: BoundedByteDict[str, _Archived] = BoundedByteDict(
            CACHED_SESSIONS, CACHED_BYTES, lambda _, one: sum(_OP_ID_BYTES + 4 * len(op_id) for op_id in one.op_ids)
        )

    async def save(self, session_id: str, base: Base, change: Change) -> None:
        """Archive the actions that a change drops from the session in `base`, before it drops them."""
        from ..archive.chunks import Chunk

        chunk = Chunk(first_ordinal(base.document), change.dropped)
        await self._open_archive().save_trimmed_actions(session_id, as_text(change.head.get("agent_id")), chunk)

    async def keep(self, session_id: str, agent_id: str | None, actions: Sequence[Any]) -> None:
        """Archive consecutive actions that a session in Redis will not have."""
        from ..archive.chunks import Chunk

        first = t_of(actions[0])
        if first is not None:
            await self._open_archive().save_trimmed_actions(session_id, agent_id, Chunk(first, actions))

    async def have(self, session_id: str, base: Base, op_id: str) -> bool | None:
        """Whether an action with this op_id was trimmed; None if not every missing action is in the archive.

        `base`: the session with its trajectory.
        """
        agent_id, trimmed = as_text(base.document.get("agent_id")), base.document["history"].get("trimmed_actions")
        actions = actions_of(base.document) or []
        # the app trims too, without archiving or counting; its `t` then is not consecutive
        consecutive = type(trimmed) is int and all(t_of(one) == t for t, one in enumerate(actions, trimmed))
        known = self._archived.get(session_id)
        if known is not None and (known.agent_id, known.trimmed) == (agent_id, trimmed):
            return op_id in known.op_ids or (False if consecutive else None)
        try:
            chunks = await self._open_archive().load_trimmed_actions(session_id, agent_id)
        except AwiError:
            return None
        ordinals = {chunk.first + number for chunk in chunks for number in range(len(chunk.actions))}
        found = (as_text(as_object(one).get("op_id")) for chunk in chunks for one in chunk.actions)
        op_ids = frozenset(one for one in found if one is not None)
        complete = type(trimmed) is int and ordinals.issuperset(range(max(first_ordinal(base.document), trimmed)))
        if complete:
            self._archived[session_id] = _Archived(agent_id, trimmed, op_ids)
        return op_id in op_ids or (False if consecutive and complete else None)


def contains(actions: Sequence[Any], op_id: str) -> bool:
    """Whether an action with this op_id is among `actions`."""
    return any(isinstance(action, dict) and action.get("op_id") == op_id for action in actions)
