"""Move all live sessions from one store to another: byte for byte, each in its newest version, none lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.archives import ended, session, stamp
from support.documents import AGENT_ID, APP_FILES, SESSION_ID
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.decision import ArchivedState
from awictl.document import keys
from awictl.document.byte_layout import encode
from awictl.errors import AccessDenied, InvalidData, Unreachable, UpdateConflict
from awictl.sessions.earlier_sessions import EarlierSessions
from awictl.sessions.get_or_create import AgentSessions
from awictl.sessions.migration.migrate import StoreMigration
from awictl.sessions.migration.result import MigrationResult
from awictl.store.base import SessionStore, Stored
from awictl.store.mongo.sessions import MongoStore
from awictl.store.redis.sessions import RedisStore

TTL_MS = 900_000


@dataclass
class Sides:
    """A manager on the source, and a store to move its sessions to."""

    manager: StateManager
    target: SessionStore

    @property
    def source(self) -> SessionStore:
        return self.manager.store

    def migration(self, **options: Any) -> StoreMigration:
        return StoreMigration(
            self.source, self.target, lambda: self.manager.archive, self.manager.finish_ends, **options
        )

    async def migrate(self, **options: Any) -> MigrationResult:
        return await self.migration(**options).run()


@pytest.fixture(params=["redis to mongo", "mongo to redis", "redis to redis"])
async def sides(
    request: pytest.FixtureRequest,
    valkey: ValkeyServer,
    mongo: MongoServer,
    new_valkey: Callable[..., ValkeyServer],
    tmp_path: Path,
) -> AsyncIterator[Sides]:
    source, _, target = request.param.partition(" to ")
    settings = valkey.settings(mongodb_uri=mongo.uri, archive_url=f"sqlite:///{tmp_path}/archive.db")
    other: SessionStore
    if source == target:
        other = RedisStore.open(new_valkey().settings())
    else:
        other = MongoStore.open(settings) if target == "mongo" else RedisStore.open(settings)
    async with StateManager.open(replace(settings, use_redis=source == "redis")) as manager:
        yield Sides(manager, other)
    await other.close()


async def everything(store: SessionStore) -> dict[str, Stored]:
    """All sessions of a store."""
    found: dict[str, Stored] = {}
    async for ids in store.scan():
        for session_id, stored in (await store.read_many(ids)).items():
            assert isinstance(stored, Stored)
            found[session_id] = stored
    return found


async def put_all(store: SessionStore) -> dict[str, Stored]:
    """Sessions of all kinds: as the app writes them, in awictl's layout, ended and without a TTL."""
    for number, file in enumerate(APP_FILES):
        raw = file.read_bytes().replace(b'"session_id":"sess_', b'"session_id":"sess_' + str(number).encode(), 1)
        await store.put(session_id_in(raw), f"app-{number}", raw, TTL_MS + number * 1000, (b'{"delta":{}}', 100_000))
    for number in (0, 3, 150):
        document = session(number, f"sess_layout{number}", agent_id=f"layout-{number}")
        await store.put(document["session_id"], document["agent_id"], encode(document), TTL_MS)
    document = ended(session(2, "sess_ended"))
    await store.put("sess_ended", None, encode(document), None)
    return await everything(store)


def session_id_in(raw: bytes) -> str:
    return raw.split(b'"', 4)[3].decode()


def ids_of(found: MigrationResult) -> list[tuple[str, str]]:
    return sorted((one.session_id, one.outcome) for one in found.exceptions)


async def test_everything_is_moved_as_it_is(sides: Sides) -> None:
    before = await put_all(sides.source)
    done = await sides.migrate()
    assert done.row() | {"found": len(before), "moved": len(before)} == done.row() and not done.exceptions
    assert await everything(sides.source) == {}
    after = await everything(sides.target)
    assert {name: one.raw for name, one in after.items()} == {name: one.raw for name, one in before.items()}
    for name, one in after.items():
        was = before[name].ttl_ms
        assert (one.ttl_ms is None) == (was is None) and (one.ttl_ms or 0) <= (was or 0), name
        assert was is None or one.ttl_ms is None or one.ttl_ms > was - 60_000
    mapped = await sides.target.agent_session("layout-3")
    assert mapped is not None and mapped.session_id == "sess_layout3" and 0 < (mapped.ttl_ms or 0) <= TTL_MS
    assert await sides.source.agent_session("layout-3") is None
    # nothing is left to do
    again = await sides.migrate()
    assert not any(again.row().values())


async def test_a_last_delta_is_taken_over(sides: Sides) -> None:
    made = await sides.manager.initialize_session("agent-1", "Agent")
    await sides.manager.apply(made["session_id"], {"n": 1}, {"op_id": "op-1"})
    delta, _ = await sides.source.diff(made["session_id"])
    assert delta is not None
    await sides.migrate()
    assert await sides.target.diff(made["session_id"]) == (delta, True)
    ttls = await sides.target.expiries(made["session_id"], "agent-1")
    assert 0 < (ttls[keys.diff_key(made["session_id"])] or 0) <= keys.DIFF_TTL_SECONDS * 1000
    assert await sides.source.diff(made["session_id"]) == (None, False)


async def test_an_ended_session_is_still_searched_for_repeated_updates(sides: Sides) -> None:
    """It waits for the archive, so only a note in the store says that its agent was in it."""
    made = await sides.manager.initialize_session("agent-1", "Agent")
    await sides.manager.apply(made["session_id"], {"n": 1}, {"op_id": "op-1"})
    await sides.manager.record_end(made["session_id"])
    done = await sides.migrate()
    assert done.counts.moved == 1 and not done.exceptions
    stored = await sides.target.read(made["session_id"])
    assert stored is not None and stored.ttl_ms is None
    visit = await AgentSessions(sides.target.get_or_create).get_or_create("agent-1", "Agent")
    earlier = EarlierSessions(sides.target, lambda: None, TTL_MS)
    assert visit.session_id != made["session_id"]
    assert await earlier.find("agent-1", visit, "op-1") == made["session_id"]


async def test_the_current_session_of_an_agent_stays_the_current_one(sides: Sides) -> None:
    """Its earlier session may be moved first."""
    for number in range(10):
        await sides.manager.initialize_session("agent-1", "Agent", session_id=f"sess_{number}")
    done = await sides.migrate()
    assert done.counts.moved == 10 and not done.exceptions
    mapped = await sides.target.agent_session("agent-1")
    assert mapped is not None and mapped.session_id == "sess_9"


async def test_another_current_session_in_the_target_stays(sides: Sides) -> None:
    other = session(1, "sess_other", agent_id="agent-1")
    await sides.target.put("sess_other", "agent-1", encode(other), TTL_MS)
    await sides.manager.initialize_session("agent-1", "Agent", session_id="sess_mine")
    done = await sides.migrate()
    [one] = done.exceptions
    assert one.row() == {
        "session_id": "sess_mine",
        "outcome": "mapped",
        "agent_id": "agent-1",
        "agent_session": "sess_other",
        "reason": None,
    }
    assert done.counts.moved == 1 and not done.errors
    mapped = await sides.target.agent_session("agent-1")
    assert mapped is not None and mapped.session_id == "sess_other"


async def test_with_the_same_actions_the_later_update_decides(sides: Sides) -> None:
    """As an app may write that records no action."""
    for name, here, there in (("sess_later", 9, 1), ("sess_earlier", 1, 9)):
        for store, seconds in ((sides.source, here), (sides.target, there)):
            document = session(2, name) | {"last_updated": stamp(100 + seconds)}
            await store.put(name, AGENT_ID, encode(document), TTL_MS)
    done = await sides.migrate()
    assert ids_of(done) == [("sess_earlier", "conflict"), ("sess_later", "replaced")]
    after = await everything(sides.target)
    assert all(json.loads(one.raw)["last_updated"] == stamp(109) for one in after.values()) and len(after) == 2


async def test_an_older_copy_is_replaced_and_a_newer_one_is_not(sides: Sides) -> None:
    """As a killed migration leaves a copy, or agents that go on in the target."""
    cases = {"sess_older": (5, 3), "sess_same": (4, 4), "sess_newer": (3, 5), "sess_empty": (2, 0)}
    for name, (here, there) in cases.items():
        await sides.source.put(name, AGENT_ID, encode(session(here, name)), TTL_MS)
        await sides.target.put(name, AGENT_ID, encode(session(there, name)), TTL_MS)
    forked = session(5, "sess_forked")
    await sides.source.put("sess_forked", AGENT_ID, encode(forked), TTL_MS)
    forked["history"]["actions"][-1] |= {"input": "other"}
    forked["history"]["last_action"] = forked["history"]["actions"][-1]
    await sides.target.put("sess_forked", AGENT_ID, encode(forked), TTL_MS)
    await sides.source.put("sess_others", AGENT_ID, encode(session(3, "sess_others")), TTL_MS)
    await sides.target.put("sess_others", "x", encode(session(2, "sess_others", agent_id="x")), TTL_MS)
    before = await everything(sides.target)

    done = await sides.migrate()
    assert ids_of(done) == [
        ("sess_empty", "replaced"), ("sess_forked", "conflict"), ("sess_newer", "conflict"), ("sess_older", "replaced"),
        ("sess_others", "conflict"),
    ]  # fmt: skip
    assert (done.counts.moved, done.counts.replaced, done.counts.conflicts) == (3, 2, 3)
    after, left = await everything(sides.target), await everything(sides.source)
    assert left.keys() == {"sess_forked", "sess_newer", "sess_others"}
    for name in left:
        assert after[name].raw == before[name].raw, name
        assert left[name].raw == encode(session(cases.get(name, (5 if "fork" in name else 3, 0))[0], name))
    assert after["sess_older"].raw == encode(session(5, "sess_older"))
    assert [error.exit_code for error in done.errors] == [4, 4, 4]
    newer = next(str(one.error) for one in done.exceptions if one.session_id == "sess_newer")
    assert newer == f"a newer version is in {sides.target.where}; sess_newer was left in {sides.source.where}"


class Disturbed:
    """A store in which something else happens right before a call of one of its methods."""

    def __init__(self, store: Any, method: str, what: Callable[[str], Awaitable[object]], times: int = 1) -> None:
        self._store, self._method, self._what, self._left = store, method, what, times

    def __getattr__(self, name: str) -> Any:
        original = getattr(self._store, name)
        if name != self._method:
            return original

        async def disturbed(session_id: Any, *arguments: Any, **named: Any) -> Any:
            if self._left:
                self._left -= 1
                await self._what(session_id)
            return await original(session_id, *arguments, **named)

        return disturbed


async def migrate_disturbed(sides: Sides, method: str, what: Callable[[str], Awaitable[object]], times: int = 1) -> Any:
    source = Disturbed(sides.source, method, what, times)
    migration = StoreMigration(
        source,  # type: ignore[arg-type]
        sides.target,
        lambda: sides.manager.archive,
        sides.manager.finish_ends,
    )
    return await migration.run()


async def test_an_update_in_between_is_not_lost(sides: Sides) -> None:
    made = await sides.manager.initialize_session("agent-1", "Agent")

    async def update(session_id: str) -> None:
        await sides.manager.apply(session_id, {"n": 1}, {"op_id": "op-1"})

    done = await migrate_disturbed(sides, "delete", update, times=3)
    assert done.counts.moved == 1 and not done.exceptions
    assert await everything(sides.source) == {}
    [(session_id, stored)] = (await everything(sides.target)).items()
    assert session_id == made["session_id"] and stored.raw.count(b'"op_id":"op-1"') == 2  # the action and last_action
    mapped = await sides.target.agent_session("agent-1")
    assert mapped is not None and mapped.session_id == session_id


async def test_a_session_that_never_rests_stays_where_it_is(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await sides.manager.initialize_session("agent-1", "Agent")

    async def update(session_id: str) -> None:
        await sides.manager.apply(session_id, {"n": 1})

    done = await migrate_disturbed(sides, "delete", update, times=1_000)
    [one] = done.exceptions
    assert isinstance(one.error, UpdateConflict) and made["session_id"] in str(one.error)
    assert (await everything(sides.source)).keys() == {made["session_id"]} and await everything(sides.target) == {}


async def test_a_ttl_that_was_extended_in_between_is_taken_over(sides: Sides) -> None:
    raw = encode(session(2))
    await sides.source.put(SESSION_ID, AGENT_ID, raw, 20_000)
    calls = 0

    async def touch(session_ids: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first one asks for its size, the second one is between the copy and the deletion
            await sides.source.touch([(SESSION_ID, AGENT_ID)], 800_000)

    await migrate_disturbed(sides, "lifetimes", touch, times=2)
    stored = await sides.target.read(SESSION_ID)
    assert stored is not None and stored.raw == raw and 700_000 < (stored.ttl_ms or 0) <= 800_000
    assert calls == 2 and await sides.source.read(SESSION_ID) is None


async def test_a_session_that_ended_in_between_is_not_live_again(sides: Sides) -> None:
    for number, step in enumerate(("diff", "delete")):
        name = f"sess_{number}"
        await sides.manager.initialize_session("agent-1", "Agent", session_id=name)
        done = await migrate_disturbed(sides, step, sides.manager.end_session)
        assert done.counts.gone == 1 and not done.exceptions, step
        assert await everything(sides.target) == {} and await everything(sides.source) == {}
        archived = await sides.manager.get_archived_session(name)
        assert archived is not None and archived.summary.state is ArchivedState.ENDED


async def test_a_session_that_another_migration_has_moved_is_kept(sides: Sides) -> None:
    await put_all(sides.source)
    raws = {name: one.raw for name, one in (await everything(sides.source)).items()}
    results = await asyncio.gather(*(sides.migrate() for _ in range(3)))
    assert not [one for result in results for one in result.exceptions]
    assert {name: one.raw for name, one in (await everything(sides.target)).items()} == raws
    assert await everything(sides.source) == {}


async def test_sessions_that_begin_meanwhile_are_moved_too(sides: Sides) -> None:
    await sides.manager.initialize_session("agent-1", "Agent")

    async def begin(session_id: str) -> None:
        await sides.manager.initialize_session("agent-2", "Agent")

    done = await migrate_disturbed(sides, "delete", begin, times=2)
    assert done.counts.moved == 3 and not done.unfinished
    await begin("")
    done = await migrate_disturbed(sides, "delete", begin, times=1_000)
    assert done.unfinished


async def test_damaged_sessions_are_left_and_reported(sides: Sides) -> None:
    await sides.source.put("sess_good", None, encode(session(1, "sess_good")), TTL_MS)
    damaged = {"sess_json": b"{", "sess_other": encode(session(1, "sess_x")), "sess_list": b"[]"}
    for name, raw in damaged.items():
        await sides.source.put(name, None, raw, TTL_MS)
    done = await sides.migrate()
    assert ids_of(done) == [(name, "failed") for name in sorted(damaged)]
    assert all(isinstance(one.error, InvalidData) and one.session_id in str(one.error) for one in done.exceptions)
    assert (done.counts.found, done.counts.moved, done.counts.failed) == (4, 1, 3)
    assert {name: one.raw for name, one in (await everything(sides.source)).items()} == damaged
    assert (await everything(sides.target)).keys() == {"sess_good"}


@pytest.mark.parametrize("sides", ["redis to redis"], indirect=True)
async def test_a_key_that_is_no_string_is_left_and_reported(sides: Sides, valkey: ValkeyServer) -> None:
    valkey.raw.hset("AWI:SESSION:sess_hash", "a", "b")
    done = await sides.migrate()
    [one] = done.exceptions
    assert isinstance(one.error, InvalidData) and "sess_hash was left in" in str(one.error)
    assert valkey.raw.hgetall("AWI:SESSION:sess_hash") == {b"a": b"b"}


async def test_an_end_that_was_interrupted_is_finished(sides: Sides) -> None:
    for name in ("sess_here", "sess_there"):
        await sides.source.put(name, None, encode(session(1, name)), TTL_MS)
    await sides.target.put("sess_there", None, encode(session(1, "sess_there")), TTL_MS)
    await sides.source.endings.take("sess_here")
    await sides.target.endings.take("sess_there")
    dry = await sides.migrate(dry_run=True)
    done = await sides.migrate()
    for one in (dry, done):
        assert ids_of(one) == [("sess_here", "ended"), ("sess_there", "conflict")]
        assert one.counts.ended == one.counts.conflicts == 1 and one.counts.found == 2
    assert await sides.source.endings.ids() == [] and await sides.target.endings.ids() == ["sess_there"]
    archived = await sides.manager.get_archived_session("sess_here")
    assert archived is not None and archived.summary.state is ArchivedState.ENDED


async def test_the_archive_knows_where_a_session_is_now(sides: Sides) -> None:
    """Otherwise, a sweep of the source would report it as vanished."""
    await sides.source.put(SESSION_ID, AGENT_ID, encode(session(1)), TTL_MS)
    archive = sides.manager.required_archive()
    stored = await sides.source.read(SESSION_ID)
    assert stored is not None
    sweeper = sides.manager.sweeper(TTL_MS * 2)
    await sweeper.sweep(await sweeper.candidates())
    assert [one.session_id async for one in archive.live(sides.source.identity)] == [SESSION_ID]
    await sides.migrate()
    found = {one.session_id: one.server async for one in archive.live(sides.target.identity)}
    assert found == {SESSION_ID: sides.target.identity}
    assert await sides.manager.sweeper(60_000).gone() == []


async def test_a_dry_run_writes_nothing(sides: Sides) -> None:
    before = await put_all(sides.source)
    await sides.source.put("sess_a", AGENT_ID, encode(session(3, "sess_a")), TTL_MS)
    await sides.source.put("sess_b", AGENT_ID, encode(session(3, "sess_b")), TTL_MS)
    await sides.target.put("sess_a", AGENT_ID, encode(session(2, "sess_a")), TTL_MS)
    await sides.target.put("sess_b", AGENT_ID, encode(session(4, "sess_b")), TTL_MS)
    source, target = await everything(sides.source), await everything(sides.target)
    done = await sides.migrate(dry_run=True)
    assert ids_of(done) == [("sess_a", "replaced"), ("sess_b", "conflict")]
    assert (done.counts.found, done.counts.moved, done.counts.replaced) == (len(before) + 2, len(before) + 1, 1)
    for store, was in ((sides.source, source), (sides.target, target)):
        now = await everything(store)
        assert {name: one.raw for name, one in now.items()} == {name: one.raw for name, one in was.items()}
    assert (await sides.migrate()).row() == done.row()


@pytest.mark.parametrize("sides", ["redis to redis"], indirect=True)
async def test_a_target_that_is_away_stops_it(sides: Sides, new_valkey: Callable[..., ValkeyServer]) -> None:
    before = await put_all(sides.source)
    server = new_valkey()
    target = RedisStore.open(replace(server.settings(), timeout=1))

    async def kill(session_id: str) -> None:
        server.kill()

    migration = StoreMigration(
        Disturbed(sides.source, "delete", kill),  # type: ignore[arg-type]
        target,
        lambda: None,
        sides.manager.finish_ends,
        rate=4.0,  # one after the other
    )
    with pytest.raises(Unreachable):
        await migration.run()
    assert migration.result.counts.moved == 1
    assert len(await everything(sides.source)) == len(before) - 1
    await target.close()


@pytest.mark.parametrize("sides", ["redis to mongo"], indirect=True)
async def test_a_user_who_may_not_delete_leaves_no_copies(sides: Sides, valkey: ValkeyServer) -> None:
    before = await put_all(sides.source)
    valkey.raw.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-del", "-unlink")
    limited = RedisStore.open(replace(valkey.settings(), redis_username="reader", redis_password="secret"))
    try:
        migration = StoreMigration(limited, sides.target, lambda: None, sides.manager.finish_ends)
        with pytest.raises(AccessDenied):
            await migration.run()
    finally:
        await limited.close()
        valkey.raw.execute_command("ACL", "DELUSER", "reader")
    assert (await everything(sides.source)).keys() == before.keys() and await everything(sides.target) == {}


async def test_both_stores_have_their_own_identity(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """Whichever the settings use: by it, the archive tells where a session is live."""
    settings = valkey.settings(mongodb_uri=mongo.uri)
    found = set()
    for use_redis in (True, False):
        async with (
            StateManager.open(replace(settings, use_redis=use_redis)) as manager,
            manager.migration(to_redis=True) as migration,
        ):
            found.add((migration.source.identity, migration.target.identity))
            assert manager.store.identity == (migration.target if use_redis else migration.source).identity
    assert len(found) == 1 and len({*found.pop()}) == 2
