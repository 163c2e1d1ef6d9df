"""Doctor on the journal of the fallback: what waits there, and what cannot be applied to Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from support.archives import drop_sockets, forget_sockets
from support.documents import AGENT_ID, SESSION_ID, action, compact, document
from support.mongo import MongoServer

from awictl import Settings, StateManager
from awictl.archive.snapshot import Revision
from awictl.diagnostics.doctor import Status, examine
from awictl.diagnostics.doctor.journal_checks import check_journal
from awictl.diagnostics.doctor.report import Check
from awictl.fallback.journal import Entry, Journal

ASIDE = [{**action(1), "op_id": "op-1"}, {**action(2), "op_id": "op-2"}]


@pytest.fixture
async def manager(settings: Settings, mongo: MongoServer, mongo_sockets: None) -> AsyncIterator[StateManager]:
    async with StateManager.open(replace(settings, mongodb_uri=mongo.uri)) as opened:
        yield opened
        await forget_sockets(opened.required_archive())


def journal_of(manager: StateManager) -> Journal:
    assert manager.fallback is not None
    return manager.fallback.journal


async def checked(manager: StateManager) -> dict[str, Check]:
    """The checks of the journal, by name."""
    report, _ = await examine(manager, data=False)
    return {one.name: one for one in report.checks if one.name in ("journal", "set aside")}


async def test_an_empty_journal_is_good(manager: StateManager) -> None:
    checks = await checked(manager)
    assert [one.status for one in checks.values()] == [Status.PASS]


async def test_sessions_that_are_not_in_redis_yet(manager: StateManager) -> None:
    await journal_of(manager).begin(SESSION_ID, compact(document([0])))
    found = (await checked(manager))["journal"]
    assert found.status is Status.WARN and found.evidence.startswith("1 session went on in mongodb://")
    assert "`awictl archive sweep`" in found.remedy and "another address" not in found.evidence + found.remedy
    [away] = await check_journal(journal_of(manager), redis_answers=False)
    assert "start Redis again" in away.remedy


async def test_sessions_of_another_address_of_redis(manager: StateManager) -> None:
    journal = journal_of(manager)
    await journal.begin(SESSION_ID, compact(document([0])))
    await journal._sessions.update_one({"_id": SESSION_ID}, {"$set": {"server": "redis://mistyped:1/0"}})
    found = (await checked(manager))["journal"]
    assert found.status is Status.WARN and "another address: redis://mistyped:1/0" in found.evidence
    assert "sweep with that address" in found.remedy and "`awictl session apply ID '{}'`" in found.remedy


async def test_actions_that_cannot_be_applied(manager: StateManager) -> None:
    entry = Entry(SESSION_ID, AGENT_ID, 1, False, 0, Revision(0, 0, 0))
    await journal_of(manager).set_aside(entry, ASIDE, "the session has ended meanwhile")
    checks = await checked(manager)
    assert checks["journal"].status is Status.PASS
    found = checks["set aside"]
    assert found.status is Status.FAIL
    assert found.evidence.startswith("2 actions") and "the session has ended meanwhile" in found.evidence
    assert len(found.examples) == 2
    assert f"{SESSION_ID} op-1" in found.examples[0] and "the session has ended meanwhile" in found.examples[0]
    assert "awi_journal_aside" in found.remedy


async def test_no_check_without_mongodb_or_without_a_fallback(settings: Settings, mongo_sockets: None) -> None:
    nothing = "mongodb://127.0.0.1:1/awi?serverSelectionTimeoutMS=50"
    for more in ({"mongodb_uri": nothing, "timeout": 0.2}, {"mongodb_uri": nothing, "fallback": False, "timeout": 0.2}):
        async with StateManager.open(replace(settings, **more)) as manager:
            assert await checked(manager) == {}
        await drop_sockets()
