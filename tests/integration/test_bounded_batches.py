"""Requests are bounded, however many ids are given (DESIGN, promise 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.documents import compact, document, session_key
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.store.redis.standalone import Standalone

COUNT = 3_500


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of commands in each request."""
    counts: list[int] = []
    execute = Standalone.execute

    async def counted(self: Standalone, commands: Sequence[Sequence[Any]], **options: Any) -> list[Any]:
        counts.append(len(commands))
        return await execute(self, commands, **options)

    monkeypatch.setattr(Standalone, "execute", counted)
    return counts


async def test_touch(manager: StateManager, valkey: ValkeyServer, requests: list[int]) -> None:
    ids = [f"sess_{number}" for number in range(COUNT)]
    raw = compact(document([0]))
    with valkey.raw.pipeline() as pipe:
        for name in ids[1:]:
            pipe.set(session_key(name), raw, ex=100)
        pipe.execute()
    assert await manager.touch_sessions([*ids, *ids]) == [False, *[True] * (COUNT - 1)] * 2
    assert max(requests) <= 1000 and len(requests) <= 20


async def test_delete_cached_results(manager: StateManager, valkey: ValkeyServer, requests: list[int]) -> None:
    keys = [f"{number:032x}" for number in range(COUNT)]
    valkey.raw.mset({f"AWI:CACHE:LIST:{key}": "[]" for key in keys[1:]})
    assert await manager.cache.delete(keys) == [False, *[True] * (COUNT - 1)]
    assert max(requests) <= 1000 and valkey.raw.dbsize() == 0
