"""Open the two stores that sessions are moved between: the one that the settings use, and the other one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ...archive.connect import required
from ...errors import InvalidInput
from ...settings import Settings
from ...store.base import SessionStore
from ...store.mongo.sessions import MongoStore
from ...store.redis.sessions import RedisStore
from ..end import SessionEndings
from ..find import OpenArchive
from ..trimmed import TrimmedActions
from ..update import Updater
from .from_app import AppSessions
from .migrate import BringHome, StoreMigration


@asynccontextmanager
async def open_migration(
    store: SessionStore,
    settings: Settings,
    open_archive: OpenArchive,
    bring_home: BringHome,
    *,
    to_redis: bool,
    from_app: bool,
    rate: float | None,
    dry_run: bool,
) -> AsyncIterator[StoreMigration]:
    """Moves all live sessions from MongoDB to Redis (`to_redis`), or from Redis to MongoDB.

    `store`: the one that the settings use; the other one is closed on exit. `bring_home`, `rate`, `dry_run`: see
    `StoreMigration`. `from_app`: also copy the app's own sessions. Raises InvalidInput if the settings name no MongoDB.
    """
    if settings.live_mongodb is None:
        raise InvalidInput(
            "the settings name no MongoDB to move sessions to or from: set MONGODB_URI, or give --mongo URL"
        )
    if isinstance(store, MongoStore):
        other: SessionStore = RedisStore.open(replace(settings, use_redis=True))
        redis, mongo = other, store
    else:
        redis, other = store, (mongo := MongoStore.open(settings))
    try:
        source, target = (mongo, redis) if to_redis else (redis, mongo)
        updater = Updater(source, settings, TrimmedActions(lambda: required(open_archive())))
        yield StoreMigration(
            source,
            target,
            open_archive,
            SessionEndings(source, updater, open_archive).finish_taken,
            bring_home=bring_home,
            app=AppSessions(mongo, settings.session_ttl_ms) if from_app else None,
            rate=rate,
            dry_run=dry_run,
        )
    finally:
        await other.close()
