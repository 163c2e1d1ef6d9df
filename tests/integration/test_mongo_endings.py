"""Ends, restores and agents' requests on live sessions in MongoDB (AWI_USE_REDIS=false)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.mongo import MongoServer

from awictl import Settings, StateManager
from awictl.document.byte_layout import encode
from awictl.document.json_codec import loads
from awictl.document.schema import SESSION_END
from awictl.errors import AwiError, NotFound
from awictl.store.mongo.contents import Contents
from awictl.store.mongo.database import LiveDatabase
from awictl.store.mongo.sessions import MongoStore

#: More actions than a session's document keeps, so that it has parts.
MANY = 150


@pytest.fixture
def settings(mongo: MongoServer) -> Settings:
    """Settings for live sessions and the archive in the MongoDB server of this worker."""
    return Settings(use_redis=False, mongodb_uri=mongo.uri, timeout=60)


@pytest.fixture
async def manager(settings: Settings) -> AsyncIterator[StateManager]:
    async with StateManager.open(settings) as opened:
        yield opened


async def create(manager: StateManager, actions: int = 0, agent_id: str = "a") -> str:
    """A session with this many updates, the last of which was some time ago. Returns its id."""
    session_id: str = (await manager.initialize_session(agent_id, "A"))["session_id"]
    if actions > 2:  # stored at once, because updates take their time
        document = (await manager.get_session_state(session_id)) or {}
        document["history"]["actions"] += [{"t": t, "action": f"a{t}", "op_id": f"op_{t}"} for t in range(1, actions)]
        document["history"]["last_action"] = document["history"]["actions"][-1]
        await manager.store.delete(session_id, None, None)
        await manager.store.restore(session_id, agent_id, encode(document))
        actions = 1
    for _ in range(actions):
        await manager.update_state_with_delta(session_id, {"n": 1})
    return session_id


def left(mongo: MongoServer) -> dict[str, int]:
    """Number of documents in each collection of live data that has any."""
    names = [one for one in mongo.raw.list_collection_names() if one.startswith("awi_live_")]
    return {one: count for one in names if (count := mongo.raw[one].count_documents({}))}


class _Crash(BaseException):
    """The process ends here."""


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, request: int) -> Iterator[list[int]]:
    """Let the process end after so many requests to the live collections."""
    made = [0]
    original = LiveDatabase.request

    @contextmanager
    def counted(self: LiveDatabase) -> Iterator[None]:
        with original(self):
            yield
        made[0] += 1
        if made[0] == request:
            raise _Crash

    with monkeypatch.context() as patch:
        patch.setattr(LiveDatabase, "request", counted)
        yield made


async def test_an_ended_session_is_archived_and_leaves_nothing_behind(
    manager: StateManager, mongo: MongoServer
) -> None:
    session_id = await create(manager, MANY)
    assert left(mongo).keys() == {"awi_live_sessions", "awi_live_parts", "awi_live_agents"}
    ended = await manager.end_session(session_id)
    assert ended.actions == MANY + 2 and left(mongo) == {}
    archived = await manager.get_archived_session(session_id)
    assert archived is not None and archived.raw is not None
    names = [one["action"] for one in loads(archived.raw)["history"]["actions"]]
    assert names == ["session_start", *(f"a{t}" for t in range(1, MANY)), "list_posts", SESSION_END]
    assert await manager.end_session(session_id) == ended, "idempotent"
    await manager.restore_session(session_id)
    stored = await manager.read_session(session_id)
    assert stored.raw == archived.raw and await manager.find_session_for_agent("a") == session_id


async def test_a_taken_session_is_out_of_reach_and_does_not_expire(manager: StateManager, mongo: MongoServer) -> None:
    session_id = await create(manager, MANY)
    raw = (await manager.read_session(session_id)).raw
    endings = manager.store.endings
    assert await endings.take(session_id) == (raw, True) and await endings.take(session_id) == (raw, False)
    assert await endings.ids() == [session_id] and await endings.taken(session_id) == raw
    assert await manager.get_session_state(session_id) is None
    assert [one async for one in manager.list_sessions()] == []
    with pytest.raises(NotFound):
        await manager.update_state_with_delta(session_id, {"n": 2})
    assert await manager.touch_sessions([session_id]) == [False]
    for collection in ("sessions", "parts"):
        assert {one["expires_at"] for one in mongo.raw[f"awi_live_{collection}"].find()} == {None}
    assert (await manager.find_session(session_id)).origin.startswith(f"{session_id} is being ended")
    assert not await endings.put_back(session_id, b"another", 60_000)
    assert await endings.put_back(session_id, raw, 60_000) and not await endings.put_back(session_id, raw, 60_000)
    stored = await manager.read_session(session_id)
    assert stored.raw == raw and stored.ttl_ms is not None and stored.ttl_ms <= 60_000
    assert None not in {one["expires_at"] for one in mongo.raw["awi_live_parts"].find()}, "they expire with it"


async def test_steps_of_an_end_compare_what_was_taken(manager: StateManager) -> None:
    session_id = await create(manager, MANY)
    endings = manager.store.endings
    value = (await endings.take(session_id)).value
    new = value.replace(b'"a1"', b'"b1"')
    assert not await endings.replace(session_id, b"another", new) and not await endings.finish(session_id, "a", new)
    assert await endings.replace(session_id, value, new) and await endings.replace(session_id, value, new)
    assert await endings.taken(session_id) == new and not await endings.finish(session_id, "a", value)
    assert await endings.finish(session_id, "a", new) and await endings.finish(session_id, "a", new)
    assert await endings.ids() == [] and await manager.store.agent_session("a") is None


async def test_parts_of_a_session_that_expires_just_before_it_is_taken_expire(
    manager: StateManager, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(manager, MANY)
    extend = Contents.extend_parts

    async def and_expire(self: Contents, *arguments: Any) -> None:
        await extend(self, *arguments)
        mongo.raw["awi_live_sessions"].delete_many({})

    with monkeypatch.context() as patch:
        patch.setattr(Contents, "extend_parts", and_expire)
        assert await manager.store.endings.take(session_id) == (b"", False)
    assert None not in {one["expires_at"] for one in mongo.raw["awi_live_parts"].find()}


async def test_a_session_that_is_put_back_before_it_is_deleted_stays_whole(
    manager: StateManager, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process could not archive it, and puts it back, while this one is about to delete it."""
    session_id = await create(manager, MANY)
    endings = manager.store.endings
    value = (await endings.take(session_id)).value
    shorten = Contents.shorten_parts

    async def and_put_back(self: Contents, *arguments: Any) -> None:
        await shorten(self, *arguments)
        assert await endings.put_back(session_id, value, None)

    with monkeypatch.context() as patch:
        patch.setattr(Contents, "shorten_parts", and_put_back)
        assert await endings.finish(session_id, "a", value)
    assert (await manager.read_session(session_id)).raw == value
    assert {one["expires_at"] for one in mongo.raw["awi_live_parts"].find()} == {None}
    assert (await manager.end_session(session_id)).actions == MANY + 2


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.soak)])
async def test_an_end_converges_wherever_the_process_ends(
    settings: Settings, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The process ends after each request to the live collections, or after each fifth one."""
    request, done = 1 - step, False
    while not done:
        request += step
        async with StateManager.open(settings) as manager:
            session_id = await create(manager, MANY if request // step % 2 else 1, agent_id=f"a{request}")
            with crashing(monkeypatch, request) as made:
                with suppress(_Crash):
                    await manager.end_session(session_id)
                done = made[0] < request
        async with StateManager.open(settings) as manager:
            sessions = await manager.store.endings.ids()
            for one in (await manager.finish_ends()).values():
                assert not isinstance(one, AwiError), one
            if not sessions:  # it was not taken yet, or was finished
                await manager.end_session(session_id)
            archived = await manager.get_archived_session(session_id)
            assert archived is not None
            names = [one["action"] for one in archived.document["history"]["actions"]]
            assert names.count(SESSION_END) == 1 and names[-1] == SESSION_END
            assert len(names) == (MANY + 2 if request // step % 2 else 3), request
            assert await manager.get_session_state(session_id) is None
    # what a crash after the deletion leaves: mappings to no session, and parts; both expire
    now = datetime.now(UTC)
    for name, count in left(mongo).items():
        assert name in ("awi_live_agents", "awi_live_parts"), (name, count)
        assert all(one["expires_at"] < now + timedelta(days=9) for one in mongo.raw[name].find())
    assert request > 8


async def test_updates_during_an_end_are_archived_or_refused(settings: Settings) -> None:
    acknowledged: list[str] = []
    async with StateManager.open(settings) as manager, StateManager.open(settings) as other:
        session_id = await create(manager)

        async def write(at: StateManager, number: int) -> None:
            for n in range(1_000):
                op_id = f"op_{number}_{n}"
                try:
                    await at.update_state_with_delta(session_id, {"n": n}, {"op_id": op_id})
                except AwiError:
                    return
                acknowledged.append(op_id)

        writers = [asyncio.create_task(write(at, number)) for number, at in enumerate([manager, other])]
        while len(acknowledged) < 6:
            await asyncio.sleep(0.01)
        await other.end_session(session_id)
        await asyncio.gather(*writers)
        archived = await manager.get_archived_session(session_id)
    assert archived is not None
    op_ids = [one.get("op_id") for one in archived.document["history"]["actions"]]
    assert all(op_ids.count(one) == 1 for one in acknowledged) and len(acknowledged) >= 6
    assert archived.document["history"]["actions"][-1]["action"] == SESSION_END


async def test_ends_of_one_session_at_once_make_one_end(settings: Settings, mongo: MongoServer) -> None:
    async with StateManager.open(settings) as one, StateManager.open(settings) as other:
        session_ids = [await create(one, 1, agent_id=f"a{i}") for i in range(4)]

        async def sweep() -> None:
            for _ in range(3):
                assert not [failed for failed in (await one.finish_ends()).values() if isinstance(failed, AwiError)]

        ends = [manager.end_session(session_id) for session_id in session_ids for manager in (one, other)]
        await asyncio.gather(*ends, sweep())
        for session_id in session_ids:
            archived = await one.get_archived_session(session_id)
            assert archived is not None
            names = [action["action"] for action in archived.document["history"]["actions"]]
            assert names == ["session_start", "list_posts", SESSION_END]
    assert left(mongo) == {}


async def test_a_session_that_cannot_be_archived_is_put_back(
    manager: StateManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await create(manager, 1)

    async def fail(*_: object) -> None:
        raise AwiError("the archive is broken")

    with monkeypatch.context() as patch:
        patch.setattr("awictl.archive.transfer.Transfer.archive_string", fail)
        with pytest.raises(AwiError, match="stays in MongoDB, marked as ended and without a TTL"):
            await manager.end_session(session_id)
    stored = await manager.read_session(session_id)
    assert stored.ttl_ms is None and b"session_end" in stored.raw
    swept = await manager.sweeper(60_000).sweep(await manager.sweeper(60_000).candidates())
    assert (swept.found, swept.archived, swept.deleted) == (1, 1, 1)


# -- agents' requests


async def test_requests_extend_the_ttl_only_if_some_of_it_has_passed(manager: StateManager, mongo: MongoServer) -> None:
    visit = await manager.agent_sessions.get_or_create("a", "A")
    live = {"sessions": visit.session_id, "agents": "a"}

    def expiries() -> list[datetime]:
        found = [mongo.raw[f"awi_live_{name}"].find_one({"_id": one}) for name, one in live.items()]
        return [one["expires_at"] for one in found if one is not None]

    before = expiries()
    assert len(set(before)) == 1
    await manager.agent_sessions.get_or_create("a", "A")
    assert expiries() == before, "most requests only read"
    for name, one in live.items():
        for minutes in (29, 90):  # shorter than the usual TTL, and longer
            soon = datetime.now(UTC) + timedelta(minutes=minutes)
            mongo.raw[f"awi_live_{name}"].update_one({"_id": one}, {"$set": {"expires_at": soon}})
            await manager.agent_sessions.get_or_create("a", "A")
            assert all(timedelta() <= one - before[0] < timedelta(minutes=1) for one in expiries())


async def test_a_session_that_lost_a_race_is_not_left_behind(manager: StateManager, mongo: MongoServer) -> None:
    assert isinstance(manager.store, MongoStore)
    winner = await create(manager)
    previous = await manager.store.get_or_create.read_for_request("a", None, "", 0)
    await manager.store.mappings.set("a", winner, None)
    raw = (await manager.read_session(winner)).raw
    stale = previous._replace(current=b"sess_before")
    found, created = await manager.store.get_or_create.create_if_absent("a", "sess_new", raw, stale, replace=True)
    assert not created and found.current == winner.encode()
    assert [one["_id"] for one in mongo.raw["awi_live_sessions"].find()] == [winner]


# -- the sweep and the watcher


async def test_expiring_sessions_are_archived_and_gone_ones_noticed(manager: StateManager, mongo: MongoServer) -> None:
    session_id = await create(manager, 1)
    sweeper = manager.sweeper(3_600_000)
    swept = await sweeper.sweep(await sweeper.candidates())
    assert (swept.found, swept.archived, swept.deleted) == (1, 1, 0)
    record = mongo.archived.find_one({"_id": session_id})
    assert record is not None and record["server"] == manager.store.identity
    assert record["server"].endswith("/awi#awi_live") and "mongodb://" in record["server"]
    past = datetime.now(UTC) - timedelta(minutes=1)
    mongo.raw["awi_live_sessions"].update_one({"_id": session_id}, {"$set": {"expires_at": past}})
    mongo.archived.update_one({"_id": session_id}, {"$set": {"expiresAt": past}})
    sweeper = manager.sweeper(3_600_000)
    assert (await sweeper.sweep(await sweeper.candidates())).expired == 1
