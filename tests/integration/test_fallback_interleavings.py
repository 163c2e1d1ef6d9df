"""Rare interleavings while Redis is away and when it is back: nothing is lost, nothing is applied twice."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.fallback_site import Site

from awictl import StateManager
from awictl.errors import Unreachable
from awictl.fallback import homecoming, journal, switch
from awictl.sessions.trimmed import TrimmedActions
from awictl.sessions.update import Updater
from awictl.store import breaker

PATIENCE = 30.0


async def unknown(*_: Any) -> None:
    """Whether the archive has an action, while it does not answer."""


@pytest.mark.parametrize("archive_answers", [True, False])
async def test_an_update_is_repeated_in_an_outage_whose_action_was_trimmed_long_before(
    site: Site, archive_answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with StateManager.open(replace(site.manager.settings, max_actions=10)) as manager:
        small = Site(manager, site.valkey, site.proxy, site.mongo)
        session_id = await small.new_session("a")
        for number in range(1, 21):
            await small.apply(session_id, number)
        assert "op_1" not in small.op_ids(session_id)
        await small.archive(session_id)
    async with StateManager.open(replace(site.manager.settings, max_actions=10)) as manager:  # it does not know those
        small = Site(manager, site.valkey, site.proxy, site.mongo)
        await small.visit("b")
        await small.redis_away()
        with monkeypatch.context() as patched:
            if not archive_answers:
                patched.setattr(TrimmedActions, "have", unknown)
            repeated = await small.apply(session_id, 1)
        assert repeated.degraded and (repeated.action is None) is archive_answers
        await small.apply(session_id, 21)
        await small.redis_back()
        assert (await small.visit("a")).head["n"] == 21
        assert "op_1" not in small.op_ids(session_id)
        assert small.document(session_id)["statistics"]["total_actions"] == 21


async def test_actions_that_only_the_journal_has_come_home_after_a_long_outage(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await site.new_session("a")
    await site.apply(session_id, 1)  # never archived
    await site.redis_away()
    site.valkey.raw.flushall()
    await site.fallback.degraded.save_known(lambda: True)
    await site.redis_back()
    later = time.time() + site.manager.settings.session_ttl_ms / 1000 + 60
    monkeypatch.setattr(homecoming, "time", SimpleNamespace(time=lambda: later))
    await site.fallback.step()
    assert site.op_ids(session_id) == ["op_1"]


async def test_a_session_that_is_journaled_again_while_it_is_deleted_keeps_its_parts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await site.new_session("a")
    for number in range(1, 131):
        await site.apply(session_id, number)
    await site.redis_away()
    await site.visit("a")
    await site.redis_back()
    await site.fallback.step()
    raw = site.valkey.raw.get(f"AWI:SESSION:{session_id}")
    found = site.fallback.journal
    entry = await found.entry(session_id)
    assert entry is not None and not entry.pending
    deleted = found._sessions.delete_one

    class Sessions:
        def __getattr__(self, name: str) -> Any:
            return getattr(found_sessions, name)

        async def delete_one(self, *arguments: Any) -> Any:
            result = await deleted(*arguments)
            await found.store.put(session_id, None, raw, None)  # by another process
            return result

    found_sessions = found._sessions
    found._sessions = Sessions()  # type: ignore[assignment]
    await found.drop(entry)
    stored = await found.store.read(session_id)
    assert stored is not None and stored.raw == raw


async def test_an_agent_stays_mapped_to_a_session_that_goes_on_while_old_ones_are_deleted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.visit("a")
    await site.redis_back()
    await site.fallback.step()
    monkeypatch.setattr(journal, "KEPT_SECONDS", -60.0)
    drop = site.fallback.journal.drop

    async def dropped(entry: journal.Entry) -> Any:
        await site.redis_away()
        await site.apply(session_id, 1)  # the next outage
        return await drop(entry)

    monkeypatch.setattr(site.fallback.journal, "drop", dropped)
    await site.fallback.journal.clean()
    assert await site.fallback.journal.session_of("a") == session_id


async def test_a_long_outage_of_one_process_while_another_one_deletes_what_is_home(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    for _ in range(breaker.FAILURES):
        await site.visit("a")
    await site.apply(session_id, 1)
    async with site.another() as other:
        await other.fallback.step()
        await other.apply(session_id, 2)
        await other.archive(session_id)
        monkeypatch.setattr(journal, "KEPT_SECONDS", -60.0)
        await other.fallback.journal.clean()
        assert await other.fallback.journal.entry(session_id) is None
    assert (await site.apply(session_id, 3)).degraded
    visit = await site.visit("a")
    assert visit.degraded and visit.session_id == session_id
    await site.redis_back()
    await site.fallback.step()
    assert site.op_ids(session_id) == ["op_1", "op_2", "op_3"]


async def test_an_agent_gets_the_session_that_was_begun_after_its_mapping_was_removed(site: Site) -> None:
    found = site.fallback.journal
    ids = ["sess_" + digit * 32 for digit in "12"]
    await found.map("a", ids[0], None)
    await found.unmap("a", ids[0])  # between another request's read of it and its change
    assert await found.map("a", ids[1], ids[0]) == ids[1]
    assert await found.session_of("a") == ids[1]


async def test_an_update_is_journaled_while_another_process_brings_home_what_it_read_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await site.new_session("a")
    for number in range(1, 7):
        await site.apply(session_id, number)
    await site.redis_away()
    await site.apply(session_id, 7)
    async with site.another(fallback=False) as other:  # so that the actions get other numbers
        await other.apply(session_id, 100)
    async with site.another() as slow, site.another() as quick:
        quick.manager.__dict__["_updater"] = Updater(
            quick.manager.store, replace(quick.manager.settings, max_actions=3), quick.manager._updater._trimmed
        )
        entry_of = slow.fallback.journal.entry
        waits = [True]

        async def entry(session_id: str) -> Any:
            found = await entry_of(session_id)
            if waits:
                waits.clear()
                assert (await quick.visit("a")).head["n"] == 7  # brought home, and trimmed
                assert (await site.apply(session_id, 8)).degraded
            return found

        monkeypatch.setattr(slow.fallback.journal, "entry", entry)
        assert (await slow.visit("a")).head["n"] == 8
    assert site.op_ids(session_id)[-1] == "op_8"


async def test_an_update_is_journaled_while_another_process_contributes_a_newer_version(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    async with site.another() as other, site.another(proxied=True) as late:
        assert (await other.visit("a")).head["n"] == 1
        for number in (2, 3, 4):
            await other.apply(session_id, number)
        await other.archive(session_id)
        find = late.fallback.degraded._newest.find

        async def slowly(session_id: str) -> Any:
            found = await find(session_id)
            if waits:
                waits.clear()
                await site.apply(session_id, 5)
            return found

        waits = [True]
        monkeypatch.setattr(late.fallback.degraded._newest, "find", slowly)
        assert await late.fallback.degraded.ensure(session_id)
    await site.redis_back()
    await site.visit("a")
    assert site.op_ids(session_id) == [f"op_{number}" for number in range(1, 6)]


@pytest.mark.parametrize("outages", [1, 2])
async def test_an_agent_goes_on_in_another_process_with_a_session_that_only_one_knew(site: Site, outages: int) -> None:
    """Its session is as new as that: no sweep has archived it, and no other process was asked for it."""
    async with site.another(proxied=True) as other:
        if outages == 2:  # the journal still maps the agent to its earlier session, which has ended since
            earlier = await site.new_session("a")
            await site.redis_away()
            await site.visit("a")
            await site.apply(earlier, 1)
            await site.redis_back()
            await other.redis_back()
            await other.visit("a")
            await site.manager.record_end(earlier)
            await site.manager.agent_sessions.unmap("a", earlier)
            await site.manager.end_session(earlier)
        session_id = await site.new_session("a")
        assert not (await site.apply(session_id, 2)).degraded
        await site.redis_away()
        await site.fallback.degraded.save_known(lambda: True)
        visit = await other.visit("a")
        assert (visit.degraded, visit.session_id, visit.head["n"]) == (True, session_id, 2)
        assert (await site.visit("a")).session_id == session_id


async def test_an_agent_gets_no_session_again_that_it_has_left_or_ended(site: Site) -> None:
    """A process began another session for it, before it was recorded that the agent had one. It has ended that one."""
    async with site.another(proxied=True) as other:
        left = await site.new_session("a")
        await site.apply(left, 1)
        await site.redis_away()
        ended = (await other.visit("a")).session_id
        await site.fallback.degraded.save_known(lambda: True)
        await other.apply(ended, 2)
        await other.manager.record_end(ended)
        await other.manager.agent_sessions.unmap("a", ended)
        with pytest.raises(Unreachable, match="agent a has no session"):
            await other.visit("a", create=False)
        assert (await other.visit("a")).session_id not in (left, ended)


async def test_what_a_process_knows_is_recorded_as_soon_as_redis_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "PAUSE_SECONDS", 3_600.0)
    async with asyncio.timeout(PATIENCE), site.manager.journal_watched():
        session_id = await site.new_session("a")
        await site.apply(session_id, 1)
        while not site.fallback.is_idle():  # it has looked into the journal, and pauses
            await asyncio.sleep(0.01)
        await site.redis_away()
        for _ in range(breaker.FAILURES):
            await site.visit("b")
        while await site.fallback.journal.entry(session_id) is None:
            await asyncio.sleep(0.01)
