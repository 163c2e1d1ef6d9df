"""Sweeps of several Redis servers into one archive: none marks the sessions of another as ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from support.archives import Backend, MongoBackend, SqliteBackend, listed, stamp
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.archive.sweep import Swept
from awictl.document.byte_layout import encode
from awictl.document.schema import new_document
from awictl.store.identity import identity_of

KEY = "AWI:SESSION:sess_lives"
DAY = timedelta(days=1)


@pytest.fixture
async def managers(
    valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer], backend: Backend
) -> AsyncIterator[list[StateManager]]:
    """Managers of two servers with one archive. A session is live on the first one, and archived."""
    document = new_document("sess_lives", "agent", "Agent", "/", "2026-11-23T10:00:00.000Z")
    valkey.raw.set(KEY, encode(document), px=60_000)
    archive = {"mongodb_uri": backend.settings.mongodb_uri, "archive_url": backend.settings.archive_url}
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(StateManager.open(server.settings(**archive)))
            for server in (valkey, new_valkey())
        ]
        assert (await sweep(opened[0])).archived == 1
        yield opened


async def sweep(manager: StateManager) -> Swept:
    sweeper = manager.sweeper(300_000)
    swept = await sweeper.sweep(await sweeper.candidates())
    assert (swept.failed, swept.stopped) == ({}, None)
    return swept


def set_expiry(backend: Backend, ago: timedelta) -> None:
    """Let the archived session be overdue, as if its agent had been active since."""
    then = datetime.now(UTC) - ago
    if isinstance(backend, MongoBackend):
        backend.server.archived.update_many({}, {"$set": {"expiresAt": then}})
    else:
        assert isinstance(backend, SqliteBackend)
        with backend.database() as db:
            db.execute("UPDATE sessions SET expires_at = ?", (stamp(start=then),))
            db.commit()


def forget_server(backend: Backend) -> None:
    """Make the archive one that an earlier version wrote."""
    if isinstance(backend, MongoBackend):
        backend.server.archived.update_many({}, {"$unset": {"server": 1}})
    else:
        assert isinstance(backend, SqliteBackend)
        with backend.database() as db:
            db.execute("DROP TABLE servers")
            db.commit()


async def is_active(manager: StateManager) -> bool:
    [summary] = await listed(manager.required_archive())
    return summary.active


@pytest.mark.parametrize("ago", [timedelta(minutes=1), 30 * DAY], ids=str)
async def test_a_session_of_another_server_is_not_marked_as_ended(
    managers: list[StateManager], valkey: ValkeyServer, backend: Backend, ago: timedelta
) -> None:
    first, second = managers
    valkey.raw.pexpire(KEY, 900_000)  # its agent is active
    set_expiry(backend, ago)
    assert (await sweep(second)).expired == 0 and await is_active(first)
    assert await second.sweeper(1, dry_run=True).gone() == []
    assert (await sweep(first)).expired == 0 and await is_active(first), "it is live"
    valkey.raw.delete(KEY)
    assert (await sweep(second)).expired == 0
    assert (await sweep(first)).expired == 1 and not await is_active(first)


@pytest.mark.parametrize(("ago", "expired"), [(DAY / 2, 0), (2 * DAY, 1)], ids=["half a day ago", "two days ago"])
async def test_an_archive_of_an_earlier_version_does_not_know_the_server(
    managers: list[StateManager], valkey: ValkeyServer, backend: Backend, ago: timedelta, expired: int
) -> None:
    """Its sessions are taken to have ended a day after their expiry."""
    first, second = managers
    valkey.raw.pexpire(KEY, 900_000)
    set_expiry(backend, ago)
    forget_server(backend)
    assert await is_active(first), "it can be read"
    assert (await first.get_archived_session("sess_lives")) is not None
    assert (await sweep(second)).expired == expired


async def test_a_sweep_records_the_server_of_a_session_that_was_archived_before(
    managers: list[StateManager], valkey: ValkeyServer, backend: Backend
) -> None:
    """Also if nothing else has changed: by an earlier version, or before the session was moved."""
    first, second = managers
    forget_server(backend)
    assert (await sweep(first)).archived == 1
    valkey.raw.delete(KEY)
    set_expiry(backend, timedelta(minutes=1))
    assert (await sweep(second)).expired == 0
    assert (await sweep(first)).expired == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"redis_host": "redis"}, {"redis_host": "REDIS"}, True),
        ({"redis_host": "localhost"}, {"redis_host": "127.0.0.1"}, True),
        ({"redis_host": "redis"}, {"redis_host": "redis", "redis_password": "geheim"}, True),
        ({"redis_host": "redis"}, {"redis_host": "redis", "redis_port": 6380}, False),
        ({"redis_host": "redis"}, {"redis_host": "redis", "redis_db": 1}, False),
        ({"redis_socket": "/run/a"}, {"redis_socket": "/run/b"}, False),
        ({"redis_socket": "/run/a"}, {"redis_host": "localhost"}, False),
    ],
    ids=str,
)
def test_the_identity_of_a_server(one: dict[str, str], other: dict[str, str], same: bool) -> None:
    found = [identity_of(Settings(**settings)) for settings in (one, other)]  # type: ignore[arg-type]
    assert (found[0] == found[1]) is same and all(found)
    assert "geheim" not in found[1]


def test_local_servers_of_two_hosts_are_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (Settings(), Settings(redis_socket="/run/a")):
        found = []
        for host in ("a", "b"):
            monkeypatch.setattr("socket.gethostname", lambda host=host: host)
            found.append(identity_of(settings))
        assert found[0] != found[1]
