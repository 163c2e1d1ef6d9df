"""The cache of query results: the keys AWI:CACHE:LIST:<cache key>."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..document import keys
from ..document.json_codec import dumps, json_type, loads_at
from ..document.schema import active_query
from ..document.timestamps import timestamp
from ..document.update import action_of
from ..document.validation import checked_json
from ..errors import AwiError, InvalidData, InvalidInput, NotFound
from ..util.batched import batched
from .cache_key import cache_key

if TYPE_CHECKING:
    from ..sessions.reader import SessionReader
    from ..sessions.writer import SessionWriter
    from ..settings import Settings
    from ..store.strings import StringStore

#: Maximum number of entries that are read in one round trip.
_BATCH = 200
#: Entries of up to this many bytes are read in lists to count their results.
COUNTED_BYTES = 1_048_576


@dataclass(frozen=True)
class Cached:
    """One entry of the cache, without the results."""

    cache_key: str
    #: Milliseconds until it expires; None if it has no TTL.
    ttl_ms: int | None
    #: Size of the stored string.
    bytes: int
    #: Number of results; None if the string is larger than COUNTED_BYTES or cannot be read.
    count: int | None
    #: IDs of the sessions that have this as their active query.
    sessions: Sequence[str] = ()
    #: Why the results cannot be read.
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the entry as JSON-compatible data, with `error` only if there is one."""
        row = dict(vars(self)) | {"sessions": list(self.sessions)}
        return row if self.error is not None else {key: value for key, value in row.items() if key != "error"}


class QueryCache:
    """Reads and writes cached query results. Every method also raises Unreachable and AccessDenied."""

    def __init__(self, strings: StringStore, reader: SessionReader, writer: SessionWriter, settings: Settings) -> None:
        self._strings = strings
        self._reader = reader
        self._writer = writer
        self._settings = settings
        #: The server of the cache, without passwords, for messages.
        self.where = strings.where

    # -- reading

    async def results(self, key: str) -> list[Any] | None:
        """Return the results under a cache key; None if there are none. Raises InvalidData. One round trip."""
        if not keys.is_cache_key(key):
            return None
        raw = await self._strings.get(keys.CACHE_PREFIX + key)
        return _decoded(raw, self._location(key)) if raw is not None else None

    async def raw(self, key: str) -> bytes:
        """Return the stored string under a cache key. Raises NotFound, InvalidInput. One round trip."""
        raw = await self._strings.get(keys.CACHE_PREFIX + keys.check_cache_key(key))
        if raw is None:
            raise NotFound(
                f"nothing is cached at {self._location(key)}: it expired, was evicted, or was never cached; "
                "`awictl cache list` shows what is cached, `awictl cache diagnose` why a query is not"
            )
        return raw

    def decoded(self, key: str, raw: bytes) -> list[Any]:
        """Decode the results in a string that `raw` has returned. Raises InvalidData."""
        return _decoded(raw, self._location(key))

    async def list(self, *, rate: float | None = None, sessions: bool = True) -> AsyncGenerator[Cached, None]:
        """Yield all entries of the cache. `rate`: maximum number of keys to scan per second (None: not paced).

        `sessions`: scan the sessions first and set `Cached.sessions`.
        """
        sessions_by_key: dict[str, list[str]] = {}
        if sessions:
            async for session_id, key in self._active_queries(rate):
                sessions_by_key.setdefault(key, []).append(session_id)
        async with aclosing(self._strings.scan(keys.CACHE_PREFIX, rate)) as batches:
            async for names in batches:
                for some in batched(names, _BATCH):
                    for cached in await self.lookup(some, sessions_by_key):
                        yield cached

    async def _active_queries(self, rate: float | None) -> AsyncGenerator[tuple[str, str], None]:
        """Yield the IDs of the sessions that have an active query, with its cache key."""
        async with aclosing(
            self._reader.list_all(lambda listed: (listed.session_id, active_query(listed.head)), rate=rate)
        ) as batches:
            async for batch in batches:
                for session_id, active in batch:
                    if active is not None:
                        yield session_id, active[0]

    async def is_empty(self) -> bool:
        """Return whether the cache has no entry at all."""
        async with aclosing(self._strings.scan(keys.CACHE_PREFIX)) as batches:
            async for _ in batches:
                return False
        return True

    async def lifetimes(self, cache_keys: Sequence[str]) -> dict[str, int | None]:
        """Return the TTL in milliseconds of each cached key (None: no TTL); others are left out. One round trip."""
        infos = await self._strings.key_info([keys.CACHE_PREFIX + key for key in cache_keys])
        return {key: info.ttl_ms for key, info in zip(cache_keys, infos, strict=True) if info is not None}

    async def lookup(
        self, cache_keys: Sequence[str], sessions_by_key: Mapping[str, Sequence[str]] | None = None
    ) -> Sequence[Cached]:
        """Return the entries under these cache keys; keys without an entry are left out.

        `sessions_by_key`: the sessions that have each key as their active query.
        """
        names = [keys.CACHE_PREFIX + key for key in cache_keys]
        infos = dict(zip(names, await self._strings.key_info(names), strict=True))
        small = [name for name, info in infos.items() if info is not None and info.length <= COUNTED_BYTES]
        raws = await self._strings.get_many(small)
        found = []
        for key, name in zip(cache_keys, names, strict=True):
            info, raw = infos[name], raws.get(name)
            if info is None:
                continue
            count, error = None, None
            if isinstance(raw, AwiError):
                error = str(raw)
            elif not info.length and info.error is None:
                error = f"{self._location(key)}: an empty string"
            elif raw is not None:
                try:
                    count = len(_decoded(raw, self._location(key)))
                except InvalidData as invalid:
                    error = str(invalid)
            sessions = (sessions_by_key or {}).get(key, ())
            found.append(Cached(key, info.ttl_ms, info.length, count, sessions, error))
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
        """Cache the results of a query with a TTL of LIST_CACHE_TTL_MINUTES.

        `results`: a list of JSON values. `session_id`: also make this the active query of the session and record that
        as the app does, but under a name that its schema accepts; `op_id` makes that idempotent. Raises NotFound,
        without caching anything, if there is no such session; InvalidInput; ReadOnly.
        """
        self._settings.check_writable()
        limit = self._settings.max_document_bytes
        filters, sort = checked_json(filters, "the filters", limit), checked_json(sort, "the sort order", limit)
        if not isinstance(results, list):
            raise InvalidInput(f"results must be a JSON array, got {json_type(results)}")
        results = checked_json(results, "the results", limit)
        key = cache_key(filters, sort)
        ttl_ms = self._settings.list_cache_ttl_ms
        raw = dumps(results)
        if session_id is not None:
            await self._reader.history(session_id, 1)  # raises if it does not exist
        # first, so that no session refers to results that were never cached
        await self._strings.put({keys.CACHE_PREFIX + key: raw}, ttl_ms)
        if session_id is not None:
            await self._writer.apply(
                session_id,
                {"query_cache": {"active_cache_key": key, "cached_at": timestamp()}},
                {
                    "action": action_of({"page_state": {"filters": filters, "sort": sort}}),
                    "input": {"filters": filters or {}, "sort": sort or {}, "result_count": len(results)},
                    "op_id": op_id,
                },
            )
        return Cached(key, ttl_ms, len(raw), len(results), [session_id] if session_id is not None else [])

    async def delete(self, cache_keys: Sequence[str]) -> Sequence[bool]:
        """Delete entries. Returns for each key whether it existed. Raises InvalidInput, ReadOnly. One round trip."""
        self._settings.check_writable()
        return await self._strings.delete([keys.CACHE_PREFIX + keys.check_cache_key(key) for key in cache_keys])

    def _location(self, key: str) -> str:
        return f"{self.where}, key {keys.CACHE_PREFIX}{key}"


def _decoded(raw: bytes, where: str) -> list[Any]:
    results = loads_at(raw, where)
    if not isinstance(results, list):
        raise InvalidData(f"{where}: not a JSON array")
    return results
