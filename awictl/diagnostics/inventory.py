"""What keys there are: which kinds, how many, how large, and how long they stay."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from ..document.keys import KeyKind, kind_of
from ..store.redis.keyspace import BATCH_KEYS, Keyspace, Peek, Stepped
from ..util.fingerprint_set import FingerprintSet
from ..util.prefetch import prefetch

#: Keys that a survey looks at, more or less, unless told otherwise; of each kind at least so many as there are.
SAMPLE = 100_000
_FIRST = 1_000
#: Keys of a kind that the server is asked for the memory of, and largest ones that are named.
_WEIGHED = 100
_BIGGEST = 3
#: Bounds of the histogram of the time left, in milliseconds; the last bar is for all beyond.
BOUNDS_MS = (1_000, 10_000, 60_000, 300_000, 600_000, 1_200_000, 1_800_000, 3_600_000)
_SHARES = 10_000
#: What is wrong with a key that this user may not read.
NOT_PERMITTED = "not permitted"


class Key(NamedTuple):
    """A key at a glance."""

    #: Its name; bytes that are not UTF-8 are escaped.
    key: str
    kind: KeyKind
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: Length of the string; None where it is none.
    bytes: int | None
    #: Why it cannot be read, if so.
    error: str | None

    def row(self) -> dict[str, Any]:
        """The same as plain data; `error` is there only where there is one."""
        row = self._asdict()
        if self.error is None:
            del row["error"]
        return row


@dataclass
class Population:
    """The keys of one kind. What is not the count of all comes from those that were looked at."""

    kind: KeyKind
    count: int = 0
    looked_at: int = 0
    #: How many of those never expire, and how many are no strings.
    without_ttl: int = 0
    not_strings: int = 0
    #: How many this user may not read: of those nothing is known.
    forbidden: int = 0
    #: Bytes of the strings.
    total_bytes: int = 0
    #: The largest, each with its bytes.
    biggest: list[tuple[int, str]] = field(default_factory=list)
    #: Milliseconds until they expire.
    ttls: array[int] = field(default_factory=lambda: array("q"))
    #: Of how many the server told what they take in memory, and the bytes of those together.
    weighed: int = 0
    weight: int = 0
    #: Whether it tells this user at all.
    tells: bool = True

    @property
    def scale(self) -> float:
        """How many keys each that was looked at stands for."""
        return (self.count - self.forbidden) / self.looked_at if self.looked_at else 0.0

    @property
    def sampled(self) -> bool:
        """Whether not all were looked at."""
        return self.looked_at + self.forbidden < self.count

    def add(self, name: bytes, peek: Peek) -> None:
        """Count a key that was looked at."""
        if peek.forbidden:
            self.forbidden += 1
            return
        self.looked_at += 1
        if peek.ttl_ms is None:
            self.without_ttl += 1
        else:
            self.ttls.append(peek.ttl_ms)
        if peek.fault is not None:
            self.not_strings += 1
            return
        self.total_bytes += peek.length
        if len(self.biggest) < _BIGGEST:
            heapq.heappush(self.biggest, (peek.length, shown(name)))
        elif peek.length > self.biggest[0][0]:
            heapq.heapreplace(self.biggest, (peek.length, shown(name)))

    def weigh(self, memory_bytes: int | None) -> None:
        """Count what a key takes in memory; None where the server does not tell."""
        if memory_bytes is None:
            self.tells = False
        else:
            self.weighed += 1
            self.weight += memory_bytes

    def row(self) -> dict[str, Any]:
        """As plain data: estimates for all keys of the kind where only some were looked at."""
        ttls = sorted(self.ttls)
        return {
            "kind": self.kind,
            "count": self.count,
            "looked_at": self.looked_at,
            "bytes": round(self.total_bytes * self.scale),
            "memory_bytes": round(self.weight / self.weighed * self.count) if self.weighed else None,
            "without_ttl": round(self.without_ttl * self.scale),
            "not_strings": round(self.not_strings * self.scale),
            "not_permitted": self.forbidden,
            "ttl_ms": {"min": ttls[0], "median": ttls[len(ttls) // 2], "max": ttls[-1]} if ttls else None,
            "biggest": [{"key": key, "bytes": size} for size, key in sorted(self.biggest, reverse=True)],
        }

    def time_left(self) -> dict[str, Any]:
        """As plain data: how many expire within which time, estimated like that."""
        counts = [0] * (len(BOUNDS_MS) + 1)
        for ttl_ms in self.ttls:
            counts[bisect_right(BOUNDS_MS, ttl_ms)] += 1
        *estimates, without_ttl = _apportioned([*counts, self.without_ttl], self.count - self.forbidden)
        left = [{"below_ms": bound, "count": count} for bound, count in zip((*BOUNDS_MS, None), estimates, strict=True)]
        return {
            "kind": self.kind,
            "count": self.count,
            "looked_at": self.looked_at,
            "without_ttl": without_ttl,
            "not_permitted": self.forbidden,
            "left": left,
        }


def _apportioned(counts: Sequence[int], total: int) -> list[int]:
    """Counts of a sample as estimates for all, which add up to `total` (by the largest remainders)."""
    seen = sum(counts)
    if not seen:
        return list(counts)
    shares = [divmod(count * total, seen) for count in counts]
    left = total - sum(whole for whole, _ in shares)
    first = sorted(range(len(counts)), key=lambda i: -shares[i][1])[:left]
    return [whole + (i in first) for i, (whole, _) in enumerate(shares)]


class Inventory:
    """The keys of all servers in use. Reading alone: SCAN, and a look at each key."""

    def __init__(self, keyspaces: Sequence[Keyspace]) -> None:
        self._keyspaces = keyspaces
        #: For messages.
        self.where = " and ".join(one.where for one in keyspaces)

    def each(self) -> list[Inventory]:
        """One for each server alone."""
        return [Inventory([one]) for one in self._keyspaces]

    def holds(self, keyspace: Keyspace) -> bool:
        """Whether these keys are among them."""
        return keyspace in self._keyspaces

    async def size(self) -> int | None:
        """How many keys there are in all, of AWI or not; None where a server does not tell."""
        sizes = [await one.size() for one in self._keyspaces]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    async def names(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        rate: float | None = None,
        stepped: Stepped = lambda _: None,
    ) -> AsyncGenerator[list[str], None]:
        """The names of keys, each once, in batches as they are found. Those that are not of AWI only with `everything`.

        `pattern`: as Redis has them. `rate`: keys that a server visits in a second. `stepped`: see `keyspace.scan`.
        """
        async with aclosing(self.found(pattern, everything, rate, stepped)) as batches:
            async for _, names in batches:
                yield [shown(name) for name in names]

    async def keys(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        rate: float | None = None,
        stepped: Stepped = lambda _: None,
    ) -> AsyncGenerator[list[Key], None]:
        """The same with a look at each."""
        async with aclosing(self.found(pattern, everything, rate, stepped)) as batches:
            async for keyspace, names in batches:
                found = []
                for name, peek in zip(names, await keyspace.peek(names), strict=True):
                    if peek is not None:
                        text, error = shown(name), None
                        if peek.forbidden:
                            error = NOT_PERMITTED
                        elif peek.fault is not None:
                            error = keyspace.fault(peek, text)
                        length = peek.length if peek.fault is None else None
                        found.append(Key(text, kind_of(name), peek.ttl_ms, length, error))
                yield found

    async def survey(
        self,
        pattern: str | None = None,
        *,
        everything: bool = False,
        rate: float | None = None,
        sample: int = SAMPLE,
        stepped: Stepped = lambda _: None,
    ) -> list[Population]:
        """Every kind of key that there is. All are counted; where there are very many, about `sample` are looked at."""
        size = await self.size()
        share = _SHARES if not size or size <= sample else max(1, _SHARES * sample // size)
        found = {kind: Population(kind) for kind in KeyKind}
        async with aclosing(self.found(pattern, everything, rate, stepped)) as batches:
            async for keyspace, names in batches:
                wanted = []
                for name in names:
                    population = found[kind_of(name)]
                    population.count += 1
                    if population.count <= _FIRST or crc32(name) % _SHARES < share:
                        wanted.append(name)
                if wanted:
                    for name, peek in zip(wanted, await keyspace.peek(wanted), strict=True):
                        if peek is not None:
                            found[kind_of(name)].add(name, peek)
                        else:  # it has expired since it was counted
                            found[kind_of(name)].count -= 1
                    await _weigh(keyspace, wanted, found)
        return [one for one in found.values() if one.count]

    async def found(
        self,
        pattern: str | None = None,
        everything: bool = False,
        rate: float | None = None,
        stepped: Stepped = lambda _: None,
    ) -> AsyncGenerator[tuple[Keyspace, list[bytes]], None]:
        """The names of keys as bytes, each once, at most BATCH_KEYS at a time, and where they are; as `names`."""
        for keyspace in self._keyspaces:
            seen = FingerprintSet()  # SCAN may return a key twice
            async with aclosing(prefetch(keyspace.scan(pattern, rate, stepped))) as batches:
                async for batch in batches:
                    names = seen.add_new(one for one in batch if everything or kind_of(one) is not KeyKind.OTHER)
                    for start in range(0, len(names), BATCH_KEYS):
                        yield keyspace, names[start : start + BATCH_KEYS]


async def _weigh(keyspace: Keyspace, names: Sequence[bytes], found: dict[KeyKind, Population]) -> None:
    """Find out what the first keys of each kind take in memory, as long as the server tells."""
    wanted = [name for name in names if (kind := found[kind_of(name)]).weighed < _WEIGHED and kind.tells]
    if not wanted:
        return
    for name, size in zip(wanted, await keyspace.memory(wanted), strict=True):
        found[kind_of(name)].weigh(size)


def shown(name: bytes) -> str:
    """The name of a key as text."""
    return name.decode("utf-8", "backslashreplace")
