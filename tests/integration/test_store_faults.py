"""Faults of stored data, servers, networks and permissions: a clear error, and the data stay intact."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.documents import (
    AGENT_ID,
    APP_FILES,
    LAYOUTS,
    SESSION_ID,
    agent_key,
    assert_consistent,
    compact,
    diff_key,
    document,
    named,
    plain,
    put,
    session_key,
    stored,
)
from support.mongo_live import MongoLive, needs_redis
from support.proxy import Cut, once, proxied
from support.valkey import ValkeyServer
from support.waiting import within

from awictl import (
    AccessDenied,
    AwiError,
    InvalidData,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Refused,
    Settings,
    StateManager,
    Unreachable,
)
from awictl.document.byte_layout import encode
from awictl.sessions import update

Call = Callable[[StateManager], Awaitable[Any]]

#: Operations on one session, by name.
READS: dict[str, Call] = {
    "state": lambda manager: manager.get_session_state(SESSION_ID),
    "history": lambda manager: manager.get_action_history(SESSION_ID),
}
UPDATES: dict[str, Call] = {
    "update": lambda manager: manager.update_state_with_delta(SESSION_ID, {"n": 1}),
    "update with op_id": lambda manager: manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "mine"}),
    "pagination": lambda manager: manager.update_pagination(SESSION_ID, {"cursor": 2}),
}
TOUCH: dict[str, Call] = {"touch": lambda manager: manager.touch_session(SESSION_ID)}
CREATE: dict[str, Call] = {"create": lambda manager: manager.initialize_session("agent", "Agent")}

#: Timeout of requests that get no reply, in seconds.
TIMEOUT = 0.3
#: Extra seconds for a slow machine.
GRACE = 3.0


@pytest.fixture
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let updates retry for one second only."""
    monkeypatch.setattr(update, "RETRY_SECONDS", 1.0)


# -- the stored data


CORRUPT = {
    "empty": b"",
    "truncated head": encode(document([0] * 5))[:200],
    "truncated line": encode(document([0] * 5))[:-100],
    "truncated end": encode(document([0] * 5))[:-2],
    "truncated, compact": compact(document([0] * 5))[:-100],
    "two documents": compact(document([0])) * 2,
    "bad byte in the head": encode(document([0] * 5)).replace(b"BrowserUseAgent", b"Browser\xffAgent"),
    "bad byte, compact": compact(document([0] * 5)).replace(b"BrowserUseAgent", b"Browser\xffAgent"),
    "NaN": compact(document([0]) | {"n": 0}).replace(b'"n":0', b'"n":NaN'),
    "a number beyond doubles": compact(document([0]) | {"n": 0}).replace(b'"n":0', b'"n":1e999'),
    "a number beyond doubles, a lone surrogate": compact(document([0]) | {"n": 0}).replace(
        b'"n":0', b'"n":[1e999,"\\ud800"]'
    ),
    "a huge integer, a lone surrogate": compact(document([0]) | {"n": 0}).replace(
        b'"n":0', b'"n":[' + b"9" * 5000 + b',"\\ud800"]'
    ),
    "nested 100,000 deep": b"[" * 100_000,
    "an array": b"[1,2]",
    "text": b"OK",
    "not JSON": b"\x80\x04\x95pickle",
}
#: JSON objects that are not session documents: they can be shown, but not updated.
NO_SESSIONS = {
    "no history": b'{"session_id":"sess_test"}',
    "history is null": b'{"history":null}',
    "actions are missing": b'{"history":{"last_action":null}}',
    "actions are an object": b'{"history":{"actions":{}}}',
    "empty object": b"{}",
}


@pytest.mark.parametrize("call", [*READS.values(), *UPDATES.values()], ids=[*READS, *UPDATES])
@pytest.mark.parametrize("raw", CORRUPT.values(), ids=CORRUPT.keys())
async def test_a_corrupt_document_raises_an_error_and_is_not_changed(
    manager: StateManager, valkey: ValkeyServer, raw: bytes, call: Call
) -> None:
    put(valkey, raw)
    with pytest.raises(InvalidData, match=named(valkey, session_key())):
        await call(manager)
    assert stored(valkey) == raw


@pytest.mark.parametrize("call", UPDATES.values(), ids=UPDATES.keys())
@pytest.mark.parametrize("raw", NO_SESSIONS.values(), ids=NO_SESSIONS.keys())
async def test_an_object_that_is_not_a_session_is_shown_but_not_updated(
    manager: StateManager, valkey: ValkeyServer, raw: bytes, call: Call
) -> None:
    put(valkey, raw)
    assert await manager.get_session_state(SESSION_ID) == plain(raw)
    with pytest.raises(InvalidData, match=named(valkey, session_key())):
        await manager.get_action_history(SESSION_ID)
    with pytest.raises(InvalidData, match=named(valkey, session_key())):
        await call(manager)
    assert stored(valkey) == raw


@pytest.mark.parametrize("raw", [*CORRUPT.values(), *NO_SESSIONS.values()], ids=[*CORRUPT, *NO_SESSIONS])
async def test_one_bad_document_does_not_stop_a_listing(
    manager: StateManager, valkey: ValkeyServer, raw: bytes
) -> None:
    for n in range(5):
        put(valkey, encode(document([0] * n, session_id=f"sess_good{n}")), f"sess_good{n}")
    put(valkey, raw)
    valkey.raw.rpush("AWI:SESSION:sess_list", "x")
    valkey.raw.set("AWI:SESSION:not an id", "x")
    listed = {one.session_id: one async for one in manager.list_sessions()}
    assert {name: one.actions for name, one in listed.items() if one.error is None} | {SESSION_ID: 5} == {
        **{f"sess_good{n}": n for n in range(5)},
        SESSION_ID: 5,
    }
    assert listed.keys() == {*(f"sess_good{n}" for n in range(5)), SESSION_ID, "sess_list"}
    error = listed["sess_list"].error
    assert error is not None and "not a string" in error


@pytest.mark.parametrize("make", ["rpush", "hset", "sadd"])
@pytest.mark.parametrize("call", [*READS.values(), *UPDATES.values(), *TOUCH.values()], ids=[*READS, *UPDATES, *TOUCH])
async def test_a_key_of_the_wrong_type_raises_an_error_and_is_not_changed(
    manager: StateManager, valkey: ValkeyServer, make: str, call: Call
) -> None:
    getattr(valkey.raw, make)(session_key(), "a", *(["b"] if make == "hset" else []))
    valkey.raw.expire(session_key(), 100)
    before = valkey.raw.dump(session_key())
    with pytest.raises(InvalidData, match=named(valkey, session_key())):
        await call(manager)
    assert valkey.raw.dump(session_key()) == before
    assert 0 < valkey.raw.ttl(session_key()) <= 100


async def test_reading_derived_keys_of_the_wrong_type_raises_an_error(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, APP_FILES[0].read_bytes())
    valkey.raw.rpush(diff_key(), "x")
    valkey.raw.rpush(agent_key(), "x")
    with pytest.raises(InvalidData, match=diff_key()):
        await manager.get_state_diff(SESSION_ID)
    with pytest.raises(InvalidData, match=named(valkey, agent_key())):
        await manager.find_session_for_agent(AGENT_ID)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff"])
async def test_reading_a_corrupt_diff_or_mapping_raises_an_error(
    manager: StateManager, valkey: ValkeyServer, raw: bytes
) -> None:
    put(valkey, APP_FILES[0].read_bytes())
    valkey.raw.set(diff_key(), raw)
    valkey.raw.set(agent_key(), raw)
    with pytest.raises(InvalidData, match=diff_key()):
        await manager.get_state_diff(SESSION_ID)
    with pytest.raises(InvalidData, match=named(valkey, agent_key())):
        await manager.find_session_for_agent(AGENT_ID)


async def test_an_expired_session_is_not_found(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, APP_FILES[1].read_bytes())
    await manager.update_state_with_delta(SESSION_ID, {"warm": 1})
    valkey.raw.pexpire(session_key(), 1)
    while valkey.raw.exists(session_key()):
        await asyncio.sleep(0.001)
    assert await manager.get_session_state(SESSION_ID) is None
    for call in (*UPDATES.values(), *TOUCH.values(), lambda manager: manager.get_action_history(SESSION_ID)):
        with pytest.raises(NotFound, match=SESSION_ID):
            await call(manager)
    assert await manager.touch_sessions([SESSION_ID, "sess_other"]) == [False, False]
    assert not valkey.raw.exists(session_key())
    assert [listed async for listed in manager.list_sessions()] == []


async def test_every_write_sets_the_ttl(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(session_ttl_minutes=1)) as manager:

        def assert_fresh() -> None:
            for key in (session_key(), agent_key()):
                assert 55_000 < valkey.raw.pttl(key) <= 60_000, key
                valkey.raw.pexpire(key, 10_000)

        await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
        assert_fresh()
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
        assert_fresh()
        assert 295_000 < valkey.raw.pttl(diff_key()) <= 300_000
        await manager.update_state_with_delta(SESSION_ID, {"large": "x" * 10_000})
        assert_fresh()
        await manager.touch_session(SESSION_ID)
        assert_fresh()
        put(valkey, compact(plain(stored(valkey))))
        await manager.update_state_with_delta(SESSION_ID, {"n": 2})
        assert_fresh()
        valkey.raw.persist(session_key())
        await manager.update_state_with_delta(SESSION_ID, {"n": 3})
        assert_fresh()
        async with StateManager.open(manager.settings) as other:
            await other.touch_session(SESSION_ID)
        assert_fresh()


# -- limits


async def test_a_document_beyond_the_limit_is_neither_read_nor_written(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(max_document_bytes=100_000)) as manager:
        for layout in LAYOUTS.values():
            raw = layout(document([1000] * 100))
            put(valkey, raw)
            for call in (*UPDATES.values(), READS["state"]):
                with pytest.raises(Refused, match="AWI_MAX_DOCUMENT_BYTES"):
                    await call(manager)
            assert stored(valkey) == raw
        [listed] = [one async for one in manager.list_sessions()]
        assert listed.bytes == len(raw)


async def test_a_document_does_not_grow_beyond_the_limit(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(max_document_bytes=100_000)) as manager:
        put(valkey, encode(document([1000] * 80)))
        with pytest.raises(Refused, match="AWI_MAX_DOCUMENT_BYTES"):
            for n in range(100):
                before = stored(valkey)
                await manager.update_state_with_delta(SESSION_ID, {"n": n}, {"input": "x" * 1000})
        assert stored(valkey) == before
        assert len(before) <= 100_000
        await assert_consistent(manager, valkey)


async def test_a_huge_delta_is_refused_before_anything_is_sent(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, APP_FILES[0].read_bytes())
    huge = "x" * 20_000_000
    for delta, entry in (({"a": huge}, {}), ({}, {"input": huge}), ({}, {"observation": {"text": huge}})):
        with pytest.raises(InvalidInput, match="AWI_MAX_DELTA_BYTES"):
            await manager.update_state_with_delta(SESSION_ID, delta, entry)
    assert stored(valkey) == APP_FILES[0].read_bytes()
    async with StateManager.open(valkey.settings(max_delta_bytes=30_000_000)) as generous:
        # a document of MongoDB has less room
        large = 1_500_000 if isinstance(valkey, MongoLive) else 5_000_000
        await generous.update_state_with_delta(SESSION_ID, {"a": huge[:large]})
    state = await manager.get_session_state(SESSION_ID)
    assert state is not None and len(state["a"]) == large


# -- the mapping of agents


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("mapped_to", [SESSION_ID, "sess_newer", None])
@pytest.mark.parametrize("call", [UPDATES["update"], TOUCH["touch"]], ids=["update", "touch"])
async def test_the_ttl_of_a_mapping_is_extended_only_if_it_points_to_the_session(
    manager: StateManager, valkey: ValkeyServer, mapped_to: str | None, warm: bool, call: Call
) -> None:
    put(valkey, APP_FILES[2].read_bytes())
    if warm:
        await manager.update_state_with_delta(SESSION_ID, {"warm": 1})
    if mapped_to is not None:
        valkey.raw.set(agent_key(), mapped_to, px=50_000)
    await call(manager)
    ttl = valkey.raw.pttl(agent_key())
    if mapped_to == SESSION_ID:
        assert 1_700_000 < ttl <= 1_800_000
    else:
        assert ttl <= 50_000
    assert valkey.raw.get(agent_key()) == (mapped_to.encode() if mapped_to else None)


@pytest.mark.parametrize("agent_id", ["plain", "日" * 256, 'a"b\\c', "🙂", "a b:c{d}"])
async def test_the_ttl_of_the_mapping_of_any_agent_is_extended(
    manager: StateManager, valkey: ValkeyServer, agent_id: str
) -> None:
    await manager.initialize_session(agent_id, "Agent", session_id=SESSION_ID)
    assert await manager.find_session_for_agent(agent_id) == SESSION_ID
    for change in ({"n": 1}, None):
        valkey.raw.pexpire(agent_key(agent_id), 1000)
        async with StateManager.open(valkey.settings()) as other:
            await other.touch_session(SESSION_ID)
        assert valkey.raw.pttl(agent_key(agent_id)) > 1000, f"touched before the update {change}"
        valkey.raw.pexpire(agent_key(agent_id), 1000)
        await manager.update_state_with_delta(SESSION_ID, change or {})
        assert valkey.raw.pttl(agent_key(agent_id)) > 1000


async def test_touch_finds_the_agent_id_at_any_place_in_the_document(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    made = document([0] * 5)
    made = {"page_state": made.pop("page_state"), "more": "x" * 1000, **made}
    for raw in (compact(made), encode(made)):
        put(valkey, raw)
        valkey.raw.set(agent_key(), SESSION_ID, px=50_000)
        await manager.touch_session(SESSION_ID)
        assert valkey.raw.pttl(agent_key()) > 1_700_000


async def test_a_mapping_of_the_wrong_type_does_not_fail_an_update(
    manager: StateManager, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    put(valkey, APP_FILES[0].read_bytes())
    valkey.raw.rpush(agent_key(), "x")
    with caplog.at_level(logging.WARNING, "awictl"):
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
    assert any("WRONGTYPE" in record.message and session_key() in record.message for record in caplog.records)
    assert plain(stored(valkey))["n"] == 1
    assert valkey.raw.lrange(agent_key(), 0, -1) == [b"x"]
    await manager.touch_session(SESSION_ID)


async def test_a_new_session_takes_over_the_agent(manager: StateManager, valkey: ValkeyServer) -> None:
    first, previous = await manager.create_session(AGENT_ID, "Agent")
    assert previous is None
    second, previous = await manager.create_session(AGENT_ID, "Agent")
    assert previous == first["session_id"]
    assert await manager.find_session_for_agent(AGENT_ID) == second["session_id"]
    with pytest.raises(Refused, match="exists already"):
        await manager.create_session(AGENT_ID, "Agent", session_id=first["session_id"])
    assert await manager.find_session_for_agent(AGENT_ID) == second["session_id"]


# -- credentials and permissions


@pytest.fixture
def guarded(new_valkey: Callable[..., ValkeyServer]) -> ValkeyServer:
    """A server with a password and users with different permissions."""
    server = new_valkey(password="s3cret")
    put(server, encode(document([0] * 5)))
    server.raw.acl_setuser("full", enabled=True, passwords=["+pa55"], keys=["*"], categories=["+@all"])
    server.raw.acl_setuser("others", enabled=True, passwords=["+pa55"], keys=["OTHER:*"], categories=["+@all"])
    server.raw.acl_setuser(
        "noscript", enabled=True, passwords=["+pa55"], keys=["*"], categories=["+@all", "-@scripting"]
    )
    server.raw.acl_setuser("nowrite", enabled=True, passwords=["+pa55"], keys=["*"], categories=["+@all", "-@write"])
    return server


@pytest.mark.parametrize(
    "credentials",
    [{}, {"redis_password": "wrong"}, {"redis_username": "nobody", "redis_password": "s3cret"}],
    ids=["none", "wrong password", "unknown user"],
)
@pytest.mark.parametrize("call", [READS["state"], UPDATES["update"]], ids=["state", "update"])
async def test_wrong_credentials_raise_an_error_that_names_the_setting(
    guarded: ValkeyServer, credentials: dict[str, str], call: Call
) -> None:
    for settings in (guarded.settings(**credentials), guarded.tcp_settings(**credentials)):
        async with StateManager.open(settings) as manager:
            with pytest.raises(AccessDenied, match="REDIS_PASSWORD") as raised:
                await call(manager)
        assert "s3cret" not in str(raised.value) and "wrong" not in str(raised.value).replace("WRONGPASS", "")


async def test_a_database_that_does_not_exist_is_refused(valkey: ValkeyServer) -> None:
    needs_redis(valkey, "numbered databases")
    async with StateManager.open(valkey.settings(redis_db=99)) as manager:
        with pytest.raises(Refused, match="index is out of range"):
            await manager.get_session_state(SESSION_ID)


async def test_a_password_alone_or_with_a_user_name_is_accepted(guarded: ValkeyServer) -> None:
    for credentials in ({"redis_password": "s3cret"}, {"redis_username": "full", "redis_password": "pa55"}):
        async with StateManager.open(guarded.tcp_settings(**credentials)) as manager:
            await manager.update_state_with_delta(SESSION_ID, {"n": 1})
            await manager.touch_session(SESSION_ID)
            assert await manager.get_session_state(SESSION_ID) is not None


@pytest.mark.parametrize("user", ["others", "noscript", "nowrite"])
@pytest.mark.parametrize(
    "call", [*UPDATES.values(), *CREATE.values(), *TOUCH.values()], ids=[*UPDATES, *CREATE, *TOUCH]
)
async def test_a_user_without_permission_gets_an_error(guarded: ValkeyServer, user: str, call: Call) -> None:
    before = stored(guarded)
    async with StateManager.open(guarded.settings(redis_username=user, redis_password="pa55")) as manager:
        with pytest.raises(AccessDenied, match="no permission"):
            await call(manager)
    assert stored(guarded) == before
    assert guarded.raw.keys() == [session_key().encode()]


async def test_a_write_to_a_replica_raises_an_error_that_names_the_cause(
    new_valkey: Callable[..., ValkeyServer],
) -> None:
    primary = new_valkey()
    put(primary, encode(document([0] * 5)))
    replica = new_valkey("--replicaof", "127.0.0.1", str(primary.port))
    while not replica.raw.exists(session_key()):
        await asyncio.sleep(0.01)
    async with StateManager.open(replica.settings()) as manager:
        assert await manager.get_session_state(SESSION_ID) is not None
        assert (await manager.get_action_history(SESSION_ID)).total == 5
        for call in (*UPDATES.values(), *CREATE.values(), *TOUCH.values()):
            with pytest.raises(Refused, match="read-only replica"):
                await call(manager)
    assert stored(primary) == stored(replica) == encode(document([0] * 5))


@pytest.mark.parametrize("call", [*UPDATES.values(), *CREATE.values()], ids=[*UPDATES, *CREATE])
async def test_a_write_to_a_server_out_of_memory_raises_an_error(
    new_valkey: Callable[..., ValkeyServer], call: Call
) -> None:
    server = new_valkey()
    put(server, encode(document([0] * 5)))
    server.raw.config_set("maxmemory", "500kb")
    server.raw.config_set("maxmemory-policy", "noeviction")
    before = stored(server)
    async with StateManager.open(server.settings()) as manager:
        with pytest.raises(Refused, match="out of memory"):
            await call(manager)
        assert await manager.get_session_state(SESSION_ID) is not None
    assert stored(server) == before


async def test_scripts_are_sent_again_after_the_server_has_flushed_them(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    put(valkey, APP_FILES[0].read_bytes())
    for n in range(3):
        await manager.update_state_with_delta(SESSION_ID, {"n": n})
        await manager.touch_session(SESSION_ID)
        valkey.raw.script_flush()
    assert len(await assert_consistent(manager, valkey)) == 4


# -- unreachable servers


async def assert_in_time(call: Awaitable[Any], error: type[AwiError], seconds: float) -> AwiError:
    """Assert that `call` raises `error` within `seconds` (plus GRACE)."""
    with pytest.raises(error) as raised:
        await within(seconds + GRACE, call)
    assert type(raised.value).__name__ in (error.__name__, "ReplyLost")
    return raised.value


ALL_CALLS = READS | UPDATES | TOUCH | CREATE


@pytest.mark.parametrize("call", ALL_CALLS.values(), ids=ALL_CALLS.keys())
async def test_a_dead_server_is_unreachable(new_valkey: Callable[..., ValkeyServer], call: Call) -> None:
    server = new_valkey()
    for settings_of in (server.settings, server.tcp_settings):
        settings = settings_of()
        async with StateManager.open(settings) as manager:
            await manager.store.ping()
            server.kill()
            for _ in range(2):  # first with an open connection, then with none
                error = await assert_in_time(call(manager), Unreachable, 0)
                assert settings.redis_address in str(error)
        server.start()


@pytest.mark.parametrize("call", ALL_CALLS.values(), ids=ALL_CALLS.keys())
async def test_an_address_where_no_server_listens_is_unreachable(valkey: ValkeyServer, call: Call) -> None:
    async with StateManager.open(Settings(redis_host="127.0.0.1", redis_port=1)) as manager:
        error = await assert_in_time(call(manager), Unreachable, 0)
        assert "redis://127.0.0.1:1/0" in str(error) and "refused" in str(error)
    async with StateManager.open(Settings(redis_socket=str(valkey.folder / "none"))) as manager:
        error = await assert_in_time(call(manager), Unreachable, 0)
        assert "No such file" in str(error)
    async with StateManager.open(Settings(redis_host="no-such-host.invalid")) as manager:
        error = await assert_in_time(call(manager), Unreachable, 5)
        assert "no-such-host.invalid" in str(error)


@pytest.mark.usefixtures("short_retries")
@pytest.mark.parametrize("connected", [False, True], ids=["before connecting", "connected"])
async def test_requests_to_a_paused_server_time_out(new_valkey: Callable[..., ValkeyServer], connected: bool) -> None:
    server = new_valkey()
    put(server, encode(document([0] * 5)))
    async with StateManager.open(server.settings(timeout=TIMEOUT)) as manager:
        if connected:
            await manager.update_state_with_delta(SESSION_ID, {"warm": 1})
        before = stored(server)
        server.pause()
        try:
            # each request waits for one timeout, and a read is retried once
            for call in (READS["state"], READS["history"], *CREATE.values()):
                await assert_in_time(call(manager), Unreachable, 3 * TIMEOUT)
            expected = OutcomeUnknown if connected else Unreachable
            error = await assert_in_time(
                UPDATES["update with op_id"](manager), expected, update.RETRY_SECONDS + 3 * TIMEOUT
            )
        finally:
            server.resume()
        if isinstance(error, OutcomeUnknown):
            assert error.op_id == "mine" and "mine" in str(error)
        # the server may execute the request that it has received: a retry with the same op_id applies it once
        await UPDATES["update with op_id"](manager)
        actions = await assert_consistent(manager, server)
        assert [action.get("op_id") for action in actions].count("mine") == 1
        assert actions[:5] == plain(before)["history"]["actions"][:5]


@pytest.mark.usefixtures("short_retries")
async def test_a_server_that_dies_during_an_update_leaves_the_outcome_unknown(
    new_valkey: Callable[..., ValkeyServer],
) -> None:
    server = new_valkey()
    async with proxied(server) as proxy, StateManager.open(proxy.settings(timeout=TIMEOUT)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"warm": 1})

        async def die() -> None:
            server.kill()

        proxy.before_cut = die
        proxy.rule = once(Cut.REPLY, b"mine")
        error = await assert_in_time(
            UPDATES["update with op_id"](manager), OutcomeUnknown, update.RETRY_SECONDS + 3 * TIMEOUT
        )
        assert isinstance(error, OutcomeUnknown) and error.op_id == "mine"
        # the server has lost its data: a new update finds no session, which is not an unknown outcome
        server.start()
        with pytest.raises(NotFound):
            await UPDATES["update with op_id"](manager)


@pytest.mark.usefixtures("short_retries")
async def test_a_session_that_is_deleted_after_a_lost_reply_leaves_the_outcome_unknown(valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0] * 5)))
    async with proxied(valkey) as proxy, StateManager.open(proxy.settings()) as manager:
        await manager.update_state_with_delta(SESSION_ID, {"warm": 1})

        async def end() -> None:
            valkey.raw.delete(session_key())

        proxy.before_cut = end
        proxy.rule = once(Cut.REPLY, *proxy.update_with("mine"))
        with pytest.raises(OutcomeUnknown, match="gone"):
            await UPDATES["update with op_id"](manager)


async def test_requests_over_a_network_that_drops_everything_time_out(
    valkey: ValkeyServer, short_retries: None
) -> None:
    put(valkey, encode(document([0] * 5)))
    async with proxied(valkey) as proxy, StateManager.open(proxy.settings(timeout=TIMEOUT)) as manager:
        await manager.get_session_state(SESSION_ID)
        proxy.stop_forwarding()
        await assert_in_time(READS["state"](manager), Unreachable, 3 * TIMEOUT)
        await assert_in_time(UPDATES["update"](manager), Unreachable, 3 * TIMEOUT)


async def test_an_update_is_retried_while_the_server_restarts(new_valkey: Callable[..., ValkeyServer]) -> None:
    """After a lost reply. The server keeps its data and is back within about a second."""
    server = new_valkey("--appendonly", "yes", "--appendfsync", "always")
    async with proxied(server) as proxy, StateManager.open(proxy.settings()) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"warm": 1})

        async def restart() -> None:
            server.kill()
            await asyncio.to_thread(server.start)

        proxy.before_cut = restart
        proxy.rule = once(Cut.REPLY, b"mine")
        await UPDATES["update with op_id"](manager)
        actions = await assert_consistent(manager, server)
        assert [action.get("op_id") for action in actions].count("mine") == 1


# -- TLS


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    """A certificate authority and the path of its certificate."""
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return authority, str(file)


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_server_with_tls_is_verified_and_used(valkey: ValkeyServer, authority: tuple[trustme.CA, str]) -> None:
    needs_redis(valkey, "its TLS")
    async with proxied(valkey, server_context(authority[0])) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0"
        settings = Settings.load({"redis_url": url, "redis_tls_ca_certs": authority[1]}, environ={})
        async with StateManager.open(settings) as manager:
            await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
            await manager.update_state_with_delta(SESSION_ID, {"n": 1})
    assert plain(stored(valkey))["n"] == 1


async def test_a_user_logs_in_over_tls(valkey: ValkeyServer, authority: tuple[trustme.CA, str]) -> None:
    valkey.raw.acl_setuser("operator", enabled=True, passwords=["+p@ss/word"], keys=["*"], categories=["+@all"])
    put(valkey, APP_FILES[0].read_bytes())
    try:
        async with proxied(valkey, server_context(authority[0])) as proxy:
            environ = {
                "REDIS_URL": f"rediss://operator:p%40ss%2Fword@127.0.0.1:{proxy.port}",
                "REDIS_TLS_CA_CERTS": authority[1],
            }
            async with StateManager.open(Settings.load(environ=environ)) as manager:
                assert await manager.get_session_state(SESSION_ID) is not None
                assert b"operator" in (await manager.store._server.execute(("ACL", "WHOAMI")))[0]  # type: ignore[attr-defined]
    finally:
        valkey.raw.acl_deluser("operator")


async def test_an_untrusted_certificate_is_refused(valkey: ValkeyServer, authority: tuple[trustme.CA, str]) -> None:
    needs_redis(valkey, "its TLS")
    wrong_authority = server_context(trustme.CA())
    wrong_name = server_context(authority[0], "redis.example.com")
    for context, file, why in (
        (wrong_authority, authority[1], "not trusted"),
        (wrong_authority, None, "not trusted"),
        (wrong_name, authority[1], "not trusted.*127.0.0.1"),
    ):
        async with proxied(valkey, context) as proxy:
            settings = proxy.settings(redis_tls=True, redis_tls_ca_certs=file)
            async with StateManager.open(settings) as manager:
                with pytest.raises(Unreachable, match=why) as raised:
                    await manager.get_session_state(SESSION_ID)
                assert settings.redis_address in str(raised.value)
            assert proxy.round_trips == 0, "nothing was sent"


async def test_tls_and_no_tls_do_not_mix(valkey: ValkeyServer, authority: tuple[trustme.CA, str]) -> None:
    async with StateManager.open(valkey.tcp_settings(redis_tls=True, timeout=2.0)) as manager:
        with pytest.raises(Unreachable):
            await manager.get_session_state(SESSION_ID)
    async with (
        proxied(valkey, server_context(authority[0])) as proxy,
        StateManager.open(proxy.settings(timeout=2.0)) as manager,
    ):
        with pytest.raises(Unreachable):
            await manager.get_session_state(SESSION_ID)
