"""`kill -9` of a sweep that merges a snapshot, and of `archive migrate`: no action is lost or doubled at any step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from support.archives import ended, session, snapshot, stamp, trimmed
from support.documents import SESSION_ID, session_key
from support.express_app import ExpressApp
from support.killing import Killer, Moment
from support.mongo import MongoServer
from support.old_archive import put_old
from support.valkey import ValkeyServer
from test_kill_boundaries import Case

from awictl import StateManager
from awictl.archive.base import Archived
from awictl.archive.chunks import Chunk

#: Commands that change the archive; a kill after any other one leaves it as one before it does.
WRITES = {"insert", "update", "delete", "bulkWrite"}
#: Numbers of updates before and after the snapshot; the app keeps the last 100 actions.
BEFORE, AFTER = 80, 60


@pytest.fixture
def valkey(new_valkey: Any) -> ValkeyServer:
    """A Valkey without other sessions that a sweep would find."""
    server: ValkeyServer = new_valkey()
    return server


@pytest.fixture
async def manager(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[StateManager]:
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as made:
        yield made


@pytest.fixture
async def merging(manager: StateManager, valkey: ValkeyServer, mongo: MongoServer) -> Stage:
    """A session that the app cut since it was archived, and a sweep that is due."""
    app = ExpressApp(valkey, mongo)
    app.start()
    app.create(SESSION_ID, stamp())
    for n in range(BEFORE):
        app.update(SESSION_ID, stamp(n), input={"n": n})
    await sweep(manager)
    stored = list(mongo.archived.find())
    for n in range(BEFORE, BEFORE + AFTER):
        app.update(SESSION_ID, stamp(n), input={"n": n})
    return Stage(
        valkey, mongo, {"awi_sessions": stored}, valkey.raw.get(session_key()), ("archive", "sweep", "--margin", "5m")
    )


class Stage:
    """Servers with certain data, and a command to kill."""

    def __init__(
        self,
        valkey: ValkeyServer,
        mongo: MongoServer,
        stored: dict[str, list[dict[str, Any]]],
        live: Any,
        words: Sequence[str],
    ) -> None:
        self._valkey = valkey
        self._mongo = mongo
        self._stored = stored
        self._live = live
        self._case = Case(valkey, mongo, SESSION_ID, tuple(words))

    def run(self, killer: Killer) -> int:
        """Restore the data, and run the command."""
        for name in self._mongo.raw.list_collection_names():
            self._mongo.raw[name].delete_many({})
        for name, documents in self._stored.items():
            self._mongo.raw[name].insert_many(documents)
        self._valkey.raw.flushall()
        if self._live is not None:
            self._valkey.raw.set(session_key(), self._live, ex=200)
        return self._case.run(killer)

    def boundaries(self, *, all_steps: bool) -> list[tuple[int, Moment]]:
        """The steps of the command, if the servers have its scripts and indexes; by default only its writes."""
        for _ in range(2):
            recorder = Killer()
            assert self.run(recorder) == 0
        assert set(recorder.steps) & WRITES, recorder.steps
        if all_steps:
            return [(step, moment) for step in range(len(recorder.steps)) for moment in Moment]
        return [(step, Moment.AFTER) for step, name in enumerate(recorder.steps) if name in WRITES]


async def sweep(manager: StateManager) -> None:
    sweeper = manager.sweeper(2_000_000)
    swept = await sweeper.sweep(await sweeper.candidates())
    assert (swept.failed, swept.stopped) == ({}, None)


async def found(manager: StateManager) -> Archived:
    archived = await manager.get_archived_session(SESSION_ID)
    assert archived is not None, "lost"
    return archived


async def check_merging(stage: Stage, manager: StateManager, *, all_steps: bool) -> None:
    boundaries = stage.boundaries(all_steps=all_steps)
    assert len(boundaries) >= 2, "the cut actions, and the snapshot"
    for boundary in boundaries:
        killer = Killer(*boundary)
        assert stage.run(killer) == -9 and killer.killed, boundary
        numbers = [one["input"].get("n") for one in (await found(manager)).document["history"]["actions"]]
        assert numbers in ([None, *range(BEFORE)], [None, *range(BEFORE + AFTER)]), boundary
        await sweep(manager)
        archived = await found(manager)
        numbers = [one["input"].get("n") for one in archived.document["history"]["actions"]]
        assert numbers == [None, *range(BEFORE + AFTER)] and archived.summary.gaps == (), boundary


async def test_a_sweep_killed_after_any_write_loses_no_action_that_the_app_cut(
    merging: Stage, manager: StateManager
) -> None:
    await check_merging(merging, manager, all_steps=False)


@pytest.mark.soak
async def test_a_sweep_killed_at_any_step_loses_no_action_that_the_app_cut(
    merging: Stage, manager: StateManager
) -> None:
    await check_merging(merging, manager, all_steps=True)


@pytest.mark.soak
async def test_a_migration_killed_at_any_step_is_completed_by_the_next(
    manager: StateManager, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    rest, gone = trimmed(8, 5)
    put_old(mongo, snapshot(ended(rest)), trimmed=[Chunk(0, gone)])
    put_old(mongo, snapshot(session(3, "sess_live"), ttl_ms=60_000))
    old = {name: list(mongo.raw[name].find()) for name in ("agentsessions", "agentsessions.parts")}
    before = await found(manager)
    stage = Stage(valkey, mongo, old, None, ("archive", "migrate"))
    for boundary in stage.boundaries(all_steps=True):
        killer = Killer(*boundary)
        assert stage.run(killer) == -9 and killer.killed, boundary
        assert (await found(manager)).document == before.document, boundary
        assert (await manager.migrate_archive()).failed == {}
        assert (await found(manager)).document == before.document, boundary
        assert mongo.archived.count_documents({}) == 2 and mongo.sessions.count_documents({"awi.format": 1}) == 0
