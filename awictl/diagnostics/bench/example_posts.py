"""The posts of an example site, a forum about web agents. Their text is made of phrases, so that no two are equal."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from ...document.timestamps import timestamp

#: When the newest post was written. A fixed time: the same pages have the same tokens on any day.
_NEWEST = datetime(2026, 1, 30, 9, 0, tzinfo=UTC)

_SUBJECTS = (
    "Session state", "A small diff", "The accessibility tree", "A cached query", "Pagination by cursor",
    "An archived trajectory", "The login form", "Rate limiting", "A replayed action", "Structured search",
    "The shopping cart", "Server-side rendering", "An agent's permissions", "The comment thread",
)  # fmt: skip
_PREDICATES = (
    "is cheaper than a full page", "broke after the last release", "in production: lessons of a year",
    "explained with three examples", "needs fewer tokens than you think", "and why the tests missed it",
    "for people who write scrapers", "compared with a headless browser", "without JavaScript",
    "at ten thousand requests per second", "for beginners",
)  # fmt: skip
_SENTENCES = (
    "We measured what an agent really reads, and most of it was markup that nobody had asked for.",
    "The first version kept everything in one document, which worked until the trajectories grew long.",
    "Reviewers asked for numbers, so here they are, together with the scripts that produced them.",
    "If you only remember one thing, remember that a retry must not apply the same action twice.",
    "Our users noticed it before the monitoring did, because the page was complete but stale.",
    "The fix is a single line; finding it took most of a week and two very patient colleagues.",
    "Nothing here is new, but the pieces are rarely described in one place and in this order.",
    "A browser hides this from you: it renders half a page happily and waits for the rest.",
    "The old endpoint stays until summer, and answers with a warning header from today on.",
    "Compression helps on the wire, but a language model pays for every token after that.",
    "We tried three libraries and kept the smallest, since the others did far more than we need.",
    "Please report what you find, even if it only happens sometimes and never on your machine.",
    "In the end, the simple approach won by a margin that surprised all of us.",
)
_AUTHORS = ("Amara Okafor", "Jürgen Weiß", "Mei Tanaka", "Lucía Fernández", "Tom Becker", "Priya Nair", "Noor Haddad")
_TAGS = ("agents", "awi", "caching", "databases", "html", "performance", "security", "testing")


def object_id(what: str) -> str:
    """An id as MongoDB makes them: 24 hex digits."""
    return hashlib.sha256(what.encode()).hexdigest()[:24]


def sentences(start: int, count: int) -> str:
    """A text of some sentences."""
    return " ".join(_SENTENCES[(start * 5 + number) % len(_SENTENCES)] for number in range(count))


def post(number: int, excerpt_sentences: int) -> dict[str, Any]:
    """A post as a list shows it. `excerpt_sentences`: length of its excerpt."""
    return {
        "id": object_id(f"post {number}"),
        "title": f"{_SUBJECTS[number % len(_SUBJECTS)]} {_PREDICATES[number % len(_PREDICATES)]}",
        "excerpt": sentences(number, excerpt_sentences),
        "author": _AUTHORS[number * 3 % len(_AUTHORS)],
        "createdAt": timestamp(_NEWEST - timedelta(hours=7 * number, minutes=13 * number)),
        "tags": sorted({_TAGS[number % len(_TAGS)], _TAGS[number * 5 // 3 % len(_TAGS)]}),
        "likes": number * 37 % 211,
        "comments": number * 11 % 29,
    }


def comment(number: int) -> dict[str, Any]:
    """A comment on a post."""
    return {
        "id": object_id(f"comment {number}"),
        "author": _AUTHORS[number * 2 % len(_AUTHORS)],
        "text": sentences(number + 3, 1 + number % 2),
        "createdAt": timestamp(_NEWEST + timedelta(minutes=19 * number)),
        "likes": number * 7 % 13,
    }
