"""The doctor on real servers: findings, repairs, and that it writes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.documents import AGENT_ID, SESSION_ID, agent_key, diff_key, document, put, session_key
from support.mongo import MongoServer
from support.monitor import monitored
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.diagnostics.doctor import Check, RepairPlan, Status, data_scan, examine, findings
from awictl.document.byte_layout import encode
from awictl.document.keys import KeyKind
from awictl.store.redis.repairs import MissingMapping


async def examined(manager: StateManager, **options: Any) -> tuple[dict[str, Check], RepairPlan]:
    report, plan = await examine(manager, **options)
    assert report.status is max((one.status for one in report.checks), key=list(Status).index)
    return {one.name: one for one in report.checks}, plan


async def statuses(manager: StateManager, **options: Any) -> dict[str, Status]:
    checks, _ = await examined(manager, **options)
    return {name: check.status for name, check in checks.items()}


def healthy(server: ValkeyServer, session_id: str = SESSION_ID, agent_id: str = AGENT_ID) -> None:
    """A live session with its mapping and diff."""
    put(server, encode(document([0], session_id, agent_id=agent_id)), session_id)
    server.raw.set(agent_key(agent_id), session_id, ex=1000)
    server.raw.set(diff_key(session_id), b'{"delta":{},"action":{}}', ex=200)


def ended(session_id: str) -> bytes:
    made = document([0], session_id)
    made["history"]["last_action"] = {"t": 1, "action": "session_end", "input": {}, "delta": {}}
    made["history"]["actions"].append(made["history"]["last_action"])
    return encode(made)


# -- the data


async def test_a_healthy_session_passes_every_check_of_the_data(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    checks, plan = await examined(manager)
    of_data = [
        "documents", "session ids", "document sizes", "expiries", "agent mappings", "agents in a session",
        "sessions per agent", "diffs", "ended sessions", "expiring sessions",
    ]  # fmt: skip
    assert {checks[name].status for name in of_data} == {Status.PASS}
    assert "1 live session among 3 keys" in checks["documents"].evidence
    assert not plan.repairs


async def test_orphans_are_found_and_removed(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    valkey.raw.set("AGENT:SESSION:gone", "sess_gone", ex=1000)
    valkey.raw.set("AGENT:SESSION:odd", b"\xff\x00", ex=1000)
    valkey.raw.set(diff_key("sess_gone"), b"{}", ex=1000)
    valkey.raw.set("AGENT:SESSION:passing", "sess_gone", px=2_000)
    checks, plan = await examined(manager)
    assert checks["agent mappings"].status is checks["diffs"].status is Status.WARN
    assert checks["agent mappings"].evidence.startswith("2 ") and checks["diffs"].evidence.startswith("1 ")
    assert plan.summary() == "delete 3" and set(await plan.apply()) == {True}
    names = {name.decode() for name in valkey.raw.scan_iter()} - {"AGENT:SESSION:passing"}
    assert names == {session_key(), agent_key(), diff_key()}
    assert not (await examined(manager))[1].repairs


async def test_keys_without_a_ttl_get_the_ttl_of_their_kind(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    for name in (session_key(), agent_key(), diff_key()):
        valkey.raw.persist(name)
    expected = {
        session_key(): 1_800_000,
        agent_key(): 1_800_000,
        diff_key(): 300_000,
        "AWI:CACHE:LIST:879870e3b305b9f50961e6ab28b8707f": 300_000,
        "MEDIA:IMG:x": 3_600_000,
        "MEDIA:EMBED:x": 3_600_000,
        f"LOCK:SESSION:{SESSION_ID}": 30_000,
        "RATELIMIT:a:read": 3_600_000,
    }
    for name in list(expected)[3:]:
        valkey.raw.set(name, b"[]")
    valkey.raw.set("other", b"x")
    checks, plan = await examined(manager)
    assert checks["expiries"].status is Status.WARN and checks["expiries"].evidence.startswith("8 ")
    assert set(await plan.apply()) == {True}
    for name, ttl_ms in expected.items():
        assert ttl_ms - 5_000 < valkey.raw.pttl(name) <= ttl_ms, name
    assert valkey.raw.pttl("other") == -1


async def test_an_ended_session_waits_for_the_archive_and_gets_no_ttl(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, ended("sess_ended"), "sess_ended")
    valkey.raw.persist(session_key("sess_ended"))
    checks, plan = await examined(manager)
    assert checks["ended sessions"].status is Status.WARN and checks["expiries"].status is Status.PASS
    assert not plan.repairs


async def test_an_ended_session_with_a_ttl_fails_if_an_archive_is_configured(
    valkey: ValkeyServer, tmp_path: Path
) -> None:
    put(valkey, ended("sess_ended"), "sess_ended")
    async with StateManager.open(valkey.settings(archive_url=f"sqlite:///{tmp_path}/a.db")) as manager:
        assert (await statuses(manager))["ended sessions"] is Status.FAIL
    async with StateManager.open(valkey.settings()) as manager:
        assert (await statuses(manager))["ended sessions"] is Status.WARN, "no archive is configured"


async def test_keys_that_changed_since_the_scan_are_not_repaired(manager: StateManager, valkey: ValkeyServer) -> None:
    """Between the scan and the repair, each key becomes valid or gets another value."""
    healthy(valkey)
    valkey.raw.persist(session_key())
    valkey.raw.set("AGENT:SESSION:back", "sess_back", ex=1000)
    valkey.raw.set("AGENT:SESSION:other", "sess_gone", ex=1000)
    valkey.raw.set(diff_key("sess_back"), b"{}", ex=1000)
    put(valkey, encode(document([0], "sess_late", agent_id="late")), "sess_late")
    put(valkey, encode(document([0], "sess_mapped", agent_id="mapped")), "sess_mapped")
    _, plan = await examined(manager)
    assert len(plan.repairs) == 6
    await manager.record_end(SESSION_ID)  # without an archive it gets a TTL, and is longer
    valkey.raw.persist(session_key())
    put(valkey, encode(document([0], "sess_back")), "sess_back")
    valkey.raw.set("AGENT:SESSION:other", "sess_elsewhere", ex=1000)
    valkey.raw.delete(session_key("sess_late"))
    valkey.raw.set("AGENT:SESSION:mapped", "sess_new", ex=1000)
    before = {name: valkey.raw.get(name) for name in valkey.raw.scan_iter()}
    assert set(await plan.apply()) == {False}
    assert {name: valkey.raw.get(name) for name in valkey.raw.scan_iter()} == before
    assert valkey.raw.pttl(session_key()) == -1


async def test_a_missing_mapping_is_restored_to_the_latest_session(manager: StateManager, valkey: ValkeyServer) -> None:
    for session_id, activity in (("sess_old", "2026-11-23T07:00:00.000Z"), ("sess_new", "2026-11-23T08:00:00.000Z")):
        made = document([0], session_id, agent_id="a")
        made["statistics"]["last_activity"] = activity
        put(valkey, encode(made), session_id, seconds=500)
    put(valkey, ended("sess_ended"), "sess_ended")
    checks, plan = await examined(manager)
    assert checks["agents in a session"].evidence.startswith("1 ")
    assert await plan.apply() == [True]
    assert valkey.raw.get("AGENT:SESSION:a") == b"sess_new"
    assert 490_000 < valkey.raw.pttl("AGENT:SESSION:a") <= 500_000, "the TTL of the session"
    assert await manager.find_session_for_agent("a") == "sess_new"
    assert not (await examined(manager))[1].repairs


async def test_a_fork_needs_no_mapping(manager: StateManager, valkey: ValkeyServer) -> None:
    """Its agent goes on in the original, or nowhere: a repair must not let it go on in a state of the past."""
    healthy(valkey)
    await manager.forks.fork(SESSION_ID)
    checks, plan = await examined(manager)
    assert checks["sessions per agent"].status is Status.PASS and not plan.repairs
    valkey.raw.delete(agent_key(AGENT_ID), session_key())
    checks, plan = await examined(manager)
    assert checks["agents in a session"].status is Status.PASS
    assert not any(isinstance(one.change, MissingMapping) for one in plan.repairs)


async def test_invalid_and_oversized_documents(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_scan, "OVERSIZED_BYTES", 20_000)
    healthy(valkey)
    put(valkey, b"{", "sess_broken")
    valkey.raw.lpush(session_key("sess_list"), b"x")
    valkey.raw.set("AWI:SESSION:no id", b"{}", ex=100)
    valkey.raw.set(b"AWI:SESSION:\xff\x1b", b"{}", ex=100)
    valkey.raw.lpush("AWI:DIFF:sess_test2", b"x")
    put(valkey, encode(document([30_000], "sess_large", agent_id="\ud83d")), "sess_large")
    checks, _ = await examined(manager)
    assert checks["documents"].status is Status.FAIL and checks["documents"].evidence.startswith("5 ")
    assert any("sess_broken: not valid JSON" in example for example in checks["documents"].examples)
    assert checks["document sizes"].status is Status.WARN
    assert checks["document sizes"].examples[0].startswith("AWI:SESSION:sess_large")


async def test_sessions_that_expire_soon(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    valkey.raw.expire(session_key(), 60)
    checks, _ = await examined(manager)
    assert checks["expiring sessions"].status is Status.WARN
    assert checks["expiring sessions"].examples[0].startswith(session_key())


async def test_examining_writes_nothing(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    valkey.raw.set("AGENT:SESSION:gone", "sess_gone", ex=1000)
    with monitored(valkey) as seen:
        await examine(manager)
    assert set(seen.names) <= {
        "PING", "ACL", "TIME", "INFO", "CONFIG", "SCAN", "EVAL", "EVALSHA", "PTTL", "STRLEN", "GETRANGE",
            "HKEYS",
    }  # fmt: skip


# -- the servers


async def test_a_server_that_may_evict_sessions_fails(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    async with StateManager.open(server.settings()) as manager:
        found = await statuses(manager, data=False)
        assert found["eviction"] is Status.FAIL
        assert found["persistence"] is Status.WARN, "it has neither RDB nor AOF"
    async with StateManager.open(server.settings(cache_redis_url=f"unix://{server.socket}")) as manager:
        found = await statuses(manager, data=False)
        assert found["cache: reachable"] is Status.PASS and "cache: eviction" not in found


async def test_a_replica(valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer]) -> None:
    replica = new_valkey("--replicaof", "127.0.0.1", "1")
    async with StateManager.open(replica.settings()) as manager:
        checks, _ = await examined(manager, data=False)
    assert checks["replication"].status is Status.FAIL and "lost its primary" in checks["replication"].evidence


async def test_a_managed_server_that_denies_everything(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    healthy(server)
    commands = ["+ping", "+scan", "+getrange", "+strlen", "+pttl", "+get"]
    server.raw.acl_setuser("app", enabled=True, passwords="+x", keys=["*"], commands=commands)
    async with StateManager.open(server.settings(redis_username="app", redis_password="x")) as manager:
        checks, plan = await examined(manager)
    assert not plan.repairs
    forbidden = {name for name, check in checks.items() if check.evidence.startswith("not permitted: ")}
    assert forbidden == {"clock", "version", "persistence", "eviction", "memory", "replication"}
    assert {check.status for check in checks.values()} == {Status.PASS, Status.WARN}
    assert "1 live session" in checks["documents"].evidence


async def test_a_dead_server_and_a_wrong_password(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey(password="right")
    for settings, fragment in (
        (server.settings(redis_password="wrong"), "REDIS_PASSWORD"),
        (server.settings(redis_socket="/nonexistent"), "systemctl start"),
    ):
        async with StateManager.open(settings) as manager:
            checks, plan = await examined(manager)
        assert list(checks) == ["reachable", "archive"] and not plan.repairs
        assert checks["reachable"].status is Status.FAIL and fragment in checks["reachable"].remedy


# -- the archive


async def test_the_archive(valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path) -> None:
    healthy(valkey)
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        checks, _ = await examined(manager, data=False)
        assert checks["archive"].status is Status.PASS
        assert checks["archive indexes"].status is Status.WARN and "sessionId" in checks["archive indexes"].evidence
        await manager.end_session(SESSION_ID)
        assert (await statuses(manager, data=False))["archive indexes"] is Status.PASS
    async with StateManager.open(valkey.settings(archive_url=f"sqlite:///{tmp_path}/a.db")) as manager:
        assert (await statuses(manager, data=False))["archive indexes"] is Status.PASS


async def test_an_unreachable_archive_fails(valkey: ValkeyServer, mongo_sockets: None) -> None:
    uri = "mongodb://127.0.0.1:1/awi"
    async with StateManager.open(valkey.settings(mongodb_uri=uri, timeout=0.5)) as manager:
        checks, _ = await examined(manager)
    assert checks["archive"].status is Status.FAIL and "archive indexes" not in checks
    assert checks["documents"].status is Status.PASS


# -- keys and servers that cannot be read


async def test_keys_without_read_permission_are_counted_but_not_checked(
    new_valkey: Callable[..., ValkeyServer],
) -> None:
    server = new_valkey()
    healthy(server)
    server.raw.set("AWI:CACHE:LIST:x", "[]", ex=100)
    server.raw.acl_setuser("reader", enabled=True, passwords="+x", keys=["AWI:SESSION:*"], commands=["+@all"])
    async with StateManager.open(server.settings(redis_username="reader", redis_password="x")) as manager:
        checks, plan = await examined(manager)
        assert checks["permissions"].status is Status.WARN and "3 keys" in checks["permissions"].evidence
        assert checks["documents"].status is checks["expiries"].status is Status.PASS
        assert not plan.repairs
        stats = {one.kind: one for one in await manager.inventory.survey()}
        listing = manager.inventory.keys()
        keys = {key.key: key async for batch in listing for key in batch}
    agents = stats[KeyKind.AGENT]
    assert (agents.count, agents.inspected, agents.not_permitted, agents.without_ttl) == (1, 0, 1, 0)
    assert stats[KeyKind.SESSION].not_permitted == 0
    assert keys[agent_key()].error == "not permitted" and keys[session_key()].error is None


@pytest.mark.parametrize(("forbidden", "check"), [("-scan", "documents"), ("-ping", None)])
async def test_a_denied_command_is_not_a_failure(
    new_valkey: Callable[..., ValkeyServer], forbidden: str, check: str | None
) -> None:
    server = new_valkey()
    healthy(server)
    server.raw.acl_setuser("app", enabled=True, passwords="+x", keys=["*"], commands=["+@all", forbidden])
    async with StateManager.open(server.settings(redis_username="app", redis_password="x")) as manager:
        checks, _ = await examined(manager)
    assert {name for name, one in checks.items() if one.status is Status.FAIL} == set()
    assert check is None or "not permitted" in checks[check].evidence


async def test_an_unreachable_cache_server_hides_no_other_finding(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    healthy(server)
    server.raw.set("AGENT:SESSION:gone", "sess_gone", ex=1000)
    async with StateManager.open(server.settings(cache_redis_url="redis://127.0.0.1:1/0")) as manager:
        checks, plan = await examined(manager)
    assert checks["other servers"].status is checks["cache: reachable"].status is Status.FAIL
    assert checks["documents"].status is Status.PASS and len(plan.repairs) == 1


async def test_a_server_that_is_configured_twice_is_scanned_once(new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    healthy(server)
    url = f"redis://localhost:{server.port}/0"
    async with StateManager.open(server.tcp_settings(cache_redis_url=url, media_redis_url=url)) as manager:
        checks, _ = await examined(manager)
        assert sum(one.count for one in await manager.inventory.survey()) == 3
    assert "among 3 keys" in checks["documents"].evidence


async def test_an_archive_that_cannot_be_created_fails(new_valkey: Callable[..., ValkeyServer], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = new_valkey()
    for path, status in (("file/x.db", Status.FAIL), ("new/folder/x.db", Status.WARN)):
        async with StateManager.open(server.settings(archive_url=f"sqlite:///{tmp_path}/{path}")) as manager:
            checks, _ = await examined(manager)
        assert checks["archive"].status is status
    assert not (tmp_path / "new").exists()


# -- damaged documents and repairs


async def test_truncated_documents_are_found(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    raw = encode(document([0, 0], "sess_cut"))
    put(valkey, raw[:-20], "sess_cut")
    put(valkey, b"x" * 70_000, "sess_large")
    checks, _ = await examined(manager)
    assert checks["documents"].status is Status.FAIL and "2 keys" in checks["documents"].evidence
    assert any("sess_cut: the document is truncated" in one for one in checks["documents"].examples)
    assert "70,000" in checks["document sizes"].evidence


async def test_a_list_without_a_ttl_is_reported_but_not_repaired(manager: StateManager, valkey: ValkeyServer) -> None:
    healthy(valkey)
    valkey.raw.lpush(diff_key("sess_list"), "x")
    checks, plan = await examined(manager)
    assert "1 key without a TTL" in checks["expiries"].evidence and not plan.repairs


async def test_mappings_of_any_length(manager: StateManager, valkey: ValkeyServer) -> None:
    long, longer, empty = (f"AGENT:SESSION:{name}" for name in ("long", "longer", "empty"))
    valkey.raw.set(long, "x" * 101, ex=900)
    valkey.raw.set(longer, "x" * 5_000, ex=900)
    valkey.raw.set(empty, "", ex=900)
    _, plan = await examined(manager)
    healthy(valkey)
    valkey.raw.set(empty, SESSION_ID, ex=900)  # a live session since the scan
    valkey.raw.set(longer, "x" * 5_001, ex=900)
    done = {row["key"]: row["done"] for row in plan.rows(await plan.apply())}
    assert done == {long: True, longer: False, empty: False}
    assert valkey.raw.get(empty) == SESSION_ID.encode() and valkey.raw.exists(longer) and not valkey.raw.exists(long)


async def test_more_repairs_than_the_maximum_are_reported(
    manager: StateManager, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_REPAIRS", 2)
    for number in range(3):
        valkey.raw.set(f"AGENT:SESSION:{number}", "sess_gone", ex=900)
    _, plan = await examine(manager)
    assert plan.scanned and plan.truncated and len(plan.repairs) == 2
