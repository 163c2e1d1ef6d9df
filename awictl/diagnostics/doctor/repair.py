"""What can be put right: what is derived from the sessions. The sessions themselves are never changed but to expire."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...store.redis.keyspace import Keyspace
from ...store.redis.repairs import MissingTtl, Orphan, Repairable
from ...util.humanize import duration
from ..inventory import shown

#: Repairs in one round trip.
_BATCH = 100


@dataclass(frozen=True)
class Repair:
    """One thing to put right, and where."""

    keyspace: Keyspace
    what: Repairable

    @property
    def words(self) -> str:
        """What is done."""
        if isinstance(self.what, Orphan):
            return "delete"
        if isinstance(self.what, MissingTtl):
            return f"expire in {duration(self.what.ttl_ms)}"
        return f"point to {self.what.session_id}"

    def row(self, done: bool | None) -> dict[str, Any]:
        """As plain data. `done`: None where it was not tried."""
        return {"key": shown(self.what.name), "repair": self.words, "done": done}


class Repairs:
    """All that can be put right."""

    def __init__(self, repairs: Sequence[Repair]) -> None:
        # what is deleted need not get an expiry before
        orphans = {one.what.name for one in repairs if isinstance(one.what, Orphan)}
        self.all = [one for one in repairs if isinstance(one.what, Orphan) or one.what.name not in orphans]

    def summary(self) -> str:
        """How many of each, in words."""
        counts = Counter(
            "delete"
            if isinstance(one.what, Orphan)
            else "let expire"
            if isinstance(one.what, MissingTtl)
            else "restore"
            for one in self.all
        )
        return ", ".join(f"{words} {count:,}" for words, count in counts.items())

    def rows(self, done: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        """All of them as plain data. `done`: what `apply` returned, if it was called."""
        return [one.row(done[i] if done is not None else None) for i, one in enumerate(self.all)]

    async def apply(self) -> list[bool]:
        """Do it; for each, whether it still was as it had been seen (else nothing was done)."""
        places: dict[Keyspace, list[int]] = defaultdict(list)
        for i, one in enumerate(self.all):
            places[one.keyspace].append(i)
        done = [False] * len(self.all)
        for keyspace, indexes in places.items():
            for start in range(0, len(indexes), _BATCH):
                group = indexes[start : start + _BATCH]
                for i, success in zip(group, await keyspace.repair([self.all[i].what for i in group]), strict=True):
                    done[i] = success
        return done
