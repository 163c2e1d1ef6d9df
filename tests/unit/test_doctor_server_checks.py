"""Server checks with simulated answers, including those of servers that are hard to set up in a test."""

from __future__ import annotations

from typing import Any

import pytest

from awictl import AccessDenied, Settings, Unreachable
from awictl.diagnostics.doctor.report import Check, Status
from awictl.diagnostics.doctor.server_checks import check_server
from awictl.store.redis.server_info import NotAvailable

#: INFO of a server without problems.
GOOD = {
    "redis_version": "7.4.1",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "rdb_changes_since_last_save": "3",
    "maxmemory": "1000000",
    "maxmemory_policy": "noeviction",
    "used_memory": "1000",
    "evicted_keys": "0",
    "role": "master",
}
REMOTE = Settings(redis_host="redis.example.com", redis_password="x", redis_tls=True)


class Answers:
    """Fake `ServerInfo`. None: the server denies the command."""

    def __init__(self, info: dict[str, str] | None = None, **others: Any) -> None:
        self._replies: dict[str, Any] = {
            "latency": 0.4,
            "info": info,
            "save": "3600 1",
            "user": "default",
            "ahead": 1.0,
            "cluster": {"cluster_state": "ok"},
        } | others

    def _answer(self, name: str, command: str) -> Any:
        value = self._replies[name]
        if value is None:
            raise NotAvailable(command)
        if isinstance(value, Exception):
            raise value
        return value

    async def latency_ms(self) -> Any:
        return self._answer("latency", "PING")

    async def info(self) -> Any:
        return self._answer("info", "INFO")

    async def config(self, name: str) -> Any:
        return self._answer(name, f"CONFIG GET {name}")

    async def user(self) -> Any:
        return self._answer("user", "ACL WHOAMI")

    async def clock_offset_ms(self) -> Any:
        return self._answer("ahead", "TIME")

    async def cluster(self) -> Any:
        return self._answer("cluster", "CLUSTER INFO")


async def checks(answers: Answers, settings: Settings = REMOTE, **options: bool) -> dict[str, Check]:
    found = await check_server(answers, settings, **options)  # type: ignore[arg-type]
    assert all(one.remedy or one.status is Status.PASS for one in found)
    return {one.name: one for one in found}


async def test_a_good_server_passes_everything() -> None:
    found = await checks(Answers(GOOD))
    assert {one.status for one in found.values()} == {Status.PASS}
    assert found.keys() == {
        "reachable", "authentication", "tls", "clock", "version", "persistence", "eviction", "memory", "replication",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changed", "status", "evidence"),
    [
        ("version", {"redis_version": "6.0.16"}, Status.FAIL, "redis 6.0.16"),
        ("version", {"redis_version": "6.2.0"}, Status.PASS, "6.2.0"),
        ("version", {"server_name": "valkey", "valkey_version": "7.0.1"}, Status.FAIL, "valkey 7.0.1"),
        ("version", {"server_name": "valkey", "valkey_version": "10.1.0"}, Status.PASS, "valkey 10.1.0"),
        ("version", {"redis_version": "weekly"}, Status.PASS, "weekly"),
        ("persistence", {"rdb_last_bgsave_status": "err"}, Status.FAIL, "RDB"),
        ("persistence", {"aof_last_write_status": "err"}, Status.FAIL, "AOF"),
        ("persistence", {"aof_enabled": "0"}, Status.WARN, "RDB only"),
        ("eviction", {"maxmemory_policy": "allkeys-lru"}, Status.FAIL, "may evict"),
        ("eviction", {"maxmemory_policy": "volatile-ttl"}, Status.FAIL, "may evict"),
        ("eviction", {"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, Status.WARN, "no limit"),
        ("eviction", {"evicted_keys": "7"}, Status.FAIL, "7 keys were evicted"),
        ("eviction", {"maxmemory_policy": ""}, Status.WARN, "not permitted"),
        ("memory", {"used_memory": "850000"}, Status.WARN, "85%"),
        ("memory", {"used_memory": "990000"}, Status.FAIL, "99%"),
        ("memory", {"maxmemory": "0", "total_system_memory": "1100"}, Status.WARN, "the machine's memory"),
        ("memory", {"maxmemory": "0"}, Status.WARN, "not permitted"),
        ("replication", {"role": "slave", "master_link_status": "up"}, Status.WARN, "refuses writes"),
        ("replication", {"role": "slave", "master_link_status": "down"}, Status.FAIL, "lost its primary"),
        ("replication", {"cluster_enabled": "1"}, Status.FAIL, "cluster (state ok)"),
        ("replication", {"slave0": "ip=1,port=2,state=online,offset=1,lag=0"}, Status.PASS, "1 of 1"),
        ("replication", {"slave0": "ip=1,port=2,state=wait_bgsave,offset=1,lag=0"}, Status.WARN, "0 of 1"),
        ("replication", {"slave0": "ip=1,port=2,state=online,offset=1,lag=60"}, Status.WARN, "1 of them more than"),
        (
            "replication",
            {"slave0": "ip=1,port=2,state=online,offset=1000,lag=0", "master_repl_offset": "17000000"},
            Status.WARN,
            "1 of 1 replicas online, 1 of them more than 10 s or 16 MiB behind",
        ),
        (
            "replication",
            {"slave0": "ip=1,port=2,state=online,offset=16000000,lag=1", "master_repl_offset": "17000000"},
            Status.PASS,
            "1 of 1",
        ),
        ("replication", {"slave0": f"state=online,lag={'9' * 5_000}"}, Status.WARN, "1 of them more than"),
        ("eviction", {"maxmemory": "none", "evicted_keys": "9" * 5_000}, Status.PASS, "no limit"),
        ("memory", {"used_memory": "\x1b[2J"}, Status.WARN, "not permitted"),
        ("persistence", {"rdb_changes_since_last_save": "²"}, Status.PASS, "0 changes"),
    ],
)
async def test_checks_of_info(name: str, changed: dict[str, str], status: Status, evidence: str) -> None:
    check = (await checks(Answers(GOOD | changed)))[name]
    assert check.status is status and evidence in check.evidence, check


@pytest.mark.parametrize(
    ("name", "answers", "status", "evidence"),
    [
        ("reachable", {"latency": 120.0}, Status.WARN, "120.0 ms"),
        ("clock", {"ahead": -1_500.0}, Status.WARN, "1s behind"),
        ("clock", {"ahead": 120_000.0}, Status.FAIL, "2m ahead"),
        ("clock", {"ahead": None}, Status.WARN, "not permitted: TIME"),
        ("authentication", {"user": None}, Status.PASS, "not available"),
    ],
)
async def test_checks_of_other_commands(name: str, answers: dict[str, Any], status: Status, evidence: str) -> None:
    check = (await checks(Answers(GOOD, **answers)))[name]
    assert check.status is status and evidence in check.evidence, check


@pytest.mark.parametrize(
    ("save", "evidence"), [("", "neither RDB nor AOF"), (None, "not permitted: CONFIG GET save"), ("60 1", "RDB only")]
)
async def test_without_aof_snapshots_are_checked(save: str | None, evidence: str) -> None:
    check = (await checks(Answers(GOOD | {"aof_enabled": "0"}, save=save)))["persistence"]
    assert check.status is Status.WARN and evidence in check.evidence


async def test_a_server_that_denies_everything_still_gets_a_report() -> None:
    found = await checks(Answers(None, save=None, user=None, ahead=None, cluster=None))
    refused = [name for name, one in found.items() if "not permitted" in one.evidence]
    assert refused == ["clock", "version", "persistence", "eviction", "memory", "replication"]
    assert all(found[name].status is Status.WARN for name in refused)


@pytest.mark.parametrize("error", [Unreachable("cannot reach it"), AccessDenied("refuses the password")])
async def test_an_unreachable_server_is_one_failed_check(error: Exception) -> None:
    found = await checks(Answers(GOOD, latency=error))
    assert [(one.name, one.status, one.evidence) for one in found.values()] == [
        ("reachable", Status.FAIL, str(error))
    ]  # fmt: skip


async def test_a_remote_server_without_password_or_tls_is_warned_about() -> None:
    found = await checks(Answers(GOOD), Settings(redis_host="redis.example.com"))
    assert found["authentication"].status is found["tls"].status is Status.WARN
    for local in (Settings(redis_host="127.0.0.1"), Settings(redis_socket="/tmp/x.sock")):
        found = await checks(Answers(GOOD), local)
        assert found["authentication"].status is found["tls"].status is Status.PASS


async def test_a_cache_server_may_evict_and_need_not_persist() -> None:
    info = GOOD | {"maxmemory_policy": "allkeys-lru", "evicted_keys": "7", "aof_enabled": "0"}
    found = await checks(Answers(info, save=""), sessions=False)
    assert not found.keys() & {"eviction", "persistence"}
    assert {one.status for one in found.values()} == {Status.PASS}


async def test_missing_replicas_that_writes_wait_for_fail() -> None:
    settings = Settings(redis_host="127.0.0.1", wait_replicas=2)
    assert (await checks(Answers(GOOD), settings))["replication"].status is Status.FAIL
