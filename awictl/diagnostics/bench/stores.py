"""The stores that `bench latency` compares: the Redis and the MongoDB of the settings, each behind the same library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from ...errors import AccessDenied, AwiError, Refused
from ...sessions.manager import StateManager
from ...settings import Settings
from ...util.urls import without_credentials
from .own_sessions import MAX_ACTIONS, TTL_MINUTES, OwnSessions, remove_leftovers

if TYPE_CHECKING:
    from ...store.mongo.sessions import MongoStore

REDIS, MONGODB = "redis", "mongodb"
#: Prefix of the collections in MongoDB. They are dropped afterwards.
COLLECTIONS = "awi_bench"
#: The settings that name a Redis server.
_REDIS_SETTINGS = ("redis_host", "redis_socket", "redis_sentinels", "redis_cluster", "embedded")


class OpenStores(NamedTuple):
    """What can be measured."""

    #: By REDIS and MONGODB.
    managers: dict[str, StateManager]
    #: Why the others are not configured, by the same names.
    not_configured: dict[str, str]
    #: The errors of the servers that do not respond.
    failed: dict[str, AwiError]


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[OpenStores]:
    """Connect to Redis and MongoDB, as far as they are configured. Raises ReadOnly; if none responds, its error."""
    settings.check_writable()
    # no archive: nothing of a benchmark is archived, and nothing is recorded in MongoDB if Redis goes away
    own = replace(
        settings,
        session_ttl_minutes=TTL_MINUTES,
        list_cache_ttl_minutes=TTL_MINUTES,
        max_actions=max(settings.max_actions, MAX_ACTIONS),
        mongodb_uri=None,
        archive_url=None,
        fallback=False,
        use_redis=True,
    )
    stores = OpenStores({}, {}, {})
    opening = {}
    if settings.use_redis or any(name in settings.sources for name in _REDIS_SETTINGS):
        opening[REDIS] = StateManager.open(own)
    else:
        stores.not_configured[REDIS] = "AWI_USE_REDIS is off, and no Redis server is set"
    urls = [url for url in (settings.mongodb_uri, settings.archive_url) if url is not None]
    if url := next((url for url in urls if url.startswith("mongodb")), None):
        opening[MONGODB] = _mongodb(url, replace(own, cache_redis_url=None))
    else:
        stores.not_configured[MONGODB] = "set MONGODB_URI, or give --mongo URL"
    async with AsyncExitStack() as stack:
        for name, manager in opening.items():
            try:
                stores.managers[name] = await stack.enter_async_context(manager)
                await stores.managers[name].store.ping()
            except AwiError as error:
                stores.managers.pop(name, None)
                stores.failed[name] = error
        if not stores.managers:
            if stores.failed:
                raise next(iter(stores.failed.values()))
            raise Refused("neither Redis nor MongoDB is configured, so there is nothing to measure")
        yield stores


@asynccontextmanager
async def _mongodb(url: str, settings: Settings) -> AsyncIterator[StateManager]:
    """A manager on collections of its own."""
    from ...store.mongo.connection import MongoConnection
    from ...store.mongo.sessions import MongoStore

    store = MongoStore(MongoConnection.open(url, without_credentials(url), settings), settings, COLLECTIONS)
    manager = StateManager(store, settings)
    try:
        yield manager
    finally:
        await manager.close()


async def _drop(store: MongoStore, prefix: str) -> bool:
    """Drop the collections, unless they have sessions of another run. Returns whether they were dropped."""
    with suppress(AccessDenied), store.database.request():
        others = await store.database.sessions.find_one({"_id": {"$not": {"$regex": f"^{prefix}"}}})
        if others is None:
            await asyncio.gather(*(collection.drop() for collection, _ in store.database.indexes))
        return others is None
    return False


@asynccontextmanager
async def own_sessions(managers: Mapping[str, StateManager], clients: int) -> AsyncIterator[dict[str, OwnSessions]]:
    """The sessions of a run at each store, which are deleted at the end."""
    own = {
        name: OwnSessions(
            manager, clients, partial(_drop, cast("MongoStore", manager.store)) if name == MONGODB else None
        )
        for name, manager in managers.items()
    }
    try:
        for one in own.values():
            await one.create()
        yield own
    except BaseException:
        await _remove(own)  # the error in the block is the one to report
        raise
    for outcome in await _remove(own):
        if outcome is not None:
            raise outcome


async def _remove(own: Mapping[str, OwnSessions]) -> list[BaseException | None]:
    return await asyncio.gather(*(one.remove() for one in own.values()), return_exceptions=True)


async def remove_all_leftovers(managers: Mapping[str, StateManager]) -> int:
    """Delete what runs that were killed have left at these stores. Returns the number of sessions."""
    return sum(await asyncio.gather(*(remove_leftovers(manager) for manager in managers.values())))
