"""Reading changes nothing (DESIGN, promise 8): observed with MONITOR, and with a user who has read permission only."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.documents import AGENT_ID, APP_FILES, LAYOUTS, SESSION_ID, agent_key, compact, document, put
from support.mongo import MongoServer
from support.mongo_live import MongoLive
from support.monitor import monitored
from support.valkey import ValkeyServer

from awictl import NotFound, ReadOnly, Settings, StateManager

MISSING = "sess_missing"
CACHE_KEY = "05924ac34f1a295ad31aa9941c665c32"

#: Commands that a reading method may send. MONITOR shows a script together with the commands that it runs.
READING_COMMANDS = frozenset(
    {"GET", "GETRANGE", "STRLEN", "PTTL", "EXISTS", "TYPE", "SCAN", "PING", "INFO", "EVAL", "EVALSHA", "EVALSHA_RO"}
)

Call = Callable[[StateManager], Awaitable[Any]]


async def _listed(manager: StateManager) -> list[Any]:
    return [listed async for listed in manager.list_sessions()]


#: Every reading method of the manager, on an existing session.
READS: dict[str, Call] = {
    "get_session_state": lambda manager: manager.get_session_state(SESSION_ID),
    "read_session": lambda manager: manager.read_session(SESSION_ID),
    "find_session_for_agent": lambda manager: manager.find_session_for_agent(AGENT_ID),
    "get_agent_session": lambda manager: manager.get_agent_session(AGENT_ID),
    "get_expiries": lambda manager: manager.get_expiries(SESSION_ID, AGENT_ID),
    "preview": lambda manager: manager.preview(SESSION_ID, {"a": 1}),
    "get_action_history": lambda manager: manager.get_action_history(SESSION_ID, 20, 400),
    "find_session": lambda manager: manager.find_session(SESSION_ID),
    "find_history": lambda manager: manager.find_history(SESSION_ID, 20, 400),
    "get_cached_query_results": lambda manager: manager.get_cached_query_results(CACHE_KEY),
    "diagnose_query": lambda manager: manager.diagnose_query({"a": 1}, {}),
    "get_state_diff": lambda manager: manager.get_state_diff(SESSION_ID),
    "find_diff": lambda manager: manager.find_diff(SESSION_ID),
    "list_sessions": _listed,
    "list_session_ids": lambda manager: _ids(manager),
    "list_session_fields": lambda manager: _fields(manager),
    "ping": lambda manager: manager.store.ping(),
}

#: Every writing method of the manager.
WRITES: dict[str, Call] = {
    "initialize_session": lambda manager: manager.initialize_session("agent", "Agent"),
    "create_session": lambda manager: manager.create_session("agent", "Agent"),
    "create": lambda manager: manager.create("agent", "Agent"),
    "update_state_with_delta": lambda manager: manager.update_state_with_delta(SESSION_ID, {"a": 1}),
    "apply": lambda manager: manager.apply(SESSION_ID, {"a": 1}),
    "update_page_state": lambda manager: manager.update_page_state(SESSION_ID, {"route": "/"}),
    "update_pagination": lambda manager: manager.update_pagination(SESSION_ID, {"cursor": 2}),
    "cache_query_results": lambda manager: manager.cache_query_results(SESSION_ID, {}, {}, []),
    "touch_session": lambda manager: manager.touch_session(SESSION_ID),
    "touch_sessions": lambda manager: manager.touch_sessions([SESSION_ID]),
    "touch_each": lambda manager: manager.touch_each([SESSION_ID]),
    "record_end": lambda manager: manager.record_end(SESSION_ID),
    "end_session": lambda manager: manager.end_session(SESSION_ID),
    "discard_session": lambda manager: manager.discard_session(SESSION_ID),
    "restore_session": lambda manager: manager.restore_session("sess_archived"),
    "finish_ends": lambda manager: manager.finish_ends(),
    "migrate_archive": lambda manager: manager.migrate_archive(),
}

#: Other methods: they read the archive, explain an error, write to the journal, return a service, or close connections.
ELSEWHERE = {
    "get_archived_session",
    "why_missing",
    "explain_missing",
    "close",
    "required_archive",
    "existing_archive",
    "existing_agents",
    "sweeper",
    "keyspace_at",
    "check_writable",
    "decoded",
    "journal_watched",
    "journal_end",
    "bring_home",
    "migration",
}


async def _fields(manager: StateManager) -> list[Any]:
    return [one async for batch in manager.list_session_fields() for one in batch]


async def _ids(manager: StateManager) -> list[str]:
    return [session_id async for batch in manager.list_session_ids() for session_id in batch]


def snapshot(server: ValkeyServer) -> dict[bytes, tuple[Any, int]]:
    """Every key with its value and its TTL."""
    return {name: (server.raw.dump(name), server.raw.pttl(name)) for name in server.raw.scan_iter()}


def assert_unchanged(server: ValkeyServer, before: dict[bytes, tuple[Any, int]]) -> None:
    """Assert that no key was written, created or deleted, and no TTL extended."""
    after = snapshot(server)
    assert {name: value for name, (value, _) in after.items()} == {name: value for name, (value, _) in before.items()}
    assert [name for name, (_, pttl) in after.items() if pttl > before[name][1]] == []


async def fill(server: ValkeyServer | MongoLive) -> None:
    """Store documents in both layouts, with their derived keys."""
    put(server, LAYOUTS["app"](document([10] * 500)), "sess_app")
    put(server, APP_FILES[3].read_bytes(), "sess_app_04")
    put(server, compact(document([10] * 10, more="x" * 50_000)), "sess_large")
    put(server, LAYOUTS["awictl"](document([200] * 500)))
    async with StateManager.open(server.settings()) as manager:
        await manager.update_state_with_delta(SESSION_ID, {"a": 1})
        await manager.update_state_with_delta(SESSION_ID, {"large": "x" * 10_000})
    server.raw.set(agent_key(), SESSION_ID, px=100_000)
    server.raw.set(f"AWI:CACHE:LIST:{CACHE_KEY}", b"[1]", px=100_000)


def test_every_method_is_covered() -> None:
    """A new method of the manager must be listed here as reading or writing."""
    methods = {
        name
        for name, member in inspect.getmembers(StateManager)
        if not name.startswith("_") and inspect.isfunction(member)
    }
    assert methods == (READS.keys() | WRITES.keys() | ELSEWHERE) - {"ping"}


@pytest.mark.parametrize("name", READS)
async def test_a_reading_method_writes_nothing(manager: StateManager, valkey: ValkeyServer, name: str) -> None:
    await fill(valkey)
    before = snapshot(valkey)
    with monitored(valkey) as seen:
        assert await READS[name](manager) is not None
    assert seen, "the monitor works"
    assert [line for command, line in seen if command not in READING_COMMANDS] == []
    assert_unchanged(valkey, before)


@pytest.mark.parametrize("session_id", ["sess_app", "sess_app_04", "sess_large", MISSING])
async def test_reading_other_documents_writes_nothing(
    manager: StateManager, valkey: ValkeyServer, session_id: str
) -> None:
    await fill(valkey)
    before = snapshot(valkey)
    with monitored(valkey) as seen:
        state = await manager.get_session_state(session_id)
        assert (state is None) == (session_id == MISSING)
        for read in (manager.read_session, manager.get_action_history, manager.get_state_diff):
            if state is None:
                with pytest.raises(NotFound):
                    await read(session_id)
            else:
                await read(session_id)
        await manager.find_session_for_agent("nobody")
    assert len(seen) >= 5
    assert [line for command, line in seen if command not in READING_COMMANDS] == []
    assert_unchanged(valkey, before)


async def test_reading_from_mongodb_changes_no_document(mongo: MongoServer) -> None:
    live = MongoLive(mongo)
    await fill(live)

    def documents() -> dict[str, list[Any]]:
        names = sorted(one for one in mongo.raw.list_collection_names() if not one.startswith("system."))
        return {name: list(mongo.raw[name].find().sort("_id")) for name in names}

    before = documents()
    assert len(before["awi_live_sessions"]) == 4
    async with StateManager.open(live.settings(read_only=True)) as manager:
        for read in READS.values():
            assert await read(manager) is not None
    assert documents() == before


async def test_the_monitor_sees_what_scripts_do(manager: StateManager, valkey: ValkeyServer) -> None:
    await fill(valkey)
    with monitored(valkey) as seen:
        await manager.update_state_with_delta(SESSION_ID, {"a": 2})
    assert {"PEXPIRE", "SETRANGE", "SET"} <= set(seen.names)


async def test_touch_changes_only_ttls(manager: StateManager, valkey: ValkeyServer) -> None:
    await fill(valkey)
    before = snapshot(valkey)
    with monitored(valkey) as seen:
        await manager.touch_session(SESSION_ID)
    assert set(seen.names) <= READING_COMMANDS | {"PEXPIRE"}
    after = snapshot(valkey)
    assert {name: value for name, (value, _) in after.items()} == {name: value for name, (value, _) in before.items()}
    longer = {name.decode() for name, (_, pttl) in after.items() if pttl > before[name][1]}
    assert longer <= {f"AWI:SESSION:{SESSION_ID}", agent_key()} and agent_key() in longer


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("session_id", [SESSION_ID, "sess_app"])
async def test_read_permission_is_enough_for_reading(valkey: ValkeyServer, name: str, session_id: str) -> None:
    await fill(valkey)
    if session_id != SESSION_ID:
        valkey.raw.rename(f"AWI:SESSION:{session_id}", f"AWI:SESSION:{SESSION_ID}")
    valkey.raw.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], categories=["+@read"], commands=["+ping"])
    settings = valkey.settings(redis_username="reader", redis_password="any")
    try:
        async with StateManager.open(settings) as manager:
            assert await READS[name](manager) is not None
    finally:
        valkey.raw.acl_deluser("reader")


@pytest.mark.parametrize("name", WRITES)
async def test_a_read_only_profile_refuses_to_write(valkey: ValkeyServer, name: str) -> None:
    await fill(valkey)
    before = snapshot(valkey)
    settings = Settings(redis_socket=str(valkey.socket), read_only=True)
    async with StateManager.open(settings) as manager:
        with monitored(valkey) as seen, pytest.raises(ReadOnly, match="read-only"):
            await WRITES[name](manager)
    assert seen == []
    assert_unchanged(valkey, before)


@pytest.mark.parametrize("name", READS)
async def test_a_read_only_profile_reads(valkey: ValkeyServer, name: str) -> None:
    await fill(valkey)
    async with StateManager.open(valkey.settings(read_only=True)) as manager:
        assert await READS[name](manager) is not None


async def test_requests_of_agents_write(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(read_only=True)) as manager:
        with pytest.raises(ReadOnly):
            _ = manager.agent_sessions
