"""Fixtures of all tests: a private Valkey and MongoDB-wire server for each worker, and managers on them."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from support.mongo import MongoServer
from support.proxy import Proxy, proxied
from support.valkey import ValkeyServer

from awictl import Settings, StateManager


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for something to give up."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def _worker_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey(_worker_valkey: ValkeyServer) -> ValkeyServer:
    """This worker's own server, empty."""
    _worker_valkey.raw.flushall()
    return _worker_valkey


@pytest.fixture
def new_valkey() -> Iterator[Callable[..., ValkeyServer]]:
    """Starts further servers, with options of valkey-server; a test may do with them what it likes."""
    servers: list[ValkeyServer] = []

    def start(*options: str, password: str | None = None) -> ValkeyServer:
        server = ValkeyServer(*options, password=password)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def _worker_mongo() -> Iterator[MongoServer]:
    server = MongoServer()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def mongo(_worker_mongo: MongoServer) -> MongoServer:
    """This worker's own MongoDB-wire server, empty."""
    _worker_mongo.clear()
    return _worker_mongo


@pytest.fixture
def mongo_sockets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """For tests in which MongoDB is away: lets go, in the end, of the sockets that pymongo was opening in vain.

    Errors, and the log records that tell of them, hold on to them until the test is over, and then they would be found
    in the middle of another test.
    """
    yield
    caplog.get_records("call").clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def new_mongo(mongo_sockets: None) -> Iterator[Callable[[], MongoServer]]:
    """Starts further servers; a test may do with them what it likes."""
    servers: list[MongoServer] = []

    def start() -> MongoServer:
        server = MongoServer()
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def settings(valkey: ValkeyServer) -> Settings:
    """Default settings, on this worker's server."""
    return valkey.settings()


@pytest.fixture
async def manager(settings: Settings) -> AsyncIterator[StateManager]:
    """A manager on this worker's server."""
    async with StateManager.open(settings) as opened:
        yield opened


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[Proxy]:
    """A proxy to this worker's server."""
    async with proxied(valkey) as opened:
        yield opened
