"""What `bench latency` does if it is interrupted, or is not alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import NotFound, Settings, Unreachable
from awictl.diagnostics.bench.latency import measure
from awictl.diagnostics.bench.stores import open_stores, own_sessions, remove_all_leftovers


@pytest.fixture
def both(settings: Settings, mongo: MongoServer) -> Settings:
    return replace(settings, mongodb_uri=mongo.uri)


async def test_everything_is_deleted_if_it_is_cancelled(
    both: Settings, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    measuring = asyncio.Event()

    async def run() -> None:
        async with open_stores(both) as stores, own_sessions(stores.managers, 3) as own:
            await measure(own, 1e-9)
            measuring.set()
            await measure(own, 3600)

    task = asyncio.create_task(run())
    done, _ = await asyncio.wait([task, asyncio.create_task(measuring.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert task not in done
    assert len(valkey.raw.keys("AWI:SESSION:sess_bench_*")) == mongo.raw["awi_bench_sessions"].count_documents({}) == 6
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert valkey.raw.keys("*") == [] and mongo.raw.list_collection_names() == []


async def test_a_run_leaves_the_sessions_of_another_alone(
    both: Settings, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    async with open_stores(both) as stores, own_sessions(stores.managers, 1) as first:
        async with own_sessions(stores.managers, 1) as second:
            assert await remove_all_leftovers(stores.managers) == 0
            await measure(second, 1e-9)
        assert mongo.raw["awi_bench_sessions"].count_documents({}) == 2
        measured = await measure(first, 1e-9)
        assert all(by.keys() == {"redis", "mongodb"} for by in measured.values())
    assert valkey.raw.keys("*") == [] and mongo.raw.list_collection_names() == []


async def test_a_long_session_is_replaced_by_a_new_one(both: Settings, valkey: ValkeyServer) -> None:
    async with open_stores(both) as stores, own_sessions({"redis": stores.managers["redis"]}, 1) as own:
        old = own["redis"].updated_id(0)
        for _ in range(80):
            await own["redis"].before_update(0)
        assert own["redis"].updated_id(0) == old
        await own["redis"].before_update(0)
        new = own["redis"].updated_id(0)
        assert new != old and valkey.raw.exists(f"AWI:SESSION:{new}") and not valkey.raw.exists(f"AWI:SESSION:{old}")
        await measure(own, 1e-9)


async def test_a_session_that_is_deleted_meanwhile_is_an_error(settings: Settings, valkey: ValkeyServer) -> None:
    with pytest.raises(NotFound, match="of this benchmark disappeared while it ran"):
        async with open_stores(settings) as stores, own_sessions(stores.managers, 1) as own:
            valkey.raw.delete(f"AWI:SESSION:{own['redis'].read_id(0)}")
            await measure(own, 1)
    assert valkey.raw.keys("*") == []


async def test_a_server_that_goes_away_does_not_keep_the_other_from_being_cleaned(
    new_valkey: Callable[..., ValkeyServer], mongo: MongoServer
) -> None:
    server = new_valkey()
    settings = replace(server.settings(), mongodb_uri=mongo.uri)
    with pytest.raises(Unreachable):
        async with open_stores(settings) as stores, own_sessions(stores.managers, 2) as own:
            server.kill()
            await measure(own, 1)
    assert mongo.raw.list_collection_names() == []
