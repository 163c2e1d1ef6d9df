"""Archives of both kinds; an HTTP API whose archive is a file, and an agent that calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.api import Agent, an_agent, client_of, served
from support.archives import Backend, MongoBackend, SqliteBackend, opened

from awictl import Settings
from awictl.archive.base import Archive
from awictl.server.app import Api


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
