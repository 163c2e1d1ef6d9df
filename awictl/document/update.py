"""Updates of a session document: an action of an agent and the delta that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..errors import InvalidData, InvalidInput
from .json_codec import dumps, loads_at
from .keys import new_op_id
from .merge import merge
from .schema import NEXT_PAGE, PREVIOUS_PAGE, PROTECTED_FIELDS, SESSION_END, as_array, as_object
from .splice import Base, Splice, next_t, splice
from .timestamps import parse_timestamp, timestamp


@dataclass(frozen=True)
class Update:
    """One action of an agent and what it changes. All values are plain JSON."""

    delta: dict[str, Any]
    #: Its name; by default, the one of the app's names that fits best.
    action: str = ""
    input: Any = field(default_factory=dict)
    success: bool = True
    #: What the action returned to the agent, if anything.
    observation: Any = None
    #: Identifies the update, so that it is applied at most once.
    op_id: str = field(default_factory=new_op_id)
    #: Whether this ends the session (see `ending`).
    ends: bool = False
    #: Whether to remove the session's TTL.
    persist: bool = False

    def __post_init__(self) -> None:
        for name in PROTECTED_FIELDS:
            if name in self.delta:
                raise InvalidInput(f"a delta cannot change {name}: remove that field from the delta")
        if not self.action:
            object.__setattr__(self, "action", action_of(self.delta))


def action_of(delta: Mapping[str, Any]) -> str:
    """The name of an action that made this delta, if the caller does not name it: one that the app's schema accepts.

    `filter`, `sort` or `paginate` if the delta changes that on the same page; else `list_posts`, for want of a neutral
    name (see `schema.APP_ACTIONS`).
    """
    page = as_object(delta.get("page_state"))
    if "route" not in page:
        if as_object(page.get("filters")):
            return "filter"
        if as_object(page.get("sort")):
            return "sort"
        if as_object(page.get("pagination")):
            return "paginate"
    return "list_posts"


def ending(*, persist: bool = True) -> Update:
    """The update that ends a session: like `session_start`, an action without success that the statistics do not count.

    `persist`: whether to remove the session's TTL, because it waits to be archived.
    """
    return Update(delta={}, action=SESSION_END, ends=True, persist=persist)


@dataclass(frozen=True)
class Change:
    """The result of applying an update to a document."""

    #: The new document without its trajectory.
    head: dict[str, Any]
    #: The action as recorded.
    action: dict[str, Any]
    #: The bytes to write.
    splice: Splice
    #: The actions that are dropped from the trajectory, oldest first.
    dropped: Sequence[Any] = ()
    #: Whether to remove the session's TTL.
    persist: bool = False
    #: Whether it ends the session.
    ends: bool = False

    @property
    def diff(self) -> bytes:
        """The value of AWI:DIFF:<session_id>."""
        return dumps({"delta": self.action["delta"], "action": self.action})


def decode_diff(raw: bytes, where: str) -> dict[str, Any]:
    """Decode a stored AWI:DIFF:<session_id> to `{"delta", "last_action"}`.

    Raises InvalidData if it is not a JSON object; `where` is its location for the message.
    """
    diff = loads_at(raw, where)
    if not isinstance(diff, dict):
        raise InvalidData(f"{where}: not a JSON object")
    return {"delta": diff.get("delta"), "last_action": diff.get("action")}


def apply_update(base: Base, update: Update, now: str, drop: int = 0) -> Change:
    """Apply `update` to the document of `base` and drop its `drop` oldest actions.

    `now`: the timestamp to record; an end is at least a millisecond later than the last update, even if the clock was
    set back, so that its version is newer in every respect. A `drop` above 0 needs a base from the full string.
    """
    t = next_t(base)
    if update.ends:
        now = after_update(base.document.get("last_updated"), now)
    action: dict[str, Any] = {
        "t": t,
        "action": update.action,
        "input": update.input,
        "delta": update.delta,
        "timestamp": now,
    }
    if not update.ends:
        action["success"] = update.success
    if update.observation is not None:
        action["observation"] = update.observation
    action["op_id"] = update.op_id

    head = merge(base.head, update.delta)
    history = {**head["history"], "last_action": action, **trimmed_before(base, t, drop)}
    actions = base.document["history"].get("actions")
    head = {**head, "history": history}
    if "statistics" in head:
        head["statistics"] = (
            end_counted(head["statistics"], now) if update.ends else counted(head["statistics"], update.success, now)
        )
    head["last_updated"] = now
    return Change(head, action, splice(base, head, action, drop), (actions or ())[:drop], update.persist, update.ends)


def trimmed_before(base: Base, t: int, drop: int) -> dict[str, int]:
    """`trimmed_actions` of a history if the next action is number `t`; empty if it is not to be recorded."""
    history = base.document["history"]
    actions = history.get("actions")
    if actions is None:
        return {}
    trimmed = t - (len(actions) - drop)
    first = actions[drop].get("t") if len(actions) > drop and isinstance(actions[drop], dict) else None
    if drop or "trimmed_actions" in history or (actions and (type(first) is not int or first != trimmed)):
        return {"trimmed_actions": trimmed}
    return {}


def actions_to_drop(count: int, limit: int) -> int:
    """How many of `count` actions to drop before one more is recorded. `limit`: maximum number of actions to keep.

    A tenth of the limit is dropped at once, so that the cost of trimming is shared by many updates.
    """
    return 0 if count < limit else count - (limit - max(limit // 10, 1))


def pagination_delta(head: dict[str, Any], pagination: dict[str, Any]) -> dict[str, Any]:
    """The delta for moving to another page: the pagination, and whether prev_page and next_page are available there.

    `pagination`: any of cursor (starting at 1), total_pages, page_size, total_items.
    """
    merged = as_object(as_object(head.get("page_state")).get("pagination")) | pagination
    state = as_object(head.get("action_state"))
    possible = {
        PREVIOUS_PAGE: _number(merged.get("cursor"), 1) > 1,
        NEXT_PAGE: _number(merged.get("cursor"), 1) < _number(merged.get("total_pages"), 1),
    }
    names = list(possible)  # not the dict: a stored name may be unhashable
    available = [name for name in as_array(state.get("available_actions")) if name not in names]
    disabled = [name for name in as_array(state.get("disabled_actions")) if name not in names]
    return {
        "page_state": {"pagination": pagination},
        "action_state": {
            "available_actions": available + [name for name, there in possible.items() if there],
            "disabled_actions": disabled + [name for name, there in possible.items() if not there],
        },
    }


def page_delta(page: dict[str, Any]) -> dict[str, Any]:
    """The delta for a new page: `page` has fields of `page_state`; a route also becomes the current URL."""
    delta: dict[str, Any] = {"page_state": page}
    if "route" in page:
        delta["current_url"] = page["route"]
    return delta


def counted(statistics: Any, success: bool, now: str) -> Any:
    """The statistics of a document after one more action at `now`."""
    if not isinstance(statistics, dict):
        return statistics  # stored data of another type stays as it is
    counted = dict(statistics)
    for name in ("total_actions", "successful_actions" if success else "failed_actions"):
        count = counted.get(name, 0)
        if type(count) is int:
            counted[name] = count + 1
    counted["last_activity"] = now
    return counted


def after_update(last_updated: Any, now: str) -> str:
    """`now`, or a millisecond after the last update if that is later by up to a day."""
    last, moment = parse_timestamp(last_updated), parse_timestamp(now)
    if last is None or moment is None or not timedelta(0) <= last - moment < timedelta(days=1):
        return now
    return timestamp(last + timedelta(milliseconds=1))


def end_counted(statistics: Any, now: str) -> Any:
    """The statistics of a document after its end at `now`, which they do not count."""
    return {**statistics, "session_end": now} if isinstance(statistics, dict) else statistics


def _number(value: Any, default: int) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default
