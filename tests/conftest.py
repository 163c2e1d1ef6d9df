"""Fixtures for all tests: a private Valkey and a MongoDB-compatible server per worker, and managers that use them."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from support.cluster_server import ClusterServer, wait_for_derived_keys
from support.mongo import MongoServer
from support.mongo_live import MongoLive
from support.proxy import Proxy, proxied
from support.topologies import Cluster, Sentinels
from support.valkey import ValkeyServer

from awictl import Settings, StateManager

#: Whether the tests of the store run on MongoDB instead of Valkey.
ON_MONGO = os.environ.get("AWICTL_TEST_STORE") == "mongo"


def pytest_configure() -> None:
    """Undo inherited SIG_IGNs: a shell without job control ignores SIGINT in `pytest &`, and nohup ignores SIGHUP.

    The commands under test would inherit them.
    """
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, handler)


gc.disable()  # nothing that is imported or collected becomes garbage


def pytest_collection_finish() -> None:
    """Exclude the tests and all modules from each garbage collection, which would take a quarter of a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than there are processors: many tests wait for a timeout."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture(scope="session")
def _worker_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def valkey(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer]:
    """The Valkey server of this worker, emptied.

    With AWICTL_TEST_TOPOLOGY=cluster, a cluster in its place; with AWICTL_TEST_STORE=mongo, MongoDB.
    """
    if ON_MONGO:
        yield MongoLive(request.getfixturevalue("mongo"))  # type: ignore[misc]
        return
    if os.environ.get("AWICTL_TEST_TOPOLOGY") == "cluster":
        wait_for_derived_keys(monkeypatch)
        stand_in = ClusterServer(request.getfixturevalue("cluster"))
        yield stand_in  # type: ignore[misc]
        stand_in.close()
        return
    server: ValkeyServer = request.getfixturevalue("_worker_valkey")
    server.raw.flushall()
    yield server


@pytest.fixture
def new_valkey() -> Iterator[Callable[..., ValkeyServer]]:
    """Start further servers with options of valkey-server; a test may stop and reconfigure them."""
    servers: list[ValkeyServer] = []

    def start(*options: str, password: str | None = None) -> ValkeyServer:
        server = ValkeyServer(*options, password=password)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def _worker_cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(_worker_cluster: Cluster) -> Cluster:
    """The cluster of this worker with three masters and a replica of each, healthy and emptied."""
    return _worker_cluster.emptied()


@pytest.fixture(scope="session")
def _worker_sentinels() -> Iterator[Sentinels]:
    with Sentinels() as sentinels:
        yield sentinels


@pytest.fixture
def sentinels(_worker_sentinels: Sentinels) -> Sentinels:
    """The primary, two replicas and three sentinels of this worker, in agreement and emptied."""
    return _worker_sentinels.emptied()


@pytest.fixture(scope="session")
def _worker_mongo() -> Iterator[MongoServer]:
    server = MongoServer(durable=False)  # no test kills it
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def mongo(_worker_mongo: MongoServer) -> MongoServer:
    """The MongoDB-compatible server of this worker, emptied. Do not kill it: it would lose writes; see `new_mongo`."""
    _worker_mongo.clear()
    return _worker_mongo


@pytest.fixture
def mongo_sockets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """For tests in which MongoDB is unreachable: collect the sockets that pymongo failed to connect.

    Exceptions and log records refer to them until the test is over; their ResourceWarning would then fail another test.
    """
    yield
    caplog.get_records("call").clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def _spare_mongo() -> Iterator[list[MongoServer]]:
    """Servers that tests have started and not killed: the next tests get them, since a start takes a second."""
    servers: list[MongoServer] = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def new_mongo(mongo_sockets: None, _spare_mongo: list[MongoServer]) -> Iterator[Callable[[], MongoServer]]:
    """Return further servers, which are empty; a test may stop them."""
    servers: list[MongoServer] = []

    def start() -> MongoServer:
        if not _spare_mongo:
            servers.append(MongoServer())
            return servers[-1].start()
        servers.append(_spare_mongo.pop())
        servers[-1].clear()
        servers[-1].disconnect()  # otherwise, its client would wait for a server that the test has killed
        return servers[-1]

    yield start
    for server in servers:
        if server.running:
            server.resume()
            _spare_mongo.append(server)
        else:
            server.stop()


@pytest.fixture
def settings(valkey: ValkeyServer) -> Settings:
    """Default settings for the Valkey server of this worker."""
    return valkey.settings()


@pytest.fixture
async def manager(settings: Settings) -> AsyncIterator[StateManager]:
    """A manager for the Valkey server of this worker."""
    async with StateManager.open(settings) as opened:
        yield opened


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[Proxy]:
    """A proxy to the Valkey server of this worker."""
    async with proxied(valkey) as opened:
        yield opened
