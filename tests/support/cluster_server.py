"""A cluster in the place of the Valkey server of a worker, for tests that only read and write keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
import redis

from awictl import Settings
from awictl.store.redis.following import Following

from .cluster import Cluster


class _Client(redis.RedisCluster):  # type: ignore[misc]
    """A client of all masters."""

    def keys(self, pattern: str = "*") -> list[bytes]:
        """The names on all masters."""
        return list(self.scan_iter(pattern, count=1000))

    def hkeys(self, name: str) -> list[bytes]:
        """The fields of a hash that is one key for each session on a cluster."""
        found: list[bytes] = []
        for one in self.keys(f"{name}:*"):
            found += super().hkeys(one)
        return found


class ClusterServer:
    """What tests use of `support.valkey.ValkeyServer`, for a cluster; a test that uses more is skipped."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        nodes = [redis.cluster.ClusterNode("127.0.0.1", member.port) for member in cluster.masters]
        #: A client for the tests, which finds the master of each key.
        self.raw: Any = _Client(startup_nodes=nodes, protocol=2)

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"needs one server: {name}")

    def settings(self, **others: Any) -> Settings:
        """Settings for the cluster."""
        return self.cluster.settings(**others)

    def close(self) -> None:
        """Close the connections of `raw`."""
        self.raw.close()


def wait_for_derived_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every write wait for those that follow it: these tests look at the keys right after a write."""
    start = Following.start

    async def start_and_wait(
        following: Following, keys: Iterable[str | bytes], write: Callable[[], Awaitable[list[Any]]]
    ) -> None:
        names = tuple(keys)
        await start(following, names, write)
        await following.finished(names)

    monkeypatch.setattr(Following, "start", start_and_wait)
