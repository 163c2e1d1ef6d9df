"""Diagnose a cache miss: which similar queries are cached instead, and when a session last cached this one."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document.json_codec import check_input
from ..document.schema import active_query, as_array, as_object, cached_query
from ..document.timestamps import parse_timestamp
from ..document.validation import checked_json
from ..errors import AwiError, InvalidData, InvalidInput
from ..store.base import Listed
from ..util.humanize import duration
from .cache_key import cache_key
from .differences import DifferenceKind, are_similar, compare
from .spellings import variants

if TYPE_CHECKING:
    from ..sessions.reader import SessionReader
    from ..settings import Settings
    from .cache import QueryCache

#: Maximum number of similar queries in a diagnosis.
MAX_SIMILAR = 5
#: Maximum number of sessions whose latest actions are read to find the queries behind cache keys, and of actions each.
_MAX_HISTORIES = 50
_LATEST_ACTIONS = 50


@dataclass(frozen=True)
class SimilarQuery:
    """A cached query, and how it differs from the diagnosed one."""

    cache_key: str
    #: Milliseconds until its results expire; None if they have no TTL.
    ttl_ms: int | None
    difference: DifferenceKind
    #: Description of the difference.
    words: str
    filters: Any
    sort: Any


@dataclass(frozen=True)
class QuerySession:
    """A session whose active query is the diagnosed one."""

    session_id: str
    #: When the session cached the results, as stored in it.
    cached_at: str | None
    #: Milliseconds since then; None if `cached_at` is not a valid time.
    age_ms: int | None


@dataclass(frozen=True)
class Diagnosis:
    """Whether a query is cached and, if not, the likely reason."""

    cache_key: str
    hit: bool
    #: Milliseconds until the results expire; None if they have no TTL, or on a miss.
    ttl_ms: int | None
    #: Size of the stored string; None on a miss.
    bytes: int | None
    #: Number of results; None if unknown, or on a miss.
    count: int | None
    #: The result in one sentence.
    verdict: str
    #: Similar queries that are cached, the most similar first.
    near: list[SimilarQuery] = field(default_factory=list)
    #: Sessions whose active query this is, the latest `cached_at` first.
    sessions: list[QuerySession] = field(default_factory=list)
    #: Number of cache keys that were looked up.
    looked_at: int = 1

    def row(self) -> dict[str, Any]:
        """Return the diagnosis as JSON-compatible data."""
        lists = {name: [dict(vars(one)) for one in getattr(self, name)] for name in ("near", "sessions")}
        return dict(vars(self)) | lists


class ActiveQuery(NamedTuple):
    """The active query of a session."""

    session_id: str
    cache_key: str
    cached_at: str | None
    #: The filters and the sort order; None if the head of the session does not have them.
    query: tuple[Any, Any] | None


def current_query(document: dict[str, Any]) -> tuple[Any, Any]:
    """Return the filters and the sort order of the query that a session is at: the one it cached or moved to last.

    `cache put --session` and the app record the cached query as an action, and its key as `active_cache_key`. A later
    delta may change the filters or the sort order in `page_state`, which are then the current query.
    """
    page = as_object(document.get("page_state"))
    on_page = page.get("filters"), page.get("sort")
    active = active_query(document)
    if active is None or _has_key(active[0], *on_page):
        return on_page
    for action in map(as_object, reversed(as_array(as_object(document.get("history")).get("actions")))):
        query = cached_query(action)
        if query is not None and _has_key(active[0], query.get("filters"), query.get("sort")):
            return query.get("filters"), query.get("sort")
        if as_object(as_object(action.get("delta")).get("page_state")).keys() & {"filters", "sort"}:
            break
    return on_page


def checked_query(session_id: str, document: dict[str, Any]) -> tuple[Any, Any]:
    """Like `current_query`; raises InvalidData if the query of this session cannot be diagnosed."""
    query = current_query(document)
    try:
        check_input(query)
    except InvalidInput as error:
        raise InvalidData(f"{session_id}: its query cannot be diagnosed: {error}") from None
    return query


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
    """Look a query up in the cache and, on a miss, find the reason. See `StateManager.diagnose_query`."""
    limit = settings.max_delta_bytes
    filters, sort = checked_json(filters, "the filters", limit), checked_json(sort, "the sort order", limit)
    own_key = cache_key(filters, sort)
    if found := await cache.lookup([own_key]):
        [cached] = found
        hit = cached.error is None
        verdict = "cached" if hit else f"the cached value cannot be read: {cached.error}"
        return Diagnosis(own_key, hit, cached.ttl_ms, cached.bytes, cached.count, verdict)
    spellings = variants(filters, sort)
    active = [one async for one in _queries(reader, rate)] if scan_sessions else []
    queries = await _known_queries(reader, active)
    queries |= {key: (variant.filters, variant.sort) for key, variant in spellings.items()}
    queries.pop(own_key, None)
    ranked = []
    for key, ttl_ms in (await cache.lifetimes(list(queries))).items():
        try:
            if key not in spellings and not are_similar(filters, sort, *queries[key]):
                continue
            distance, kind, words = compare(filters, sort, *queries[key])
        except RecursionError:  # it is nested almost too deeply to have a cache key
            continue
        if key in spellings:
            kind, words = spellings[key].difference, spellings[key].description
        ranked.append(
            (list(DifferenceKind).index(kind), distance, SimilarQuery(key, ttl_ms, kind, words, *queries[key]))
        )
    ranked.sort(key=lambda one: one[:2])
    similar = [one for _, _, one in ranked[:MAX_SIMILAR]]
    sessions = [_with_age(one) for one in active if one.cache_key == own_key]
    sessions.sort(key=lambda one: one.cached_at or "", reverse=True)
    verdict = await _verdict(cache, similar, sessions, settings.list_cache_ttl_ms, len(spellings))
    return Diagnosis(own_key, False, None, None, None, verdict, similar, sessions, 1 + len(queries))


async def _verdict(
    cache: QueryCache, similar: list[SimilarQuery], sessions: list[QuerySession], ttl_ms: int, spellings: int
) -> str:
    if similar and similar[0].difference is not DifferenceKind.FILTER:
        return f"cached under another key, because the query is spelled differently: {similar[0].words}"
    if sessions and (age_ms := sessions[0].age_ms) is not None:
        cached = f"{sessions[0].session_id} cached it {duration(age_ms)} ago, and the TTL is {duration(ttl_ms)}"
        if age_ms >= ttl_ms:
            return f"expired: {cached}"
        return f"deleted or evicted before it expired: {cached}; `awictl doctor` shows whether the server evicts keys"
    if similar:
        return f"not cached, but a similar query is: {similar[0].words}"
    if await cache.is_empty():
        return f"the cache at {cache.where} is empty; check that this is the right server and database"
    return (
        f"neither this query nor any of {spellings:,} other spellings is cached, and no session has it as its active "
        "query: it was never cached, or expired long ago"
    )


def _with_age(one: ActiveQuery) -> QuerySession:
    moment = parse_timestamp(one.cached_at)
    age_ms = max(0, int((time.time() - moment.timestamp()) * 1000)) if moment is not None else None
    return QuerySession(one.session_id, one.cached_at, age_ms)


async def _queries(reader: SessionReader, rate: float | None) -> AsyncGenerator[ActiveQuery, None]:
    """Yield the active queries of all live sessions."""
    async with aclosing(reader.list_all(listed_query, rate=rate)) as batches:
        async for batch in batches:
            for query in batch:
                if query is not None:
                    yield query


def listed_query(listed: Listed) -> ActiveQuery | None:
    """Return the active query of a session in a listing; None if it has none."""
    active = active_query(listed.head)
    if active is None:
        return None
    page = as_object(listed.head.get("page_state"))
    last_action = as_object(as_object(listed.head.get("history")).get("last_action"))
    for candidate in (as_object(last_action.get("input")), page):
        filters, sort = candidate.get("filters"), candidate.get("sort")
        if _has_key(active[0], filters, sort):
            return ActiveQuery(listed.session_id, *active, (filters, sort))
    return ActiveQuery(listed.session_id, *active, None)


async def _known_queries(reader: SessionReader, active: list[ActiveQuery]) -> dict[str, tuple[Any, Any]]:
    """Return queries by cache key: from the heads of sessions, else from their latest actions."""
    known = {one.cache_key: one.query for one in active if one.query is not None}
    unknown = {one.cache_key: one.session_id for one in active if one.cache_key not in known}
    for session_id in [*unknown.values()][:_MAX_HISTORIES]:
        try:
            page = await reader.history(session_id, _LATEST_ACTIONS)
        except AwiError:
            continue  # gone or unreadable by now; another session may have the query
        for action in map(as_object, as_array(page.trajectory)):
            if (query := cached_query(action)) is not None:
                with suppress(InvalidData):
                    known[cache_key(query.get("filters"), query.get("sort"))] = query.get("filters"), query.get("sort")
    return known


def _has_key(key: str, filters: Any, sort: Any) -> bool:
    """Whether a stored query has this cache key. One that is nested too deeply has none."""
    try:
        return cache_key(filters, sort) == key
    except InvalidData:
        return False
