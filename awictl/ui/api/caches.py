"""`/api/caches`: what is cached, and why a query is not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...diagnostics.doctor.examine import DEFAULT_RATE
from ...document.json_codec import parse_input
from ...document.keys import check_cache_key
from ...document.timestamps import timestamp
from ...errors import AwiError, InvalidInput, NotFound
from ...query_cache.diagnose import checked_query
from ...sessions.manager import StateManager
from ...util.daemon_thread import in_daemon_thread
from ..http.responses import json_response, redacted_value
from ..inspector import Inspector, inspector_of, manager_of
from ..results.cached_queries import MAX_ENTRIES, CachedQueries, scan_cached
from ..results.shared_scan import OnStep, SharedScan

#: Seconds for which a request waits for the scan; the page asks again if it takes longer.
WAIT_SECONDS = 1.0
#: Maximum size in bytes of results that a page shows.
MAX_SHOWN_BYTES = 1_048_576


class _CacheScans:
    """What all open Caches pages share."""

    def __init__(self, inspector: Inspector) -> None:
        manager, self.rate = inspector.manager, inspector.options.rate or DEFAULT_RATE

        redaction = inspector.options.redaction

        async def scan(on_step: OnStep) -> CachedQueries:
            found = await scan_cached(manager, self.rate, on_step)
            if redaction is None:
                return found
            # once for all pages, since it takes a while
            return await in_daemon_thread(lambda: found.with_rows(redacted_value(found.rows, redaction)))

        self.listing = SharedScan(scan)
        #: Held by a diagnosis, which may scan the sessions: one at a time.
        self.diagnosing = asyncio.Lock()
        inspector.background.push_async_callback(self.listing.close)


async def caches(request: Request) -> Response:
    """The cached results with TTL, size, and the sessions whose query they are. `again=1`: scan again.

    `entries`: null before the first scan is complete, then at most MAX_ENTRIES, those cached last; all fields of
    `SharedScan.report`.
    """
    scan = inspector_of(request).shared(_CacheScans).listing
    scan.ask(again=request.query_params.get("again") == "1")
    await scan.wait(WAIT_SECONDS)
    found = scan.result
    entries = [_with_ttl(*one) for one in zip(found.rows, found.expiries, strict=True)] if found is not None else None
    totals = {name: getattr(found, name, None) for name in ("total", "bytes", "sessions_problem")}
    answer = {"entries": entries, **totals, "limit": MAX_ENTRIES, "where": manager_of(request).cache.where}
    return json_response(request, {**answer, **scan.report(), "now": timestamp()}, redacted=True)


def _with_ttl(row: dict[str, Any], expires: float | None) -> dict[str, Any]:
    """An entry with the TTL that it has now: 0 if it has expired since."""
    return {**row, "ttl_ms": max(0, round((expires - time.monotonic()) * 1000)) if expires is not None else None}


async def cached_results(request: Request) -> Response:
    """One cached entry with its results: null if `problem` says why they are not shown, or for `results=0`.

    `sessions`, `session_count` and `query` are those of the last scan; null if it did not find this key.
    """
    manager, key = manager_of(request), check_cache_key(request.path_params["key"])
    found = await manager.cache.lookup([key])
    results, problem = None, None
    if not found:
        await manager.cache.raw(key)  # raises NotFound
        raise NotFound(f"nothing was cached under {key} a moment ago; try again")
    [cached] = found
    if cached.error is not None:
        problem = cached.error
    elif cached.bytes > MAX_SHOWN_BYTES:
        problem = f"These results are larger than {MAX_SHOWN_BYTES:,} bytes; `awictl cache show {key}` prints them."
    elif request.query_params.get("results") != "0":
        try:
            raw = await manager.cache.raw(key)
            results = manager.cache.decoded(key, raw)
        except NotFound:
            raise
        except AwiError as error:
            problem = str(error)
    scan = inspector_of(request).shared(_CacheScans).listing
    scan.ask()
    await scan.wait(WAIT_SECONDS)
    rows = scan.result.rows if scan.result is not None else []
    known: dict[str, Any] = next((one for one in rows if one["cache_key"] == key), {})
    answer = {
        "cache_key": key,
        "ttl_ms": cached.ttl_ms,
        "bytes": cached.bytes,
        "count": len(results) if results is not None else cached.count,
        "results": results,
        "problem": problem,
        "session_count": known.get("session_count"),
        "sessions": known.get("sessions"),
        "query": known.get("query"),
        "where": manager.cache.where,
        "now": timestamp(),
    }
    if inspector_of(request).options.redaction is None:
        return json_response(request, answer)
    return await in_daemon_thread(lambda: json_response(request, answer))  # takes a second for large results


async def diagnosis(request: Request) -> Response:
    """Why a query is or is not cached: `filters` and `sort` as JSON, or `session`: the query that a session is at.

    Returns the diagnosis as `awictl cache diagnose -o json`, with the `query` that it is about.
    """
    manager, scans = manager_of(request), inspector_of(request).shared(_CacheScans)
    query = await _query_in(request, manager)
    async with scans.diagnosing:
        found = await manager.diagnose_query(*query, rate=scans.rate)
    filters, sort = query
    return json_response(request, {**found.row(), "query": {"filters": filters, "sort": sort}, "now": timestamp()})


async def _query_in(request: Request, manager: StateManager) -> tuple[Any, Any]:
    given = request.query_params
    if session_id := given.get("session"):
        if given.get("filters") or given.get("sort"):
            raise InvalidInput("session cannot be combined with filters or sort")
        return checked_query(session_id, manager.decoded(session_id, await manager.read_session(session_id)))
    limit = manager.settings.max_delta_bytes
    filters, sort = (_parsed(given.get(name, ""), name, limit) for name in ("filters", "sort"))
    return filters, sort


def _parsed(text: str, name: str, limit: int) -> Any:
    """A JSON value of at most `limit` bytes; an empty object for an empty text. Raises InvalidInput."""
    data = text.strip().encode("utf-8", "surrogatepass")
    if len(data) > limit:
        raise InvalidInput(f"{name} is larger than {limit:,} bytes, the limit set by AWI_MAX_DELTA_BYTES")
    try:
        return parse_input(data) if data else {}
    except InvalidInput as error:
        raise InvalidInput(f"{name} is {error}") from None


ROUTES = [
    Route("/api/caches", caches),
    Route("/api/caches/diagnose", diagnosis),
    Route("/api/caches/{key}", cached_results),
]
