"""Repairs of keys that are derived from sessions. A session document itself is never changed; it may get a TTL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...document.keys import decode_key
from ...store.keyspace import Keyspace
from ...store.redis.repairs import MissingTtl, Orphan, Repairable
from ...util.batched import batched
from ...util.humanize import duration

#: Maximum number of repairs per round trip.
_BATCH = 100


@dataclass(frozen=True)
class Repair:
    """One change to one key, and the server that has it."""

    keyspace: Keyspace
    change: Repairable

    @property
    def description(self) -> str:
        """What the repair does to the key."""
        if isinstance(self.change, Orphan):
            return "delete"
        if isinstance(self.change, MissingTtl):
            return f"set TTL to {duration(self.change.ttl_ms)}"
        return f"map to {self.change.session_id}"

    def row(self, done: bool | None) -> dict[str, Any]:
        """Return the repair as JSON-compatible data. `done`: None if it was not attempted."""
        return {"key": decode_key(self.change.name), "repair": self.description, "done": done}


class RepairPlan:
    """The repairs that a scan proposes."""

    def __init__(self, repairs: Sequence[Repair] = (), *, scanned: bool = False, truncated: bool = False) -> None:
        """`scanned`: whether the scan of the data was completed. `truncated`: whether more repairs are needed."""
        # a key that is deleted needs no TTL first
        orphans = {one.change.name for one in repairs if isinstance(one.change, Orphan)}
        self.repairs = [one for one in repairs if isinstance(one.change, Orphan) or one.change.name not in orphans]
        self.scanned = scanned
        self.truncated = truncated

    def summary(self) -> str:
        """Return the number of repairs of each type, as text: `delete 3, set TTL 1`."""
        counts = Counter(
            "delete"
            if isinstance(one.change, Orphan)
            else "set TTL"
            if isinstance(one.change, MissingTtl)
            else "restore mapping"
            for one in self.repairs
        )
        return ", ".join(f"{description} {count:,}" for description, count in counts.items())

    def rows(self, done: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        """Return all repairs as JSON-compatible data. `done`: the result of `apply`; None if it was not called."""
        return [one.row(done[i] if done is not None else None) for i, one in enumerate(self.repairs)]

    async def apply(self) -> list[bool]:
        """Apply the repairs. Returns, for each, False if the key has changed since the scan and was left alone."""
        by_keyspace: dict[Keyspace, list[int]] = defaultdict(list)
        for i, one in enumerate(self.repairs):
            by_keyspace[one.keyspace].append(i)
        done = [False] * len(self.repairs)
        for keyspace, indexes in by_keyspace.items():
            for batch in batched(indexes, _BATCH):
                for i, success in zip(
                    batch, await keyspace.repair([self.repairs[i].change for i in batch]), strict=True
                ):
                    done[i] = success
        return done
