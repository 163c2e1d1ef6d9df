"""Redis away: sessions go on in the journal, and everything is brought home afterwards, once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from support.fallback_site import Site
from support.mongo import MongoServer
from support.proxy import Cut, Proxy, once, proxied
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import decode
from awictl.errors import HasEnded, RateLimited, Unreachable
from awictl.fallback import homecoming

T = TypeVar("T")
DATA = Path(__file__).parents[1] / "data"


async def eventually(work: Callable[[], Awaitable[T]]) -> T:
    """The result of an operation, once it does not fail any more because MongoDB is away."""
    while True:
        try:
            return await work()
        except Unreachable:
            await asyncio.sleep(0.05)


async def test_an_agent_goes_on_while_redis_is_away(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.apply(session_id, 1)
    await site.redis_away()
    visit = await site.visit("a")
    assert visit.degraded and visit.session_id == session_id
    assert visit.head["n"] == 1
    updated = await site.apply(session_id, 2)
    assert updated.degraded and updated.action is not None
    assert (await site.visit("a")).head["n"] == 2
    assert (await site.visit("a", diff=True)).last_delta["delta"] == {"n": 2}
    page = await site.manager.get_action_history(session_id)
    assert page.degraded and [one.get("op_id") for one in page.trajectory[:2]] == ["op_2", "op_1"]
    await site.redis_back()
    visit = await site.visit("a")
    assert not visit.degraded and visit.session_id == session_id and visit.head["n"] == 2
    assert site.op_ids(session_id) == ["op_1", "op_2"]
    assert site.document(session_id)["statistics"]["total_actions"] == 2
    assert await site.pending() == []


async def test_an_update_is_brought_home_before_the_next_one(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    for number in range(1, 4):
        assert (await site.apply(session_id, number)).degraded
    await site.redis_back()
    assert not (await site.apply(session_id, 4)).degraded
    assert site.op_ids(session_id) == ["op_1", "op_2", "op_3", "op_4"]


async def test_a_session_that_redis_has_lost_is_put_back(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.apply(session_id, 1)
    await site.archive(session_id)
    await site.redis_away()
    await site.apply(session_id, 2)
    site.valkey.raw.flushall()
    await site.redis_back()
    await site.manager.fallback.step()
    assert site.op_ids(session_id) == ["op_1", "op_2"]
    assert site.valkey.raw.get("AGENT:SESSION:a") == session_id.encode()
    assert 0 < site.valkey.raw.pttl(f"AWI:SESSION:{session_id}") <= site.manager.settings.session_ttl_ms
    assert (await site.visit("a")).head["n"] == 2


async def test_a_session_begins_while_redis_is_away(site: Site) -> None:
    await site.redis_away()
    visit = await site.visit("a")
    assert visit.degraded
    assert (await site.visit("a")).session_id == visit.session_id
    await site.apply(visit.session_id, 1)
    await site.redis_back()
    assert (await site.visit("a")).session_id == visit.session_id
    assert site.op_ids(visit.session_id) == ["op_1"]


async def test_requests_at_the_same_time_begin_one_session(site: Site) -> None:
    async with site.another(proxied=True) as other:
        await site.redis_away()
        await site.visit("b")  # so that neither opens its connection first
        await other.visit("b")
        visits = await asyncio.gather(*(one.visit("a") for one in (site, other) * 3))
        [session_id] = {one.session_id for one in visits}
        await site.redis_back()
        await site.fallback.step()
    found = {document["agent_id"]: document for document in site.documents()}
    assert found.keys() == {"a", "b"} and len(site.documents()) == 2
    assert found["a"]["session_id"] == session_id


async def test_both_versions_are_merged_if_the_session_went_on_in_redis(site: Site, mongo: MongoServer) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    async with site.another(fallback=False) as other:  # it can reach Redis, and knows nothing of the journal
        await other.apply(session_id, 2)
        await site.apply(session_id, 3)
        await other.apply(session_id, 4)
    await site.redis_back()
    assert not (await site.visit("a")).degraded
    assert site.op_ids(session_id) == ["op_2", "op_4", "op_1", "op_3"]
    document = site.document(session_id)
    assert [one["t"] for one in document["history"]["actions"]] == [0, 1, 2, 3, 4]
    assert document["n"] == 3


async def test_a_process_that_can_reach_redis_brings_home_what_another_one_has_journaled(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    async with site.another() as other:
        assert not (await other.apply(session_id, 2)).degraded
        assert (await other.visit("a")).head["n"] == 2
    assert site.op_ids(session_id) == ["op_1", "op_2"]


async def test_an_op_id_is_applied_once_across_the_switch(site: Site, proxy: Proxy) -> None:
    session_id = await site.new_session("a")
    await site.apply(session_id, 0)  # so that Redis has the script
    await site.redis_away(after_commit=True)  # Redis applies the next update, and its reply is lost
    updated = await site.apply(session_id, 1)
    assert updated.degraded
    assert site.op_ids(session_id) == ["op_0", "op_1"]
    again = await site.apply(session_id, 1)
    assert again.degraded and again.action is None
    await site.apply(session_id, 2)
    await site.redis_back()
    assert (await site.apply(session_id, 1)).action is None
    assert site.op_ids(session_id) == ["op_0", "op_1", "op_2"]


async def test_a_session_that_ends_while_redis_is_away_is_archived_when_it_is_back(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    assert await site.manager.record_end(session_id)
    with pytest.raises(HasEnded):
        await site.apply(session_id, 2)
    other = await site.visit("a")
    assert other.session_id != session_id
    await site.apply(other.session_id, 3)
    await site.redis_back()
    assert (await site.visit("a")).session_id == other.session_id
    assert site.op_ids(other.session_id) == ["op_3"]
    assert not site.valkey.raw.exists(f"AWI:SESSION:{session_id}")
    archived = await site.manager.get_archived_session(session_id)
    assert archived is not None and not archived.summary.active
    assert [one["action"] for one in archived.document["history"]["actions"]][-1] == "session_end"
    assert archived.document["history"]["actions"][-2]["op_id"] == "op_1"


async def test_what_an_ended_session_cannot_take_is_kept_aside(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    async with site.another() as other:
        await other.manager.end_session(session_id)
    await site.redis_back()
    assert (await site.visit("a")).session_id != session_id
    [kept] = await site.manager.fallback.journal.aside()
    assert (kept.session_id, kept.op_id) == (session_id, "op_1")
    assert "ended" in kept.reason
    assert await site.pending() == []
    counts = await site.manager.fallback.journal.counts()
    assert (counts.pending, counts.set_aside) == (0, 1)


async def test_without_either_server_nothing_is_written(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    with site.mongo_away(), pytest.raises(Unreachable, match="MongoDB"):
        await site.apply(session_id, 1)
    await site.redis_back()
    assert not (await eventually(lambda: site.apply(session_id, 2))).degraded
    assert site.op_ids(session_id) == ["op_2"]


async def test_two_processes_journal_one_session(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.archive(session_id)
    await site.redis_away()
    async with site.another(proxied=True) as other:
        for number in range(1, 7, 2):
            await site.apply(session_id, number)
            await other.apply(session_id, number + 1)
        assert (await other.visit("a")).head["n"] == 6
        await site.redis_back()
        assert (await site.visit("a")).head["n"] == 6
        assert site.op_ids(session_id) == [f"op_{number}" for number in range(1, 7)]
        await other.redis_back()
        assert not (await other.apply(session_id, 7)).degraded
    assert site.op_ids(session_id) == [f"op_{number}" for number in range(1, 8)]


async def test_a_second_outage_begins_from_where_the_session_is_then(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    await site.redis_back()
    await site.apply(session_id, 2)
    await site.redis_away()
    assert (await site.visit("a")).head["n"] == 2
    await site.apply(session_id, 3)
    await site.redis_back()
    assert (await site.visit("a")).head["n"] == 3
    assert site.op_ids(session_id) == ["op_1", "op_2", "op_3"]


async def test_actions_that_were_not_archived_survive_a_loss_of_redis_data(site: Site) -> None:
    session_id = await site.new_session("a")
    async with site.another(proxied=True) as other:
        await site.apply(session_id, 1)
        await site.archive(session_id)
        for number in range(2, 8):
            await (site, other)[number % 2].apply(session_id, number)
        await site.redis_away()
        site.valkey.raw.flushall()
        for one in (site, other):
            assert one.fallback.known.actions(session_id)
            await one.fallback.degraded.save_known(lambda: True)
        assert (await site.visit("a")).head["n"] == 7
        await site.apply(session_id, 8)
        await site.redis_back()
        await site.fallback.step()
    assert site.op_ids(session_id) == [f"op_{number}" for number in range(1, 9)]
    document = site.document(session_id)
    assert [one["t"] for one in document["history"]["actions"]] == list(range(9))
    assert document["n"] == 8 and "trimmed_actions" not in document["history"]
    assert document["statistics"]["total_actions"] == 8


async def test_a_process_that_knows_a_newer_version_contributes_it(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.archive(session_id)
    async with site.another(proxied=True) as other:
        await other.apply(session_id, 1)  # which this process does not know
        await site.redis_away()
        await site.apply(session_id, 2)
        assert "op_1" not in str((await site.manager.get_action_history(session_id)).trajectory)
        assert (await other.visit("a")).head["n"] == 2
        await other.apply(session_id, 3)
        page = await site.manager.get_action_history(session_id)
        assert [one["t"] for one in page.trajectory] == [3, 2, 1, 0]
        await site.redis_back()
        await site.visit("a")
    assert site.op_ids(session_id) == ["op_1", "op_2", "op_3"]


async def test_a_lost_reply_of_mongodb_applies_an_update_once(
    site: Site, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    async with proxied(mongo) as between:
        settings = replace(site.manager.settings, mongodb_uri=between.settings().mongodb_uri)
        async with StateManager.open(settings) as manager:
            other = Site(manager, valkey, site.proxy, mongo)
            session_id = await other.new_session("a")
            await site.redis_away()
            assert (await other.apply(session_id, 1)).degraded
            between.rule = once(Cut.REPLY, *between.update_with("op_2"))
            assert (await other.apply(session_id, 2)).degraded
            assert between.cuts[Cut.REPLY] == 1
            await other.redis_back()
            await other.visit("a")
    assert site.op_ids(session_id) == ["op_1", "op_2"]


async def test_what_too_few_replicas_have_acknowledged_is_not_home(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    await site.redis_back()
    async with StateManager.open(replace(site.manager.settings, wait_replicas=1, timeout=0.2)) as manager:
        assert manager.fallback is not None
        await manager.fallback.step()
    assert site.op_ids(session_id) == ["op_1"]
    assert await site.pending() == [session_id]
    await site.fallback.step()  # which waits for none
    assert site.op_ids(session_id) == ["op_1"]
    assert await site.pending() == []


async def test_a_session_that_goes_on_in_another_one_is_not_mapped_again(site: Site) -> None:
    """The agent went on with another session in Redis, through a process that could reach it."""
    await site.redis_away()
    journaled = (await site.visit("a")).session_id
    await site.apply(journaled, 1)
    async with site.another() as other:
        live = (await other.manager.create("a", "Agent a")).document["session_id"]
        await other.apply(live, 2)
    await site.redis_back()
    assert (await site.visit("a")).session_id == live
    assert (site.op_ids(journaled), site.op_ids(live)) == (["op_1"], ["op_2"])


async def test_a_session_that_began_later_than_that_in_redis_is_the_current_one(site: Site) -> None:
    live = await site.new_session("a")
    site.fallback.known.forget(live, "a")  # as a process that has not seen the agent yet
    await site.redis_away()
    journaled = (await site.visit("a")).session_id
    assert journaled != live
    await site.apply(journaled, 1)
    await site.redis_back()
    assert (await site.visit("a")).session_id == journaled
    assert site.valkey.raw.exists(f"AWI:SESSION:{live}")


async def test_an_update_that_another_sessions_agent_cannot_take_is_kept_aside(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.redis_away()
    await site.apply(session_id, 1)
    key = f"AWI:SESSION:{session_id}"
    site.valkey.raw.set(key, site.valkey.raw.get(key).replace(b'"agent_id":"a"', b'"agent_id":"b"'))
    await site.redis_back()
    await site.fallback.step()
    [kept] = await site.fallback.journal.aside()
    assert kept.op_id == "op_1" and "another agent" in kept.reason
    site.valkey.raw.set(key, b"not JSON")
    await site.redis_away()
    await site.apply(session_id, 2)
    await site.redis_back()
    await site.fallback.step()
    assert {one.op_id for one in await site.fallback.journal.aside()} == {"op_1", "op_2"}
    assert await site.pending() == []


async def test_a_lost_connection_begins_no_journal(site: Site, proxy: Proxy) -> None:
    session_id = await site.new_session("a")
    await proxy.close()
    assert not (await site.apply(session_id, 1)).degraded
    assert not (await site.visit("a")).degraded


async def test_an_old_dump_in_redis_is_replaced(site: Site) -> None:
    session_id = await site.new_session("a")
    await site.apply(session_id, 1)
    old = site.valkey.raw.dump(f"AWI:SESSION:{session_id}")
    for number in (2, 3):
        await site.apply(session_id, number)
    await site.archive(session_id)
    await site.redis_away()
    await site.apply(session_id, 4)
    site.valkey.raw.restore(f"AWI:SESSION:{session_id}", 60_000, old, replace=True)
    await site.redis_back()
    assert (await site.visit("a")).head["n"] == 4
    assert site.op_ids(session_id) == ["op_1", "op_2", "op_3", "op_4"]
    assert site.document(session_id)["statistics"]["total_actions"] == 4


async def test_many_actions_are_brought_home_in_batches_and_trimmed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homecoming, "BATCH_ACTIONS", 4)
    settings = replace(site.manager.settings, max_actions=10)
    async with StateManager.open(settings) as manager:
        small = Site(manager, site.valkey, site.proxy, site.mongo)
        session_id = await small.new_session("a")
        for number in range(1, 9):
            await small.apply(session_id, number)
        await site.redis_away()
        for number in range(9, 23):
            assert (await small.apply(session_id, number)).degraded
        async with site.another(fallback=False) as other:  # so that the actions get other numbers
            await other.apply(session_id, 100)
        await small.redis_back()
        assert (await small.visit("a")).head["n"] == 22
        assert len(small.op_ids(session_id)) <= 13
        await small.archive(session_id)
        archived = await manager.get_archived_session(session_id)
    assert archived is not None and not archived.summary.gaps
    actions = archived.document["history"]["actions"]
    expected = [*range(1, 9), 100, *range(9, 23)]
    assert [one["op_id"] for one in actions[1:]] == [f"op_{number}" for number in expected]
    assert [one["t"] for one in actions] == list(range(24))


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
async def test_a_session_of_the_app(site: Site, lost: bool) -> None:
    raw = (DATA / "session_04_over_100_actions.json").read_bytes()
    document = decode(raw)
    session_id, agent_id = document["session_id"], document["agent_id"]
    key = f"AWI:SESSION:{session_id}"
    site.valkey.raw.set(key, raw, px=60_000)
    site.valkey.raw.set(f"AGENT:SESSION:{agent_id}", session_id, px=60_000)
    if lost:
        await site.archive(session_id)
    else:
        assert (await site.visit(agent_id)).session_id == session_id
    await site.redis_away()
    if lost:
        site.valkey.raw.flushall()
    visit = await site.visit(agent_id)
    assert visit.degraded and visit.session_id == session_id
    assert (await site.apply(session_id, 1)).degraded
    await site.redis_back()
    await site.fallback.step()
    actions = site.document(session_id)["history"]["actions"]
    before = document["history"]["actions"]
    assert actions[: len(before)] == before
    assert [one.get("op_id") for one in actions[len(before) :]] == ["op_1"]
    total = document["statistics"]["total_actions"]
    assert site.document(session_id)["statistics"]["total_actions"] == total + 1


async def test_requests_are_counted_while_redis_is_away(site: Site) -> None:
    await site.redis_away()
    for left in (1, 0):
        assert (await site.visit("a", operation="get", limit=2)).rate_limit.remaining == left
    with pytest.raises(RateLimited):
        await site.visit("a", operation="get", limit=2)
    assert (await site.visit("a", operation="post", limit=2)).rate_limit.remaining == 1
