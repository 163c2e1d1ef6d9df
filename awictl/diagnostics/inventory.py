"""List and survey the keys of all servers in use. Only reads: paced SCANs, and type, TTL and size of each key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from zlib import crc32

from ..document.keys import KeyKind, decode_key, kind_of
from ..store.keyspace import BATCH_KEYS, Keyspace, StepCallback
from ..util.batched import batched
from ..util.fingerprint_set import FingerprintSet
from ..util.prefetch import prefetch
from .key_stats import KeyStats

#: Approximate number of keys that a survey inspects by default.
DEFAULT_SAMPLE = 100_000
#: Keys of each kind that a survey inspects in any case, so that rare kinds are not estimated from a handful of keys.
_MIN_PER_KIND = 1_000
#: A key is part of the sample if its hash modulo this is below the sample's share of it.
_SHARES = 10_000
#: The error of a key that this user may not read.
NOT_PERMITTED = "not permitted"


#: Kinds whose values are short and say what an operator wants to know, and how many bytes of them are read.
_SHOWN_KINDS = frozenset({KeyKind.LOCK, KeyKind.RATE_LIMIT})
_SHOWN_BYTES = 200


class Key(NamedTuple):
    """One key, without its value unless that is a count of requests or the holder of a lock."""

    #: The name; bytes that are not UTF-8 are escaped.
    key: str
    kind: KeyKind
    #: Milliseconds until it expires; None if it has no TTL.
    ttl_ms: int | None
    #: Length of the string; None if it is not a string.
    bytes: int | None
    #: Why the key cannot be read; None if it can.
    error: str | None
    #: The first `_SHOWN_BYTES` bytes of a lock or a count of requests as text; None for other kinds.
    value: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the key as JSON-compatible data, with `error`, `requests` and `holder` only for keys that have one."""
        row = self._asdict()
        value = row.pop("value")
        if self.error is None:
            del row["error"]
        if value is not None and self.kind is KeyKind.LOCK:
            row["holder"] = value
        if value is not None and self.kind is KeyKind.RATE_LIMIT:
            row["requests"] = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
        return row


class Inventory:
    """The keys of one or more servers."""

    def __init__(self, keyspaces: Sequence[Keyspace]) -> None:
        self._keyspaces = keyspaces
        #: The servers, without passwords, for messages.
        self.where = " and ".join(keyspace.where for keyspace in keyspaces)

    def each(self) -> list[Inventory]:
        """Return one inventory per server."""
        return [Inventory([keyspace]) for keyspace in self._keyspaces]

    def holds(self, keyspace: Keyspace) -> bool:
        """Return whether the inventory includes this server."""
        return keyspace in self._keyspaces

    async def size(self) -> int | None:
        """Return the number of all keys, AWI's or not; None if a server denies DBSIZE."""
        sizes = [await keyspace.size() for keyspace in self._keyspaces]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    async def scan(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        kinds: Collection[KeyKind] = (),
        rate: float | None = None,
        on_step: StepCallback = lambda _: None,
    ) -> AsyncGenerator[tuple[Keyspace, list[bytes]], None]:
        """Yield the names of keys, deduplicated, in batches of up to BATCH_KEYS, each with its server.

        `pattern`: a glob pattern as in Redis. `everything`: include keys that are not AWI's. `kinds`: only these; by
        default all but OTHER. `rate`: maximum number of
        keys per second on each server. `on_step`: called after each step; see `keyspace.scan`.
        """
        wanted = set(kinds) or {kind for kind in KeyKind if everything or kind is not KeyKind.OTHER}
        for keyspace in self._keyspaces:
            seen = FingerprintSet()  # SCAN may return a key twice
            async with aclosing(prefetch(keyspace.scan(pattern, rate, on_step))) as batches:
                async for batch in batches:
                    names = seen.add_new(one for one in batch if kind_of(one) in wanted)
                    for some in batched(names, BATCH_KEYS):
                        yield keyspace, some

    async def names(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        kinds: Collection[KeyKind] = (),
        rate: float | None = None,
        on_step: StepCallback = lambda _: None,
    ) -> AsyncGenerator[list[str], None]:
        """Yield the names of keys as text, in batches. Arguments as for `scan`."""
        async with aclosing(
            self.scan(pattern, everything=everything, kinds=kinds, rate=rate, on_step=on_step)
        ) as batches:
            async for _, names in batches:
                yield [decode_key(name) for name in names]

    async def keys(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        kinds: Collection[KeyKind] = (),
        rate: float | None = None,
        on_step: StepCallback = lambda _: None,
    ) -> AsyncGenerator[list[Key], None]:
        """Yield keys with kind, TTL and size, in batches, of locks and rate limits also values. Arguments as `scan`."""
        async with aclosing(
            self.scan(pattern, everything=everything, kinds=kinds, rate=rate, on_step=on_step)
        ) as batches:
            async for keyspace, names in batches:
                found = []
                kinds_found = [kind_of(name) for name in names]
                shown = [name for name, kind in zip(names, kinds_found, strict=True) if kind in _SHOWN_KINDS]
                starts = await keyspace.key_info(shown, _SHOWN_BYTES) if shown else []
                values = {
                    name: info.start.decode("utf-8", "backslashreplace")
                    for name, info in zip(shown, starts, strict=True)
                    if info is not None and info.error is None
                }
                for name, kind, info in zip(names, kinds_found, await keyspace.key_info(names), strict=True):
                    if info is not None:
                        text, error = decode_key(name), None
                        if info.forbidden:
                            error = NOT_PERMITTED
                        elif info.error is not None:
                            error = keyspace.describe_error(info, text)
                        length = info.length if info.error is None else None
                        found.append(Key(text, kind, info.ttl_ms, length, error, values.get(name)))
                yield found

    async def survey(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        rate: float | None = None,
        sample: int = DEFAULT_SAMPLE,
        on_step: StepCallback = lambda _: None,
    ) -> list[KeyStats]:
        """Count all keys by kind, and inspect a sample of them. Returns the kinds that have keys.

        `sample`: approximate number of keys to inspect. Other arguments as for `scan`.
        """
        size = await self.size()
        share = _SHARES if not size or size <= sample else max(1, _SHARES * sample // size)
        found = {kind: KeyStats(kind) for kind in KeyKind}
        async with aclosing(self.scan(pattern, everything=everything, rate=rate, on_step=on_step)) as batches:
            async for keyspace, names in batches:
                sampled = []
                for name in names:
                    stats = found[kind_of(name)]
                    stats.count += 1
                    if stats.count <= _MIN_PER_KIND or crc32(name) % _SHARES < share:
                        sampled.append(name)
                if sampled:
                    for name, info in zip(sampled, await keyspace.key_info(sampled), strict=True):
                        if info is not None:
                            found[kind_of(name)].add(name, info)
                        else:  # it has expired since it was counted
                            found[kind_of(name)].count -= 1
                    await _measure_memory(keyspace, sampled, found)
        return [stats for stats in found.values() if stats.count]


async def _measure_memory(keyspace: Keyspace, names: Sequence[bytes], found: dict[KeyKind, KeyStats]) -> None:
    """Request the memory usage of the first keys of each kind, unless the server denies it."""
    wanted = [name for name in names if found[kind_of(name)].wants_memory]
    if wanted:
        for name, size in zip(wanted, await keyspace.memory(wanted), strict=True):
            found[kind_of(name)].add_memory(size)
