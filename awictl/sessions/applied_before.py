"""Whether an earlier attempt applied an update: promise 3 of DESIGN.

The trajectory is searched for the op_id. If it is not there, the update was not applied, unless its action may have
been trimmed: by awictl, which archives what it trims, or by the app, which does not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..document.action_numbers import actions_of
from ..document.json_codec import json_equal
from ..document.keys import op_id_time
from ..document.schema import as_object
from ..document.splice import Base, action_count, first_t
from ..document.timestamps import parse_timestamp
from .trimmed import TrimmedActions, contains

#: An op_id that is not older than this was just created, so that no earlier attempt can have trimmed actions after it.
FRESH = timedelta(seconds=5)
#: An op_id that is from the future by more than this was created by a host whose clock is ahead.
CLOCK_TOLERANCE = timedelta(seconds=1)
#: By how much the clock of the host that created an op_id may have been ahead; also the maximum age of other op_ids.
MAX_CLOCK_SKEW = timedelta(days=1)


def is_found(base: Base, op_id: str) -> bool:
    """Whether an action with this op_id is in what was read; if that is only a head, it has only the last action."""
    history = base.document["history"]
    return contains([history.get("last_action"), *(actions_of(base.document) or ())], op_id)


def may_be_trimmed(base: Base) -> bool:
    """Whether actions are missing from the trajectory: a head is enough.

    awictl records that. The app does not: its trajectory then starts with a `t` above 0, or has fewer actions than the
    statistics count.
    """
    count, total = action_count(base), as_object(base.document.get("statistics")).get("total_actions")
    fewer = type(total) is int and (count is None or count < total)
    return bool(base.document["history"].get("trimmed_actions") or first_t(base) or fewer)


async def was_applied(
    session_id: str, base: Base, op_id: str, trimmed: TrimmedActions | None, before: Any = None
) -> bool | None:
    """Whether the update with this op_id was applied; None if that cannot be determined.

    `base`: the session with its trajectory. `trimmed`: the archive of trimmed actions, if there is one. `before`: the
    last action before the first attempt, if known: all later ones are kept if it is.
    """
    if is_found(base, op_id):
        return True
    if not may_be_trimmed(base) or (before is not None and _has(base, before)):
        return False
    if before is None and _is_kept_since(base, op_id):
        return False
    return await trimmed.have(session_id, base, op_id) if trimmed is not None else None


def _has(base: Base, wanted: Any) -> bool:
    return any(json_equal(one, wanted) for one in actions_of(base.document) or ())


def _is_kept_since(base: Base, op_id: str) -> bool:
    """Whether times prove that the action with this op_id would still be in the trajectory.

    An op_id that awictl created has the time of its creation, by the clock of its host, which may have been ahead. Any
    other is taken to be at most a day old.
    """
    made, now = op_id_time(op_id), datetime.now(UTC)
    first = as_object(next(iter(actions_of(base.document) or ()), None))
    oldest = parse_timestamp(first.get("timestamp"))
    if oldest is None or (made is not None and (oldest > made or made > now + CLOCK_TOLERANCE)):
        return False
    return (made is not None and now - made < FRESH) or oldest < (made or now) - MAX_CLOCK_SKEW
