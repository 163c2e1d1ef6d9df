"""Fixtures for the acceptance tests: users of the command line, each with an empty home folder."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.embedded import kill_servers
from support.mongo import MongoServer
from support.valkey import ValkeyServer


@pytest.fixture
def user(tmp_path: Path) -> Cli:
    """A user without any configuration."""
    return Cli.at(tmp_path / "home")


@pytest.fixture
def awictl(user: Cli, valkey: ValkeyServer) -> Cli:
    """A user whose environment names the Valkey server of this worker."""
    return user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))


@pytest.fixture
def sqlite_user(awictl: Cli) -> Cli:
    """A user whose archive is an SQLite file."""
    return awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")


@pytest.fixture
def mongo_user(awictl: Cli, mongo: MongoServer) -> Cli:
    """A user whose archive is in MongoDB."""
    return awictl.having(MONGODB_URI=mongo.uri)


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_SECONDS)
        yield listener


@pytest.fixture
def waiting(user: Cli, silent_server: socket.socket) -> Cli:
    """A user whose environment names the server that never responds."""
    return user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(silent_server.getsockname()[1]))


@pytest.fixture
def laptop() -> Iterator[Cli]:
    """A user without configuration who may start embedded servers; they are killed after the test."""
    # not tmp_path: the path of a Unix socket must be shorter than 108 bytes
    home = Path(tempfile.mkdtemp(prefix="awi-", dir="/tmp"))
    try:
        yield Cli.at(home)
    finally:
        kill_servers(home)
        shutil.rmtree(home)
