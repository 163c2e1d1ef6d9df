"""Archives of both kinds; an HTTP API whose archive is a file, an agent that calls it; a process with a fallback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.api import Agent, an_agent, client_of, served
from support.archives import Backend, MongoBackend, SqliteBackend, opened
from support.fallback_site import Site, site_of, without_indexes
from support.mongo import MongoServer
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import Settings
from awictl.archive.base import Archive
from awictl.server.app import Api
from awictl.store import breaker


@pytest.fixture(params=["sqlite", "mongo"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty archive of each kind."""
    if request.param == "mongo":
        return MongoBackend(request.getfixturevalue("mongo"))
    return SqliteBackend(tmp_path / "archive.db")


@pytest.fixture
async def archive(backend: Backend) -> AsyncIterator[Archive]:
    """The archive in `backend`."""
    made = opened(backend)
    yield made
    await made.close()


@pytest.fixture(params=["sqlite", "mongo"])
def archive_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an archive of each kind. No Redis server is needed."""
    if request.param == "mongo":
        return Settings(mongodb_uri=request.getfixturevalue("mongo").uri)
    return Settings(archive_url=f"sqlite:///{tmp_path}/archive.db")


@pytest.fixture
def archived(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with an archive in a file."""
    return replace(settings, archive_url=f"sqlite:///{tmp_path}/archive.db")


@pytest.fixture
async def api(archived: Settings) -> AsyncIterator[Api]:
    async with served(archived) as api:
        yield api


@pytest.fixture
async def agent(api: Api) -> AsyncIterator[Agent]:
    async with client_of(api) as client:
        yield await an_agent(api, client)


@pytest.fixture
async def site(
    valkey: ValkeyServer, proxy: Proxy, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A process with a fallback, and Redis behind a proxy. It notices soon that Redis is back."""
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", (0.02,))
    without_indexes(monkeypatch)
    async with site_of(valkey, proxy, mongo) as opened:
        yield opened
