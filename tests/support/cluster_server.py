"""A cluster in the place of the Valkey server of a worker, for tests that only read and write keys."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from awictl import Settings
from awictl.store.redis.split_calls import Split

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
    """Let every call of a script wait for what follows it: these tests look at the keys right after a write."""
    run_each = Split.run_each

    async def run_and_wait(split: Split, *arguments: Any, **options: Any) -> list[Any]:
        replies = await run_each(split, *arguments, **options)
        while split.following.is_busy:
            await split.following.flush()
        return replies

    monkeypatch.setattr(Split, "run_each", run_and_wait)
