"""Fixtures of the acceptance tests: users of the command, each with an empty home."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.embedded import kill_servers
from support.valkey import ValkeyServer


@pytest.fixture
def user(tmp_path: Path) -> Cli:
    """A user for whom nothing is configured."""
    return Cli.at(tmp_path / "home")


@pytest.fixture
def awictl(user: Cli, valkey: ValkeyServer) -> Cli:
    """A user whose environment names this worker's server."""
    return user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_SECONDS)
        yield listener


@pytest.fixture
def waiting(user: Cli, deaf: socket.socket) -> Cli:
    """A user whose environment names that server."""
    return user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(deaf.getsockname()[1]))


@pytest.fixture
def laptop() -> Iterator[Cli]:
    """A user for whom nothing is configured, who starts afresh, and whose embedded servers are killed in the end."""
    # not tmp_path: the name of a socket must stay under a hundred bytes or so
    home = Path(tempfile.mkdtemp(prefix="awi-", dir="/tmp"))
    try:
        yield replace(Cli.at(home), fresh=True)
    finally:
        kill_servers(home)
        shutil.rmtree(home)
