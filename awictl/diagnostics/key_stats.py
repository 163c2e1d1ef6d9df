"""Statistics of the keys of one kind, estimated from a sample if there are many."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..document.keys import KeyKind, decode_key
from ..store.keyspace import KeyInfo

#: Upper bounds of the buckets of the TTL histogram, in milliseconds; the last bucket has no upper bound.
BOUNDS_MS = (1_000, 10_000, 60_000, 300_000, 600_000, 1_200_000, 1_800_000, 3_600_000)
#: Keys per kind whose memory usage is requested from the server.
_MEMORY_SAMPLE = 100
#: Largest keys that are named per kind.
_LARGEST_KEYS = 3


@dataclass
class KeyStats:
    """The keys of one kind. `count` is exact; everything else describes the keys that were inspected."""

    kind: KeyKind
    count: int = 0
    inspected: int = 0
    #: Inspected keys without a TTL, and those that are not strings.
    without_ttl: int = 0
    not_strings: int = 0
    #: Keys that this user may not read; they are not part of `inspected`.
    not_permitted: int = 0
    #: Sum of the lengths of the strings, in bytes.
    total_bytes: int = 0
    #: Heap of the largest keys: (length in bytes, name).
    largest: list[tuple[int, str]] = field(default_factory=list)
    #: TTLs in milliseconds.
    ttls: array[int] = field(default_factory=lambda: array("q"))
    #: Keys whose memory usage is known, and the sum of it in bytes.
    measured: int = 0
    measured_bytes: int = 0
    #: False once the server has denied MEMORY USAGE.
    memory_available: bool = True

    @property
    def scale(self) -> float:
        """How many readable keys each inspected key stands for."""
        return (self.count - self.not_permitted) / self.inspected if self.inspected else 0.0

    @property
    def wants_memory(self) -> bool:
        """Whether the memory usage of more keys should be requested."""
        return self.memory_available and self.measured < _MEMORY_SAMPLE

    def add(self, name: bytes, info: KeyInfo) -> None:
        """Add an inspected key."""
        if info.forbidden:
            self.not_permitted += 1
            return
        self.inspected += 1
        if info.ttl_ms is None:
            self.without_ttl += 1
        else:
            self.ttls.append(info.ttl_ms)
        if info.error is not None:
            self.not_strings += 1
            return
        self.total_bytes += info.length
        if len(self.largest) < _LARGEST_KEYS:
            heapq.heappush(self.largest, (info.length, decode_key(name)))
        elif info.length > self.largest[0][0]:
            heapq.heapreplace(self.largest, (info.length, decode_key(name)))

    def add_memory(self, memory_bytes: int | None) -> None:
        """Add the memory usage of a key. None: the server denies MEMORY USAGE."""
        if memory_bytes is None:
            self.memory_available = False
        else:
            self.measured += 1
            self.measured_bytes += memory_bytes

    def row(self) -> dict[str, Any]:
        """Return the statistics as JSON-compatible data; if only a sample was inspected, estimates for all keys."""
        ttls = sorted(self.ttls)
        return {
            "kind": self.kind,
            "count": self.count,
            "looked_at": self.inspected,
            "bytes": round(self.total_bytes * self.scale),
            "memory_bytes": round(self.measured_bytes / self.measured * self.count) if self.measured else None,
            "without_ttl": round(self.without_ttl * self.scale),
            "not_strings": round(self.not_strings * self.scale),
            "not_permitted": self.not_permitted,
            "ttl_ms": {"min": ttls[0], "median": ttls[len(ttls) // 2], "max": ttls[-1]} if ttls else None,
            "biggest": [{"key": key, "bytes": size} for size, key in sorted(self.largest, reverse=True)],
        }

    def ttl_histogram(self) -> dict[str, Any]:
        """Return how many keys expire within each of BOUNDS_MS as JSON-compatible data; estimates as in `row`."""
        counts = [0] * (len(BOUNDS_MS) + 1)
        for ttl_ms in self.ttls:
            counts[bisect_right(BOUNDS_MS, ttl_ms)] += 1
        *estimates, without_ttl = apportion([*counts, self.without_ttl], self.count - self.not_permitted)
        left = [{"below_ms": bound, "count": count} for bound, count in zip((*BOUNDS_MS, None), estimates, strict=True)]
        return {
            "kind": self.kind,
            "count": self.count,
            "looked_at": self.inspected,
            "without_ttl": without_ttl,
            "not_permitted": self.not_permitted,
            "left": left,
        }


def apportion(counts: Sequence[int], total: int) -> list[int]:
    """Scale the counts of a sample up to estimates that add up to exactly `total` (largest remainder method)."""
    sampled = sum(counts)
    if not sampled:
        return list(counts)
    shares = [divmod(count * total, sampled) for count in counts]
    missing = total - sum(whole for whole, _ in shares)
    rounded_up = sorted(range(len(counts)), key=lambda i: -shares[i][1])[:missing]
    return [whole + (i in rounded_up) for i, (whole, _) in enumerate(shares)]
