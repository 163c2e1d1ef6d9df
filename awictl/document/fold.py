"""Bring recorded actions onto another version of their session, as further updates of it.

That is what becomes of actions that were recorded while Redis was away: the session may have gone on there meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidData
from .merge import merge
from .schema import PROTECTED_FIELDS, SESSION_END
from .splice import Base, next_t, splice_many
from .timestamps import parse_timestamp
from .update import Change, after_update, counted, end_counted, trimmed_before


def fold(base: Base, records: Sequence[Mapping[str, Any]], drop: int = 0, *, persist: bool = False) -> Change:
    """Apply recorded actions, of which there is at least one, to the document of `base`; drop its oldest `drop`.

    They keep their timestamps and op_ids, and get new numbers. The times of the document never go back. `persist`:
    whether to remove the session's TTL if the last of them is its end. The `action` of the result is the last one. A
    `drop` above 0 needs a base from the full string. Raises InvalidData if a record is not one of an update.
    """
    first = next_t(base)
    head, actions = fold_head(base.head, records, first)
    history = {**head["history"], **trimmed_before(base, first, drop)}
    head = {**head, "history": history}
    dropped = base.document["history"].get("actions", ())[:drop]
    ends = actions[-1].get("action") == SESSION_END
    return Change(head, actions[-1], splice_many(base, head, actions, drop), dropped, persist and ends, ends)


def fold_head(
    head: dict[str, Any], records: Sequence[Mapping[str, Any]], first_t: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The document without its trajectory after recorded actions, and these with their numbers from `first_t` on."""
    actions = []
    for t, record in enumerate(records, first_t):
        delta = record.get("delta")
        if not isinstance(delta, dict) or any(name in delta for name in PROTECTED_FIELDS):
            raise InvalidData("a recorded action has no delta that could be applied")
        now = str(record.get("timestamp"))
        ends = record.get("action") == SESSION_END
        if ends:
            now = after_update(head.get("last_updated"), now)
        action = {**record, "t": t, "timestamp": now}
        head = merge(head, delta)
        later = _later(head.get("last_updated"), now)
        if isinstance(statistics := head.get("statistics"), dict):
            if ends:
                statistics = end_counted(statistics, now)
            else:
                active = _later(statistics.get("last_activity"), now)
                statistics = counted(statistics, record.get("success") is not False, active)
            head = {**head, "statistics": statistics}
        head = {**head, "history": {**head["history"], "last_action": action}, "last_updated": later}
        actions.append(action)
    return head, actions


def _later(stored: Any, now: str) -> str:
    """The later one of a stored timestamp and `now`."""
    before, moment = parse_timestamp(stored), parse_timestamp(now)
    return stored if before is not None and (moment is None or before > moment) else now
