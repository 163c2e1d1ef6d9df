"""Random sessions that went through the real code: created, updated, trimmed, ended, and updated by the app meanwhile.

All randomness comes from a `random.Random`, and all times from a clock that it moves.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from awictl.document.byte_layout import decode, encode
from awictl.document.fold import fold
from awictl.document.merge import merge
from awictl.document.schema import CACHE_ACTION, new_document
from awictl.document.splice import Base, Splice, base_from_head, base_from_string
from awictl.document.timestamps import timestamp
from awictl.document.update import Change, Update, actions_to_drop, apply_update, ending

SESSION_ID = "sess_1"
START = datetime(2026, 11, 23, 7, tzinfo=UTC)
#: Number of actions that the app keeps.
APP_KEEPS = 100
_NAMES = ["a", "b", "c/~", "x y", "", "t"]
_PAGE = ["filters", "sort", "metadata", "pagination", "visible_items", "note"]
_SCALARS = [
    None,
    True,
    False,
    0,
    1,
    2,
    -7,
    1.5,
    2**53 + 1,
    "x",
    "🙂",
    "",
    "\n]}}",
    '"actions":[',
    "2026-01-01T00:00:00.000Z",
]


class Life:
    """One session. `raw` is its string in Redis, and `trimmed` the actions that it lost there, oldest first."""

    def __init__(self, chance: random.Random, *, by_app: bool | None = None, limit: int = 1000) -> None:
        self.chance = chance
        self.limit = limit
        self.now = START
        self.trimmed: list[Any] = []
        self._op_ids = 0
        route = chance.choice(["/", "/posts"])
        made = new_document(SESSION_ID, "agent", "Agent", route, self._tick())
        self.by_app = chance.random() < 0.3 if by_app is None else by_app
        if self.by_app:
            made["statistics"]["last_activity"] = self._tick(5)
        self.raw = _compact(made) if self.by_app else encode(made)

    @property
    def document(self) -> dict[str, Any]:
        return decode(self.raw)

    def _tick(self, most_ms: int = 60_000) -> str:
        """The time, some milliseconds later. Now and then a clock is set back."""
        back = timedelta(seconds=90) if most_ms > 1000 and self.chance.random() < 0.02 else timedelta(0)
        self.now += timedelta(milliseconds=self.chance.randint(0, most_ms)) - back
        return timestamp(self.now)

    def _op_id(self) -> str:
        self._op_ids += 1
        return f"op_{self._op_ids}"

    # -- random values

    def value(self, depth: int = 2) -> Any:
        kind = self.chance.random()
        if depth and kind < 0.3:
            return {self.chance.choice(_NAMES): self.value(depth - 1) for _ in range(self.chance.randint(0, 3))}
        if depth and kind < 0.4:
            return [self.value(depth - 1) for _ in range(self.chance.randint(0, 3))]
        return self.chance.choice(_SCALARS)

    def delta(self) -> dict[str, Any]:
        kind = self.chance.random()
        if kind < 0.1:
            return {}
        if kind < 0.5:
            return {"page_state": {self.chance.choice(_PAGE): self.value() for _ in range(self.chance.randint(1, 2))}}
        if kind < 0.6:
            route = self.chance.choice(["/a", "/b"])
            return {"page_state": {"route": route}, **({"current_url": route} if kind < 0.57 else {})}
        if kind < 0.65:
            return {"query_cache": {"active_cache_key": self.chance.choice("123"), "cached_results": [self.value()]}}
        if kind < 0.68:
            return {"statistics": {"mine": self.value()}}
        if kind < 0.7:
            return {"page_state": self.value(), "permissions": self.value()}
        return {self.chance.choice(_NAMES): self.value(3), self.chance.choice(["media_cache", "z"]): self.value()}

    # -- what happens to it

    def update(self, **fields: Any) -> None:
        """An update by awictl."""
        made = {
            "delta": self.delta(),
            "input": self.value(),
            "success": self.chance.random() < 0.8,
            "observation": self.chance.choice([None, "seen", {"n": 1}]),
            "op_id": self._op_id(),
        }
        base, drop = self._base()
        self._write(apply_update(base, Update(**{**made, **fields}), self._tick(), drop))

    def end(self) -> None:
        self._write(apply_update(self._base()[0], ending(), self._tick()))

    def fold(self) -> None:
        """Actions that were recorded while Redis was away come home, some of them late."""
        records = []
        for _ in range(self.chance.randint(1, 3)):
            late = timedelta(seconds=self.chance.choice([0, 0, 40]))
            self._tick()
            records.append(
                {
                    "t": 9,
                    "action": "filter",
                    "input": {},
                    "delta": self.delta(),
                    "timestamp": timestamp(self.now - late),
                }
                | {"success": self.chance.random() < 0.8, "op_id": self._op_id()}
            )
        base, drop = self._base()
        self._write(fold(base, records, drop))

    def app_update(self) -> None:
        """An update by the app: it writes the whole document, with its last 100 actions."""
        document = self.document
        history, statistics = document["history"], document["statistics"]
        delta, success = self.delta(), self.chance.random() < 0.8
        action = {"t": len(history["actions"]), "action": self.chance.choice(["next_page", CACHE_ACTION]), "input": {}}
        action |= {"delta": delta, "timestamp": self._tick(), "success": success}
        document = merge(document, delta)
        actions = [*history["actions"], action]
        self.trimmed += actions[:-APP_KEEPS]
        statistics = dict(document["statistics"])
        for name in ("total_actions", "successful_actions" if success else "failed_actions"):
            statistics[name] += 1
        statistics["last_activity"] = self._tick(3)
        history = {**document["history"], "actions": actions[-APP_KEEPS:], "last_action": action}
        self.raw = _compact({**document, "history": history, "statistics": statistics, "last_updated": self._tick(3)})

    def live(self, count: int, *, app: float | None = None) -> Life:
        """Let so many things happen to it."""
        share = self.chance.choice([0.0, 0.0, 0.3, 1.0]) if app is None else app
        for _ in range(count):
            kind = self.chance.random()
            if kind < share:
                self.app_update()
            elif kind > 0.99:
                self.end()
            elif kind > 0.95:
                self.fold()
            else:
                self.update()
        return self

    # -- writing

    def _base(self) -> tuple[Base, int]:
        """The base that the store reads, the head alone if that is enough, and how many actions to trim."""
        whole = base_from_string(self.raw)
        drop = actions_to_drop(len(whole.document["history"]["actions"]), self.limit)
        line = self.raw.find(b"\n") + 1
        head = base_from_head(self.raw[: line + 32], len(self.raw)) if line and not drop else None
        return head or whole, drop

    def _write(self, change: Change) -> None:
        self.trimmed += change.dropped
        self.raw = _spliced(self.raw, change.splice)


def _spliced(raw: bytes, change: Splice) -> bytes:
    return change.head + raw[change.keep_from : change.keep_to] + change.tail


def _compact(document: dict[str, Any]) -> bytes:
    """A document as the app writes it: `1.0` as `1`."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return json.dumps(plain(document), separators=(",", ":"), ensure_ascii=False).encode()


def random_life(seed: int) -> Life:
    """A session with a random past, which is the same for a seed."""
    chance = random.Random(seed)
    kind = chance.random()
    if kind < 0.7:
        return Life(chance).live(chance.randint(0, 25))
    if kind < 0.85:
        return Life(chance, limit=chance.randint(3, 20)).live(chance.randint(10, 40))
    return Life(chance, by_app=True).live(chance.randint(90, 130), app=chance.choice([0.9, 1.0]))


def leaves(value: Any, path: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values that are no objects or arrays with something in them."""
    if isinstance(value, dict) and value:
        return [found for key, item in value.items() for found in leaves(item, (*path, key))]
    if isinstance(value, list) and value:
        return [found for index, item in enumerate(value) for found in leaves(item, (*path, index))]
    return [tuple(path)]
