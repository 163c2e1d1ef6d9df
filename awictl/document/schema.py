"""The fields of a session document: a new document, and reading stored fields that may have another type."""

from __future__ import annotations

from typing import Any

from .keys import CACHE_PREFIX

#: Fields that a delta cannot change: the identity of the session and its history.
PROTECTED_FIELDS = ("session_id", "agent_id", "history")

#: The app's names for the first action of a session, and for the last action of an ended one.
SESSION_START = "session_start"
SESSION_END = "session_end"

#: The names of actions that the app's mongoose schema of `agentsessions` accepts: the enum of `actionHistory.action`,
#: as found in the app. Its own end deletes a session from Redis first, and then cannot save it if it has another name.
APP_ACTIONS = frozenset(
    {"list_posts", "get_post", "create_post", "update_post", "delete_post"}
    | {"list_comments", "create_comment", "update_comment", "delete_comment"}
    | {"search", "filter", "sort", "paginate", SESSION_START, SESSION_END}
)

#: The app's name for the action that records the session's current query, and that its results are cached. It is not
#: in the app's own enum, so awictl does not write it any more.
CACHE_ACTION = "cache_query_results"

#: The field with the `_id` of the app's own document in MongoDB, in a session that was copied from that one.
APP_DOCUMENT_ID = "app_document_id"

#: The field of an exported session of which only the app archived a part: what it lacks is unknown.
ARCHIVED_BY_APP = "archived_by_app"

#: The field with the session that a copy was made of, and where: `{"session_id", "t", "ordinal"}`.
FORKED_FROM = "forked_from"

#: Fields that are not part of the state that an agent sees, and differ between any two sessions.
OWN_FIELDS = (
    *("session_id", "agent_id", "agent_name", "history", "statistics", "last_updated"),
    *(APP_DOCUMENT_ID, ARCHIVED_BY_APP, FORKED_FROM),
)

#: The app's actions that become available and unavailable with the current page.
PREVIOUS_PAGE = "prev_page"
NEXT_PAGE = "next_page"


#: What an operator can do with a document whose session_id is not that of its key: it cannot be archived.
OTHER_ID_REMEDY = (
    "save a copy (`awictl session show -o raw ID > FILE`), then delete it (`awictl session end --discard --yes ID`)"
)


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
    """The cache key of the session's current query, and the stored time of caching; None if there is no query."""
    query = as_object(head.get("query_cache"))
    key = as_text(query.get("active_cache_key"))
    return (key.removeprefix(CACHE_PREFIX), as_text(query.get("cached_at"))) if key else None


def cached_query(action: Any) -> dict[str, Any] | None:
    """The query that an action recorded when its results were cached; None if it is another action."""
    record = as_object(action)
    query = as_object(record.get("input"))
    if record.get("action") == CACHE_ACTION or query.keys() >= {"filters", "sort", "result_count"}:
        return query
    return None


def shared_state(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of a document that another session may have as well: those that are not in OWN_FIELDS."""
    return {name: value for name, value in document.items() if name not in OWN_FIELDS}


def has_ended(document: dict[str, Any]) -> bool:
    """Whether the last action of a session is its end. The head is enough."""
    return as_object(as_object(document.get("history")).get("last_action")).get("action") == SESSION_END


def as_object(value: Any) -> dict[str, Any]:
    """A stored value that should be an object; an empty object if it has another type."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    """A stored value that should be a string; None if it has another type."""
    return value if isinstance(value, str) else None


def as_array(value: Any) -> list[Any]:
    """A stored value that should be an array; an empty array if it has another type."""
    return value if isinstance(value, list) else []
