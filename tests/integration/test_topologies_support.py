"""The private clusters and Sentinel deployments of the tests: they come up, fail over, and leave no process behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.processes import tls_program
from support.topologies import Cluster, Sentinels


def test_a_cluster_fails_over_and_recovers(cluster: Cluster) -> None:
    old = cluster.masters[0]
    key = cluster.key(old)
    old.raw.set(key, "kept")
    old.raw.wait(1, 20_000)
    cluster.kill(old)
    promoted = cluster.failed_over(old)
    assert promoted.raw.get(key) == b"kept"
    cluster.settle()
    assert len(cluster.masters) == len(cluster.replicas) == 3


def test_a_slot_moves_with_its_keys(cluster: Cluster) -> None:
    source, target = cluster.masters[:2]
    key = cluster.key(source)
    source.raw.set(key, "moved")
    cluster.move_slot(cluster.slot(key), target)
    assert target.raw.get(key) == b"moved"
    cluster.move_slot(cluster.slot(key), source)


def test_sentinels_promote_a_replica(sentinels: Sentinels) -> None:
    old = sentinels.primary
    old.raw.set("key", "kept")
    old.raw.wait(2, 20_000)
    sentinels.pause(old)
    assert sentinels.failed_over(old).raw.get("key") == b"kept"
    sentinels.resume(old)


def test_nothing_is_left_behind() -> None:
    with Sentinels(replicas=0, sentinels=1, password="secret", sentinel_password="watch") as sentinels:
        members = sentinels.members
        pids = [member.pid for member in members]
        assert sentinels.primary.raw.ping()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(member.folder.exists() for member in members)


@pytest.mark.skipif(tls_program() is None, reason="no server with TLS is installed (Debian: redis-tools)")
def test_a_cluster_with_tls_and_a_password() -> None:
    with Cluster(masters=3, replicas=0, tls=True, password="secret") as cluster:
        assert cluster.certificates is not None
        assert all(master.raw.ping() for master in cluster.masters)
