"""Agents work through several processes while Redis comes and goes: nothing is lost, twice, or in disorder."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from support.fallback_chaos import Chaos
from support.fallback_site import site_of, without_indexes
from support.mongo import MongoServer
from support.proxy import proxied
from support.valkey import ValkeyServer

from awictl.fallback import bringer
from awictl.store import breaker


# pymongo does not close the socket of a connection attempt that is cancelled
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("together", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["redis-away", "cut-off"])
@pytest.mark.parametrize(
    ("seed", "steps"), [(1, 30), *(pytest.param(seed, 60, marks=pytest.mark.soak) for seed in range(2, 40))]
)
async def test_chaos(
    valkey: ValkeyServer, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch, seed: int, steps: int, together: bool
) -> None:
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", (0.03, 0.06))
    without_indexes(monkeypatch)
    monkeypatch.setattr(bringer, "PAUSE_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        sites = []
        for _ in range(2):
            proxy = await stack.enter_async_context(proxied(valkey))
            sites.append(await stack.enter_async_context(site_of(valkey, proxy, mongo)))
        chaos = Chaos(sites, seed, together=together)
        await chaos.run(steps)
        await chaos.check()
