"""Why a query is not cached: what is cached in its place, and what the sessions know of it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document.schema import CACHE_ACTION, active_query, as_array, as_object
from ..document.timestamps import parse_timestamp
from ..document.validation import checked_json
from ..errors import AwiError
from ..store.base import Listed, View
from ..util.humanize import duration
from .cache_key import cache_key
from .spellings import Difference, alike, difference, variants

if TYPE_CHECKING:
    from ..sessions.reader import SessionReader
    from ..settings import Settings
    from .cache import QueryCache

#: Cached queries that are told, the most alike first.
MOST_TOLD = 5
#: Sessions whose latest actions are looked at, to find out which query a cache key belongs to; and how many actions.
_MOST_HISTORIES = 50
_LATEST_ACTIONS = 50


@dataclass(frozen=True)
class Near:
    """A query that is cached, and in what it differs from the one that was asked for."""

    cache_key: str
    #: Milliseconds until its results expire.
    ttl_ms: int | None
    difference: Difference
    #: The difference in words.
    words: str
    filters: Any
    sort: Any


@dataclass(frozen=True)
class Remembered:
    """A session that has the query as its active one."""

    session_id: str
    #: When it says that the results were cached, as stored; and how many milliseconds ago that is.
    cached_at: str | None
    age_ms: int | None


@dataclass(frozen=True)
class Diagnosis:
    """Whether a query is cached, and if not, why."""

    cache_key: str
    hit: bool
    #: Milliseconds until the results expire; None where they never do, or there are none.
    ttl_ms: int | None
    #: Length of the string, and how many results it holds; None where that cannot be told.
    bytes: int | None
    count: int | None
    #: What is wrong with it in one sentence; that it is a hit, where nothing is.
    verdict: str
    #: Cached queries that are like it, the most alike first.
    near: list[Near] = field(default_factory=list)
    #: Sessions that point to it, the latest first.
    sessions: list[Remembered] = field(default_factory=list)
    #: How many cache keys were looked at.
    looked_at: int = 1

    def row(self) -> dict[str, Any]:
        """The same as plain data."""
        lists = {name: [dict(vars(one)) for one in getattr(self, name)] for name in ("near", "sessions")}
        return dict(vars(self)) | lists


class _Query(NamedTuple):
    session_id: str
    cache_key: str
    cached_at: str | None
    #: The query whose key it is, where the head of the session tells.
    query: tuple[Any, Any] | None


async def diagnose(
    cache: QueryCache,
    reader: SessionReader,
    settings: Settings,
    filters: Any,
    sort: Any,
    *,
    rate: float | None = None,
    scan_sessions: bool = True,
) -> Diagnosis:
    """Find out whether a query is cached, and on a miss, what is in its place. See `StateManager.diagnose_query`."""
    limit = settings.max_delta_bytes
    filters, sort = checked_json(filters, "the filters", limit), checked_json(sort, "the sort order", limit)
    own = cache_key(filters, sort)
    if found := await cache.look([own]):
        [cached] = found
        hit = cached.error is None
        verdict = "cached" if hit else f"what is cached cannot be read: {cached.error}"
        return Diagnosis(own, hit, cached.ttl_ms, cached.bytes, cached.count, verdict)
    spelled = variants(filters, sort)
    queries = {key: (one.filters, one.sort) for key, one in spelled.items()}
    pointing = [one async for one in _queries(reader, rate)] if scan_sessions else []
    queries = await _known_queries(reader, pointing) | queries
    queries.pop(own, None)
    near = []
    for key, ttl_ms in (await cache.lifetimes(list(queries))).items():
        if key not in spelled and not alike(filters, sort, *queries[key]):
            continue
        distance, what, words = difference(filters, sort, *queries[key])
        if key in spelled:
            what, words = spelled[key].difference, spelled[key].words
        near.append((list(Difference).index(what), distance, Near(key, ttl_ms, what, words, *queries[key])))
    near.sort(key=lambda one: one[:2])
    remembered = [_remembered(one) for one in pointing if one.cache_key == own]
    remembered.sort(key=lambda one: one.cached_at or "", reverse=True)
    nearest = [one for _, _, one in near[:MOST_TOLD]]
    verdict = await _verdict(cache, nearest, remembered, settings.list_cache_ttl_ms, len(spelled))
    return Diagnosis(own, False, None, None, None, verdict, nearest, remembered, 1 + len(queries))


async def _verdict(
    cache: QueryCache, near: list[Near], remembered: list[Remembered], ttl_ms: int, spellings: int
) -> str:
    if near and near[0].difference is not Difference.FILTER:
        return f"cached under another key, since it was asked for otherwise: {near[0].words}"
    if remembered and (age_ms := remembered[0].age_ms) is not None:
        who = remembered[0].session_id
        if age_ms >= ttl_ms:
            return f"expired: {who} cached it {duration(age_ms)} ago, and results stay for {duration(ttl_ms)}"
        return (
            f"gone before its time: {who} cached it {duration(age_ms)} ago, and results stay for {duration(ttl_ms)}; "
            "it was deleted, or evicted for want of memory (`awictl doctor` tells)"
        )
    if near:
        return f"not cached, but a similar query is: {near[0].words}"
    if await cache.is_empty():
        return f"nothing at all is cached at {cache.where}: is this the right server and database?"
    return (
        f"neither it nor one of {spellings:,} other spellings is cached, and no session points to it: "
        "it was never cached, or expired long ago"
    )


def _remembered(one: _Query) -> Remembered:
    moment = parse_timestamp(one.cached_at)
    age_ms = max(0, int((time.time() - moment.timestamp()) * 1000)) if moment is not None else None
    return Remembered(one.session_id, one.cached_at, age_ms)


async def _queries(reader: SessionReader, rate: float | None) -> AsyncGenerator[_Query, None]:
    """What the sessions know of their active queries."""
    view: View[_Query | None] = View(_query)
    async with aclosing(reader.list_as(view, rate=rate)) as batches:
        async for batch in batches:
            for one in batch:
                if one is not None:
                    yield one


def _query(listed: Listed) -> _Query | None:
    active = active_query(listed.head)
    if active is None:
        return None
    page = as_object(listed.head.get("page_state"))
    last = as_object(as_object(listed.head.get("history")).get("last_action"))
    asked = as_object(last.get("input"))
    for filters, sort in ((asked.get("filters"), asked.get("sort")), (page.get("filters"), page.get("sort"))):
        if cache_key(filters, sort) == active[0]:
            return _Query(listed.session_id, *active, (filters, sort))
    return _Query(listed.session_id, *active, None)


async def _known_queries(reader: SessionReader, pointing: list[_Query]) -> dict[str, tuple[Any, Any]]:
    """The queries that sessions point to, by their cache keys: from their heads, else from their latest actions."""
    known = {one.cache_key: one.query for one in pointing if one.query is not None}
    unknown = {one.cache_key: one.session_id for one in pointing if one.cache_key not in known}
    for session_id in [*unknown.values()][:_MOST_HISTORIES]:
        try:
            page = await reader.history(session_id, _LATEST_ACTIONS)
        except AwiError:
            continue  # gone by now, or not readable: others may know
        for action in map(as_object, as_array(page.trajectory)):
            if action.get("action") == CACHE_ACTION:
                asked = as_object(action.get("input"))
                known[cache_key(asked.get("filters"), asked.get("sort"))] = asked.get("filters"), asked.get("sort")
    return known
