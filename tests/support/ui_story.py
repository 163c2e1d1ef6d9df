"""Sessions of agents that work as agents do: they search, filter, open posts, fail, wait, comment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from awictl.document.byte_layout import CLOSE, encode
from awictl.document.schema import new_document
from awictl.document.splice import FOLLOWING_BYTES, base_from_head
from awictl.document.timestamps import timestamp
from awictl.document.update import Update, apply_update

#: What an agent did: seconds since the action before, and the update.
Step = tuple[float, dict[str, Any]]

_TITLES = [
    "Measuring what agents really see",
    "Structured state instead of screenshots",
    "Pagination that does not lie",
    "Naïve retries, and how they hurt",
    "When a cursor moves backwards",
    "A week of failed check-outs",
    "Filters that agents can discover",
    "What a session costs in tokens",
    "Ten thousand visitors without eyes",
    "Confirm before you pay ✓",
]
_AUTHORS = ["mira", "jonas", "akiko", "t.okafor"]


def a_post(number: int) -> dict[str, Any]:
    """A post as lists of posts show it."""
    return {
        "id": f"post_{number}",
        "title": _TITLES[number % len(_TITLES)],
        "author": _AUTHORS[number % len(_AUTHORS)],
        "comments": number * 7 % 13,
    }


def _page_of(cursor: int, pages: int = 5) -> dict[str, Any]:
    return {
        "page_state": {
            "route": f"/api/agent/posts?page={cursor}",
            "visible_items": [a_post(cursor * 10 + n) for n in range(4)],
            "pagination": {"cursor": cursor, "total_pages": pages, "total_items": pages * 10},
        },
        "current_url": f"/api/agent/posts?page={cursor}",
    }


def steps(seed: int, count: int) -> Iterator[Step]:
    """The steps of a life; the same seed gives the same ones, and a longer life begins as a shorter one does."""
    chance = random.Random(seed)
    cursor = 1
    for number in range(count):
        pause = 380.0 if number % 23 == 17 else chance.choice([0.4, 0.8, 1.3, 2.1, 4.6, 9.0])
        kind = number % 8
        if kind == 0:
            word = chance.choice(["agents", "retries", "pagination"])
            delta = {"page_state": {"filters": {"q": word}, "metadata": {"title": f"Posts about {word}"}}}
            yield pause, {"action": "search", "input": {"query": word}, "delta": delta, "observation": "17 posts"}
        elif kind == 2:
            tags = chance.sample(["awi", "agents", "llm", "ops"], 2)
            delta = {"page_state": {"filters": {"tags": tags, "category": None}}}
            yield pause, {"action": "filter", "input": {"tags": tags}, "delta": delta}
        elif kind == 3:
            order = chance.choice(["asc", "desc"])
            yield pause, {"action": "sort", "delta": {"page_state": {"sort": {"key": "createdAt", "order": order}}}}
        elif kind == 5:
            post = chance.randint(10, 60)
            failed = {"success": False, "observation": {"error": "Post not found", "status": 404}}
            found = {"observation": a_post(post), "delta": {"page_state": {"selected": a_post(post)}}}
            more = failed | {"delta": {}} if chance.random() < 0.4 else found
            yield pause, {"action": "get_post", "input": {"id": f"post_{post}"}, **more}
        elif kind == 7:
            text = chance.choice(["Thank you!", "Does this hold for long sessions?", "“Quoted” — and a second line\n✓"])
            delta = {"draft": {"comment": text}, "permissions": {"requires_user_confirmation": ["create_comment"]}}
            yield pause, {"action": "create_comment", "input": {"body": text}, "delta": delta, "observation": "created"}
        else:
            cursor = cursor % 5 + 1
            yield pause, {"action": "paginate", "input": {"page": cursor}, "delta": _page_of(cursor)}


def story(session_id: str, agent_id: str, name: str, ended: datetime, *, seed: int = 1, count: int = 40) -> bytes:
    """The stored string of a session that `count` updates were made to, the last one at `ended`."""
    life = list(steps(seed, count))
    now = ended - timedelta(seconds=sum(pause for pause, _ in life))
    raw = encode(new_document(session_id, agent_id, name, "/api/agent/posts", timestamp(now)))
    end = raw.find(b"\n") + 1
    head, actions, length = raw[:end], [raw[end:].removesuffix(CLOSE)], len(raw)
    for number, (pause, fields) in enumerate(life):
        now += timedelta(seconds=pause)
        base = base_from_head(head + actions[0][:FOLLOWING_BYTES], length)
        assert base is not None
        update = Update(**{"delta": {}, "op_id": f"op_{number}", **fields})
        change = apply_update(base, update, timestamp(now)).splice
        head = change.head
        actions.append(change.tail.removesuffix(CLOSE))
        length = len(head) + change.keep_to - change.keep_from + len(change.tail)
    return head + b"".join(actions) + CLOSE
