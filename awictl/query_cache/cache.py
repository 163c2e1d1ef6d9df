"""The cached results of queries: AWI:CACHE:LIST:<key>, and why a query is not among them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..document import keys
from ..document.json_codec import dumps, loads_at
from ..document.schema import CACHE_ACTION, active_query
from ..document.timestamps import timestamp
from ..document.validation import checked_json
from ..errors import AwiError, InvalidData, InvalidInput, NotFound
from ..store.base import View
from .cache_key import cache_key

if TYPE_CHECKING:
    from ..sessions.reader import SessionReader
    from ..sessions.writer import SessionWriter
    from ..settings import Settings
    from ..store.redis.strings import Strings

#: Cached results that are read in one go.
_BATCH = 200
#: Bytes of cached results that are read to count them; larger ones are listed without.
COUNTED_BYTES = 1_048_576


@dataclass(frozen=True)
class Cached:
    """The cached results of one query."""

    cache_key: str
    #: Milliseconds until they expire; None where they never do.
    ttl_ms: int | None
    #: Length of the string.
    bytes: int
    #: How many results; None where they are too many to count them in passing, or cannot be read.
    count: int | None
    #: The sessions that have this as their active query.
    sessions: Sequence[str] = ()
    #: Why they could not be read, if so.
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """The same as plain data; `error` is there only where there is one."""
        row = dict(vars(self)) | {"sessions": list(self.sessions)}
        return row if self.error is not None else {key: value for key, value in row.items() if key != "error"}


class QueryCache:
    """The cached results of queries. Raises the errors of `awictl.errors`."""

    def __init__(self, strings: Strings, reader: SessionReader, writer: SessionWriter, settings: Settings) -> None:
        self._strings = strings
        self._reader = reader
        self._writer = writer
        self._settings = settings
        #: For messages: where they are kept.
        self.where = strings.where

    # -- reading

    async def results(self, key: str) -> list[Any] | None:
        """The results under a cache key; None where there are none. Raises InvalidData. One round trip."""
        if not keys.is_cache_key(key):
            return None
        raw = await self._strings.get(keys.CACHE_PREFIX + key)
        return _decoded(raw, self._place(key)) if raw is not None else None

    async def raw(self, key: str) -> bytes:
        """The string under a cache key, as it is stored. Raises NotFound."""
        raw = await self._strings.get(keys.CACHE_PREFIX + keys.check_cache_key(key))
        if raw is None:
            raise NotFound(
                f"nothing is cached at {self._place(key)}: it expired, was evicted, or never was; `awictl cache list` "
                "shows what is, and `awictl cache diagnose` why a query is not"
            )
        return raw

    def decoded(self, key: str, raw: bytes) -> list[Any]:
        """The results in a stored string. Raises InvalidData."""
        return _decoded(raw, self._place(key))

    async def list(self, *, rate: float | None = None, sessions: bool = True) -> AsyncGenerator[Cached, None]:
        """All cached results, as they are found. `rate`: keys that the server visits in a second at the most.

        `sessions`: look through the sessions first, for those that have them as their active query.
        """
        pointing: dict[str, list[str]] = {}
        if sessions:
            async for session_id, key in self._pointers(rate):
                pointing.setdefault(key, []).append(session_id)
        async with aclosing(self._strings.scan(keys.CACHE_PREFIX, rate)) as batches:
            async for names in batches:
                for start in range(0, len(names), _BATCH):
                    for cached in await self.look(names[start : start + _BATCH], pointing):
                        yield cached

    async def _pointers(self, rate: float | None) -> AsyncGenerator[tuple[str, str], None]:
        """The sessions that have an active query, and its cache key."""
        view: View[tuple[str, dict[str, Any]]] = View(lambda listed: (listed.session_id, listed.head))
        async with aclosing(self._reader.list_as(view, rate=rate)) as batches:
            async for batch in batches:
                for session_id, head in batch:
                    if (active := active_query(head)) is not None:
                        yield session_id, active[0]

    async def is_empty(self) -> bool:
        """Whether nothing at all is cached there."""
        async with aclosing(self._strings.scan(keys.CACHE_PREFIX)) as batches:
            async for _ in batches:
                return False
        return True

    async def lifetimes(self, cache_keys: Sequence[str]) -> dict[str, int | None]:
        """For those of these keys that are cached, the milliseconds until they expire. One round trip."""
        peeks = await self._strings.look([keys.CACHE_PREFIX + key for key in cache_keys])
        return {key: peek.ttl_ms for key, peek in zip(cache_keys, peeks, strict=True) if peek is not None}

    async def look(self, names: Sequence[str], pointing: Mapping[str, Sequence[str]] | None = None) -> Sequence[Cached]:
        """What is cached under these cache keys; those under which nothing is are left out.

        `pointing`: the sessions that have them as their active query.
        """
        places = [keys.CACHE_PREFIX + name for name in names]
        peeks = dict(zip(places, await self._strings.look(places), strict=True))
        small = [place for place, peek in peeks.items() if peek is not None and peek.length <= COUNTED_BYTES]
        raws = await self._strings.get_many(small)
        found = []
        for name, place in zip(names, places, strict=True):
            peek, raw = peeks[place], raws.get(place)
            if peek is None:
                continue
            count, error = None, None
            if isinstance(raw, AwiError):
                error = str(raw)
            elif not peek.length and peek.fault is None:
                error = f"{self._place(name)}: an empty string"
            elif raw is not None:
                try:
                    count = len(_decoded(raw, self._place(name)))
                except InvalidData as invalid:
                    error = str(invalid)
            found.append(Cached(name, peek.ttl_ms, peek.length, count, (pointing or {}).get(name, ()), error))
        return found

    # -- writing

    async def put(
        self,
        filters: Any,
        sort: Any,
        results: Sequence[Any],
        *,
        session_id: str | None = None,
        op_id: str | None = None,
    ) -> Cached:
        """Cache the results of a query for LIST_CACHE_TTL_MINUTES.

        With a session, its `query_cache` says so afterwards, and the action `cache_query_results` is recorded, as the
        app does. Raises NotFound where there is no such session; then nothing is cached.
        """
        self._settings.check_writable()
        limit = self._settings.max_document_bytes
        filters, sort = checked_json(filters, "the filters", limit), checked_json(sort, "the sort order", limit)
        if not isinstance(results, list):
            raise InvalidInput(f"results are a JSON array, not a {type(results).__name__}")
        results = checked_json(results, "the results", limit)
        key = cache_key(filters, sort)
        ttl_ms = self._settings.list_cache_ttl_ms
        raw = dumps(results)
        if session_id is not None:
            await self._reader.history(session_id, 1)  # raises where it is not there
        # first, so that no session points to what never was
        await self._strings.put({keys.CACHE_PREFIX + key: raw}, ttl_ms)
        if session_id is not None:
            await self._writer.apply(
                session_id,
                {"query_cache": {"active_cache_key": key, "cached_at": timestamp()}},
                {
                    "action": CACHE_ACTION,
                    "input": {"filters": filters or {}, "sort": sort or {}, "result_count": len(results)},
                    "op_id": op_id,
                },
            )
        return Cached(key, ttl_ms, len(raw), len(results), [session_id] if session_id is not None else [])

    async def delete(self, cache_keys: Sequence[str]) -> Sequence[bool]:
        """Delete cached results; for each key, whether it was there."""
        self._settings.check_writable()
        return await self._strings.delete([keys.CACHE_PREFIX + keys.check_cache_key(key) for key in cache_keys])

    def _place(self, key: str) -> str:
        return f"{self.where}, key {keys.CACHE_PREFIX}{key}"


def _decoded(raw: bytes, where: str) -> list[Any]:
    results = loads_at(raw, where)
    if not isinstance(results, list):
        raise InvalidData(f"{where}: not a JSON array")
    return results
