"""Checks of Sentinel and Cluster deployments, on replies that real ones sent, with what is wrong changed in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from awictl import Settings
from awictl.diagnostics.doctor.replication_checks import check_wait
from awictl.diagnostics.doctor.report import Check, Status, failed, passed, warned
from awictl.diagnostics.doctor.topology_checks import cluster_checks, merged, sentinel_checks
from awictl.store.redis.deployment_info import ClusterReport, SentinelReport, parse_nodes

SENTINEL = Settings(redis_sentinels="a:1,b:2,c:3")
CLUSTER = Settings(redis_cluster=True, redis_host="a:1")
FIELDS = {
    "name": "mymaster",
    "ip": "10.0.0.1",
    "port": "6379",
    "flags": "master",
    "config-epoch": "4",
    "num-slaves": "2",
    "num-other-sentinels": "2",
    "quorum": "2",
    "down-after-milliseconds": "5000",
}
REPLICAS = [{"ip": f"10.0.0.{n}", "port": "6379", "flags": "slave", "master-link-status": "ok"} for n in (2, 3)]
USABLE = (True, "3 usable Sentinels. Quorum and failover authorization can be reached")
TOO_FEW = (False, "1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master")


def answer(where: str, quorum: tuple[bool, str] | None = USABLE, **fields: str) -> SentinelReport:
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    return SentinelReport(where, None, FIELDS | changed, REPLICAS, quorum)


def silent(where: str, error: str = "cannot reach it") -> SentinelReport:
    return SentinelReport(where, f"{where}: {error}")


ALL = [answer("a:1"), answer("b:2"), answer("c:3")]


def by_name(checks: Sequence[Check]) -> dict[str, Check]:
    assert all(one.remedy or one.status is Status.PASS for one in checks)
    return {one.name: one for one in checks}


def test_a_sentinel_deployment_without_problems_passes() -> None:
    found = by_name(sentinel_checks(ALL, SENTINEL))
    assert {one.status for one in found.values()} == {Status.PASS}
    assert found.keys() == {"sentinels", "primary", "replicas", "down-after", "quorum"}
    assert "10.0.0.1:6379, named by all" in found["primary"].evidence
    assert found["sentinels"].evidence == "3 of 3 sentinels answered"


@pytest.mark.parametrize(
    ("name", "reports", "status", "evidence"),
    [
        ("sentinels", [*ALL[:2], silent("c:3")], Status.WARN, "2 of 3 sentinels answered: c:3: cannot reach it"),
        ("sentinels", [ALL[0], silent("b:2"), silent("c:3")], Status.FAIL, "1 of 3 sentinels answered"),
        ("sentinels", [silent(f"s{n}:1") for n in range(9)], Status.FAIL, "and 4 more"),
        ("sentinels", [*ALL[:2], silent("c:3", "No such master with that name")], Status.FAIL, "No such master"),
        ("sentinels", [answer("a:1", num_other_sentinels="4")] * 3, Status.WARN, "but there are 5"),
        ("sentinels", [answer("a:1", num_other_sentinels="0")], Status.WARN, "1 of 1 sentinel answered"),
        ("sentinels", [answer("a:1", num_other_sentinels="9" * 5000)] * 3, Status.PASS, "3 of 3"),
        ("primary", [*ALL[:2], answer("c:3", ip="10.0.0.2")], Status.FAIL, "10.0.0.2:6379 by c:3"),
        ("primary", [*ALL[:2], answer("c:3", port="none")], Status.FAIL, "name different servers"),
        ("primary", [*ALL[:2], answer("c:3", flags="master,s_down")], Status.WARN, "does not answer 1 of 3 sentinels"),
        ("primary", [*ALL[:2], answer("c:3", flags="master,s_down,o_down")], Status.FAIL, "does not answer 1 of 3"),
        ("primary", [answer("a:1", flags="master,o_down,failover_in_progress")], Status.WARN, "is being replaced"),
        ("replicas", [ALL[0]._replace(replicas=())], Status.FAIL, "no replica"),
        ("replicas", [ALL[0]._replace(replicas=None)], Status.WARN, "not permitted: SENTINEL REPLICAS"),
        (
            "replicas",
            [ALL[0]._replace(replicas=[REPLICAS[0], REPLICAS[1] | {"flags": "s_down,slave,disconnected"}])],
            Status.WARN,
            "1 of 2 replicas down: 10.0.0.3:6379",
        ),
        ("down-after", [answer("a:1", down_after_milliseconds="500")], Status.WARN, "is 500: a short pause"),
        ("down-after", [ALL[0], answer("b:2", down_after_milliseconds="9000")], Status.WARN, "5000 and 9000"),
        ("down-after", [answer("a:1", down_after_milliseconds="?")], Status.WARN, "not permitted"),
        ("quorum", [*ALL[:2], answer("c:3", quorum=TOO_FEW)], Status.FAIL, "1 of 3 sentinels cannot agree"),
        ("quorum", [answer("a:1", quorum=None)], Status.WARN, "not permitted: SENTINEL CKQUORUM"),
        ("quorum", [ALL[0], answer("b:2", quorum=None)], Status.PASS, "3 usable Sentinels"),
    ],
)
def test_what_sentinels_report(name: str, reports: list[SentinelReport], status: Status, evidence: str) -> None:
    check = by_name(sentinel_checks(reports, SENTINEL))[name]
    assert check.status is status and evidence in check.evidence, check


NODES = """\
aa 10.0.0.1:7000@17000 myself,master - 0 1700000000000 1 connected 0-5460
bb 10.0.0.2:7000@17000,host-b master - 0 1700000000000 2 connected 5461-10922
cc 10.0.0.3:7000@17000,,shard-id=x master - 0 1700000000000 3 connected 10923-16383
dd 10.0.0.4:7000@17000 slave aa 0 1700000000000 1 connected
ee 10.0.0.5:7000@17000 slave bb 0 1700000000000 2 connected
ff 10.0.0.6:7000@17000 slave cc 0 1700000000000 3 connected
"""
INFO = {
    "cluster_state": "ok",
    "cluster_slots_assigned": "16384",
    "cluster_slots_ok": "16384",
    "cluster_slots_pfail": "0",
    "cluster_slots_fail": "0",
    "cluster_known_nodes": "6",
    "cluster_size": "3",
}


def node(where: str = "10.0.0.1:7000", nodes: str = NODES, **info: str) -> ClusterReport:
    return ClusterReport(where, None, INFO | info, parse_nodes(nodes, "10.0.0.1"))


def test_a_cluster_without_problems_passes() -> None:
    found = by_name(cluster_checks([node(f"10.0.0.{n}:7000") for n in (1, 2, 3)]))
    assert {one.status for one in found.values()} == {Status.PASS}
    assert found.keys() == {"cluster", "slots", "nodes"}
    assert "3 masters with slots, 6 nodes" in found["cluster"].evidence


@pytest.mark.parametrize(
    ("name", "reports", "status", "evidence"),
    [
        ("cluster", [node(), node("b:1", cluster_state="fail")], Status.FAIL, "not ok on 1 of 2 nodes: b:1"),
        ("cluster", [ClusterReport("a:1", "a:1 refuses")], Status.FAIL, "no node answered: a:1 refuses"),
        ("cluster", [ClusterReport("a:1", None)], Status.WARN, "not permitted: CLUSTER INFO"),
        (
            "slots",
            [node(), node("b:1", cluster_slots_assigned="16380")],
            Status.FAIL,
            "4 of 16,384 slots have no owner",
        ),
        (
            "slots",
            [node(), node("b:1", cluster_slots_fail="5461")],
            Status.FAIL,
            "5,461 slots are on masters that fail",
        ),
        ("slots", [node(), node("b:1", cluster_slots_pfail="5461")], Status.WARN, "5,461 slots"),
        ("slots", [node(cluster_slots_fail="²"), node("b:1")], Status.PASS, "all 16,384"),
        ("slots", [node(nodes=NODES.replace("0-5460", "0-5460 [93->-bb]"))], Status.PASS, "moving between 1 master"),
        (
            "nodes",
            [node(nodes=NODES.replace("master - 0 1700000000000 2", "master,fail - 0 1 2"))],
            Status.FAIL,
            "failed",
        ),
        (
            "nodes",
            [node(nodes=NODES.replace("slave cc", "slave,fail? cc"))],
            Status.WARN,
            "10.0.0.6:7000 does not answer",
        ),
        (
            "nodes",
            [node(), ClusterReport("10.0.0.2:7000", "refused")],
            Status.FAIL,
            "1 of 6 nodes do not answer: refused",
        ),
        (
            "nodes",
            [node(), ClusterReport("old-seed:7000", "refused")],
            Status.WARN,
            "1 of 6 nodes do not answer: refused",
        ),
        (
            "nodes",
            [node(nodes=NODES.replace("slave cc", "slave bb"))],
            Status.WARN,
            "1 master without a replica: 10.0.0.3",
        ),
        ("nodes", [node(nodes="")], Status.WARN, "not permitted: CLUSTER NODES"),
    ],
)
def test_what_nodes_of_a_cluster_report(name: str, reports: list[ClusterReport], status: Status, evidence: str) -> None:
    check = by_name(cluster_checks(reports))[name]
    assert check.status is status and evidence in check.evidence, check


def test_no_node_of_a_cluster_answers() -> None:
    found = by_name(cluster_checks([ClusterReport("a:1", "a:1 refuses"), ClusterReport("b:1", "b:1 refuses")]))
    assert found.keys() == {"cluster"} and "a:1 refuses, b:1 refuses" in found["cluster"].evidence


def test_lines_of_cluster_nodes() -> None:
    moving = NODES.replace("10.0.0.1:7000@17000", ":7000@17000").replace("0-5460", "0-99 200 [93->-bb]")
    [first, second, *_] = found = parse_nodes(f"{moving}nonsense\n\ngg bad master - 0 0 0 connected\n", "10.9.9.9")
    assert len(found) == 6
    assert (first.where, first.slots, first.moving, first.master) == ("10.9.9.9:7000", 101, True, "")
    assert (second.where, second.slots, second.moving) == ("10.0.0.2:7000", 5462, False)
    assert found[3].master == "aa"
    by_name = parse_nodes(NODES, "10.9.9.9", by_name=True)  # as certificates do
    assert [one.where for one in by_name][:3] == ["10.0.0.1:7000", "host-b:7000", "10.0.0.3:7000"]


ONLINE = "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0"


@pytest.mark.parametrize(
    ("settings", "wait", "info", "status", "text"),
    [
        (SENTINEL, 1, {"slave0": ONLINE, "slave1": ONLINE}, Status.WARN, "set AWI_WAIT_REPLICAS=2"),
        (SENTINEL, 1, {"slave0": ONLINE, "slave1": ONLINE}, Status.WARN, "SENTINEL FAILOVER mymaster COORDINATED"),
        (CLUSTER, 0, {"slave0": ONLINE}, Status.WARN, "CLUSTER FAILOVER"),
        (Settings(), 1, {"slave0": ONLINE, "slave1": ONLINE}, Status.WARN, "`FAILOVER`"),
        (SENTINEL, 2, {"slave0": ONLINE, "slave1": ONLINE}, Status.WARN, "min-replicas-to-write is 0"),
        (
            SENTINEL,
            2,
            {"slave0": ONLINE, "slave1": ONLINE, "min_slaves_good_slaves": "2"},
            Status.PASS,
            "writes wait for all 2 replicas",
        ),
        (SENTINEL, 0, {}, Status.WARN, "no replica"),
        # what `replication` reports, and servers without a failover
        (SENTINEL, 2, {"slave0": ONLINE}, None, ""),
        (Settings(), 0, {"slave0": ONLINE}, None, ""),
        (SENTINEL, 0, {"role": "slave"}, None, ""),
    ],
)
def test_writes_that_a_failover_may_lose(
    settings: Settings, wait: int, info: dict[str, str], status: Status | None, text: str
) -> None:
    check = check_wait({"role": "master"} | info, replace(settings, wait_replicas=wait))
    if status is None:
        assert check is None
    else:
        assert check is not None and check.status is status and text in f"{check.evidence} {check.remedy}", check
        assert check.remedy or status is Status.PASS


def test_the_checks_of_several_nodes_as_one() -> None:
    def joined(*checks: Check) -> tuple[Any, ...]:
        one = merged("x", [(f"n{number}", check) for number, check in enumerate(checks)])
        return one.status, one.evidence, one.remedy

    good, bad, worse = passed("x", "good"), warned("x", "bad", "mend"), failed("x", "worse", "run")
    assert joined(good, good) == (Status.PASS, "good (all 2 nodes)", "")
    assert joined(good, passed("x", "fine")) == (Status.PASS, "n0: good; n1: fine", "")
    assert joined(good, bad, bad) == (Status.WARN, "2 of 3 nodes: bad (n1, n2)", "mend")
    assert joined(good, bad, worse) == (Status.FAIL, "1 of 3 nodes: worse (n2)", "run")
