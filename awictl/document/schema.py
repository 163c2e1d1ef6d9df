"""The session document: a new one, and what an update makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidData, InvalidInput
from .byte_layout import Base, Splice, next_t, splice
from .json_codec import dumps, loads_at
from .keys import CACHE_PREFIX, new_op_id
from .merge import merge

#: What an action is called where the caller gave it no name.
DEFAULT_ACTION = "state_update"

#: Fields that say which session this is and what happened in it: a delta cannot change them.
KEPT_FIELDS = ("session_id", "agent_id", "history")

#: The first action of a session, and the last one of an ended session, as the app calls them.
SESSION_START = "session_start"
SESSION_END = "session_end"

#: The action that records which query a session is at, and that its results are cached.
CACHE_ACTION = "cache_query_results"

#: The actions of the app that pagination switches on and off.
PREVIOUS_PAGE = "prev_page"
NEXT_PAGE = "next_page"


def timestamp(moment: datetime | None = None) -> str:
    """ISO 8601 in UTC with milliseconds and Z, as JavaScript's toISOString prints it; now unless told otherwise."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def optional_timestamp(moment: datetime | None) -> str | None:
    """The same of a moment that may not be known."""
    return timestamp(moment) if moment is not None else None


def parse_timestamp(text: Any) -> datetime | None:
    """The moment that a stored timestamp names, None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def new_document(session_id: str, agent_id: str, agent_name: str, route: str, now: str) -> dict[str, Any]:
    """A session document as the app creates it, with the `session_start` action as number 0."""
    return {
        "session_id": session_id,
        "agent_id": agent_id,
        "agent_name": agent_name,
        "user_id": None,
        "current_url": route,
        "page_state": {
            "route": route,
            "metadata": {"title": "", "breadcrumbs": []},
            "visible_items": [],
            "pagination": {"cursor": 1, "total_pages": 1, "page_size": 10, "total_items": 0},
            "filters": {},
            "sort": {"key": "createdAt", "order": "desc"},
        },
        "action_state": {
            "available_actions": ["list_posts", "search"],
            "disabled_actions": [NEXT_PAGE, PREVIOUS_PAGE],
        },
        "history": {
            "actions": [{"t": 0, "action": SESSION_START, "input": {}, "delta": {}, "timestamp": now}],
            "last_action": None,
        },
        "permissions": {
            "can_view_sensitive_info": False,
            "can_make_financial_actions": False,
            "requires_user_confirmation": [],
        },
        "media_cache": {"images": {}},
        "query_cache": {"active_cache_key": None, "cached_results": []},
        "statistics": {
            "total_actions": 0,
            "successful_actions": 0,
            "failed_actions": 0,
            "session_start": now,
            "last_activity": now,
        },
        "last_updated": now,
    }


def active_query(head: dict[str, Any]) -> tuple[str, str | None] | None:
    """The cache key of the query that a session is at, and when it was cached, as stored; None where it has none."""
    query = as_object(head.get("query_cache"))
    key = as_text(query.get("active_cache_key"))
    return (key.removeprefix(CACHE_PREFIX), as_text(query.get("cached_at"))) if key else None


@dataclass(frozen=True)
class Update:
    """One action of an agent and what it changes. All values are plain JSON."""

    delta: dict[str, Any]
    action: str = DEFAULT_ACTION
    input: Any = field(default_factory=dict)
    success: bool = True
    #: What the agent was told, if anything.
    observation: Any = None
    #: Names the update, so that it is applied at most once.
    op_id: str = field(default_factory=new_op_id)
    #: Whether this is the end of the session (see `ending`), and whether it must not expire then.
    ends: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        for name in KEPT_FIELDS:
            if name in self.delta:
                raise InvalidInput(f"a delta cannot change {name}: it is kept by the session itself")


def ending(*, keep: bool = True) -> Update:
    """The update that ends a session: like `session_start` it is an action that neither succeeds nor counts.

    `keep`: the session must not expire any more, since it waits to be archived.
    """
    return Update(delta={}, action=SESSION_END, ends=True, keep=keep)


def has_ended(document: dict[str, Any]) -> bool:
    """Whether the end is the last thing that happened in a session; its head is enough to tell."""
    return as_object(as_object(document.get("history")).get("last_action")).get("action") == SESSION_END


@dataclass(frozen=True)
class Change:
    """What an update makes of a document."""

    #: The new document without its trajectory.
    head: dict[str, Any]
    #: The action as recorded.
    action: dict[str, Any]
    #: The bytes to write.
    splice: Splice
    #: The actions that leave the trajectory, oldest first.
    dropped: Sequence[Any] = ()
    #: Whether the session must not expire any more, since it waits to be archived.
    keep: bool = False

    @property
    def diff(self) -> bytes:
        """The value of AWI:DIFF:<session_id>."""
        return dumps({"delta": self.action["delta"], "action": self.action})


def decode_diff(raw: bytes, where: str) -> dict[str, Any]:
    """`{"delta", "last_action"}` from a stored AWI:DIFF:<session_id>. Raises InvalidData, naming `where` it is."""
    diff = loads_at(raw, where)
    if not isinstance(diff, dict):
        raise InvalidData(f"{where}: not a JSON object")
    return {"delta": diff.get("delta"), "last_action": diff.get("action")}


def apply_update(base: Base, update: Update, now: str, drop: int = 0) -> Change:
    """Apply `update` to the document of `base`, dropping its `drop` oldest actions (for which it must be whole)."""
    t = next_t(base)
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
    history = {**head["history"], "last_action": action}
    actions = base.document["history"].get("actions")
    if actions is not None:
        left = t - (len(actions) - drop)
        first = actions[drop].get("t") if len(actions) > drop and isinstance(actions[drop], dict) else None
        if drop or "trimmed_actions" in history or (actions and (type(first) is not int or first != left)):
            history["trimmed_actions"] = left
    head = {**head, "history": history}
    if "statistics" in head:
        head["statistics"] = (
            _ended(head["statistics"], now) if update.ends else _counted(head["statistics"], update.success, now)
        )
    head["last_updated"] = now
    return Change(head, action, splice(base, head, action, drop), (actions or ())[:drop], update.keep)


def actions_to_drop(kept: int, limit: int) -> int:
    """How many of `kept` actions leave before one more is recorded, where at most `limit` may stay.

    They leave a tenth of the limit at a time, so that the cost of a trimming is shared by many updates.
    """
    return 0 if kept < limit else kept - (limit - max(limit // 10, 1))


def pagination_delta(head: dict[str, Any], pagination: dict[str, Any]) -> dict[str, Any]:
    """The delta for moving to another page: the pagination, and which of prev_page and next_page are possible there.

    `pagination`: any of cursor (counted from 1), total_pages, page_size, total_items.
    """
    known = as_object(as_object(head.get("page_state")).get("pagination")) | pagination
    state = as_object(head.get("action_state"))
    here = {
        PREVIOUS_PAGE: _number(known.get("cursor"), 1) > 1,
        NEXT_PAGE: _number(known.get("cursor"), 1) < _number(known.get("total_pages"), 1),
    }
    available = [name for name in as_array(state.get("available_actions")) if name not in list(here)]
    disabled = [name for name in as_array(state.get("disabled_actions")) if name not in list(here)]
    return {
        "page_state": {"pagination": pagination},
        "action_state": {
            "available_actions": available + [name for name, possible in here.items() if possible],
            "disabled_actions": disabled + [name for name, possible in here.items() if not possible],
        },
    }


def page_delta(page: dict[str, Any]) -> dict[str, Any]:
    """The delta for a page as the agent now sees it: fields of `page_state`; a route is the current URL too."""
    delta: dict[str, Any] = {"page_state": page}
    if "route" in page:
        delta["current_url"] = page["route"]
    return delta


def _counted(statistics: Any, success: bool, now: str) -> Any:
    if not isinstance(statistics, dict):
        return statistics  # not ours to make up
    counted = dict(statistics)
    for name in ("total_actions", "successful_actions" if success else "failed_actions"):
        count = counted.get(name, 0)
        if type(count) is int:
            counted[name] = count + 1
    counted["last_activity"] = now
    return counted


def _ended(statistics: Any, now: str) -> Any:
    return {**statistics, "session_end": now} if isinstance(statistics, dict) else statistics


def as_object(value: Any) -> dict[str, Any]:
    """A stored value that should be an object; an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    """A stored value that should be text; None where it is something else."""
    return value if isinstance(value, str) else None


def as_array(value: Any) -> list[Any]:
    """A stored value that should be an array; an empty one where it is something else."""
    return value if isinstance(value, list) else []


def _number(value: Any, default: int) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default
