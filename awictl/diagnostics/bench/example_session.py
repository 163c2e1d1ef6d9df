"""A session of an agent on an example site, step by step. No server is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ...document.byte_layout import encode
from ...document.schema import as_object, new_document
from ...document.splice import base_from_string
from ...document.timestamps import timestamp
from ...document.update import Update, apply_update, page_delta, pagination_delta
from .example_posts import comment, object_id, post

_START = datetime(2026, 1, 30, 12, 0, tzinfo=UTC)
_LIST = "/api/agent/posts"
_COMMENTS = 6


class ExampleSite(NamedTuple):
    """A site whose session state holds what its pages show."""

    page_size: int = 10
    pages: int = 5
    #: Length of the excerpt of a post in a list, in sentences.
    excerpt_sentences: int = 2

    def posts(self, numbers: range) -> list[dict[str, Any]]:
        """Posts as a list shows them."""
        return [post(number, self.excerpt_sentences) for number in numbers]


class ExampleStep(NamedTuple):
    """One step of the agent."""

    action: str
    #: The session document after the step.
    document: dict[str, Any]
    #: The value of AWI:DIFF:<session_id> after the step.
    diff: bytes
    delta: dict[str, Any]


def example_steps(site: ExampleSite, rounds: int = 1) -> Iterator[ExampleStep]:
    """Yield the steps of an agent that reads lists and a post, likes it, comments on it, and searches.

    `rounds`: how often it does that.
    """
    document = new_document("sess_" + object_id("session") + "00000000", object_id("agent"), "Example", _LIST, _time(0))
    number = 0
    for turn in range(rounds):
        for choose in _STEPS:
            number += 1
            action, given, delta, observation = choose(site, document, turn)
            update = Update(
                delta, action, given, success=choose is not _missing, observation=observation, op_id=_op_id(number)
            )
            change = apply_update(base_from_string(encode(document)), update, _time(number))
            history = change.head["history"]
            actions = [*document["history"]["actions"], change.action]
            document = {**change.head, "history": {**history, "actions": actions}}
            yield ExampleStep(action, document, change.diff, delta)


def _time(number: int) -> str:
    return timestamp(_START + timedelta(seconds=4.2 * number))


def _op_id(number: int) -> str:
    return f"op_{object_id(f'update {number}')}01234567"


#: Name, input, delta and observation of an action.
_Chosen = tuple[str, dict[str, Any], dict[str, Any], str]


def _list(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    return "list_posts", {"page": 1}, _list_delta(site, document, 1), f"Retrieved {site.page_size} posts (page 1)"


def _next(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    cursor = document["page_state"]["pagination"]["cursor"] + 1
    return "paginate", {"page": cursor}, _list_delta(site, document, cursor), f"Navigated to page {cursor}"


def _list_delta(site: ExampleSite, document: dict[str, Any], cursor: int, **page: Any) -> dict[str, Any]:
    """The delta for another page of the list. `page`: more fields of the page state."""
    size = site.page_size
    pagination = {"cursor": cursor, "total_pages": site.pages, "page_size": size, "total_items": site.pages * size}
    shown = {
        "route": _LIST if cursor == 1 else f"{_LIST}?page={cursor}",
        "metadata": {"title": "Posts", "breadcrumbs": ["Home", "Posts"]},
        "visible_items": site.posts(range((cursor - 1) * size, cursor * size)),
        "post": None,
        **page,
    }
    moved = pagination_delta(document, pagination)
    return page_delta({**shown, **moved["page_state"]}) | {"action_state": moved["action_state"]}


def _filter(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    tag = {"tag": "caching"}
    items = site.posts(range(200, 200 + site.page_size))
    return "filter", tag, _list_delta(site, document, 1, filters=tag, visible_items=items), "Filtered by tag caching"


def _sort(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    sort = {"key": "likes", "order": "desc"}
    items = sorted(document["page_state"]["visible_items"], key=lambda one: -one["likes"])
    return "sort", sort, {"page_state": {"sort": sort, "visible_items": items}}, "Sorted by likes"


def _open(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    opened = post(3, 14)
    opened["body"] = opened.pop("excerpt")
    page = {
        "route": f"{_LIST}/{opened['id']}",
        "metadata": {"title": opened["title"], "breadcrumbs": ["Home", "Posts", opened["title"]]},
        "post": opened,
        "visible_items": [comment(number) for number in range(_COMMENTS)],
    }
    return "get_post", {"id": opened["id"]}, page_delta(page), "Post retrieved"


def _like(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    shown = document["page_state"]["post"]
    delta = {"page_state": {"post": {"likes": shown["likes"] + 1, "liked": True}}}
    return "update_post", {"id": shown["id"], "like": True}, delta, "Liked"


def _bookmark(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    """A step that changes one value, as small as a step can be."""
    return "update_post", {"bookmark": True}, {"page_state": {"post": {"bookmarked": True}}}, "Bookmarked"


def _comment(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    shown = as_object(document["page_state"]["post"])
    added = {**comment(90 + turn), "author": "Example"}
    items = [*document["page_state"]["visible_items"], added]  # an array in a delta replaces the stored one
    delta = {"page_state": {"visible_items": items, "post": {"comments": shown["comments"] + 1}}}
    return "create_comment", {"post_id": shown["id"], "text": added["text"]}, delta, "Comment created"


def _missing(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    """A request that fails, and changes nothing."""
    return "get_post", {"id": object_id("missing")}, {}, "Post not found"


def _search(site: ExampleSite, document: dict[str, Any], turn: int) -> _Chosen:
    found = site.posts(range(300, 303))
    delta = _list_delta(site, document, 1, filters={"tag": None, "q": "diff"}, visible_items=found)
    return "search", {"q": "diff"}, delta, "Found 3 posts"


_STEPS = (_list, _next, _next, _filter, _sort, _open, _like, _bookmark, _comment, _missing, _list, _search)
