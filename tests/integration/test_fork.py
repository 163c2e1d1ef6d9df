"""Forks: a new live session of any moment of another one, which stays as it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from support.documents import APP_FILES, put
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import NotFound, ReadOnly, Refused, StateManager, TooLarge
from awictl.archive.transfer import Transfer
from awictl.document.byte_layout import encode
from awictl.document.history.moments import Moment
from awictl.document.schema import FORKED_FROM, SESSION_END
from awictl.document.verification.verify import verify
from awictl.sessions.fork import Forked

APP_CUT = json.loads(APP_FILES[-1].read_text(encoding="utf-8"))


@pytest.fixture(params=["redis", "mongo"])
async def manager(
    request: pytest.FixtureRequest, valkey: ValkeyServer, mongo: MongoServer
) -> AsyncIterator[StateManager]:
    """A manager with an archive, and with live sessions in Redis or in MongoDB."""
    settings = valkey.settings(mongodb_uri=mongo.uri)
    async with StateManager.open(replace(settings, use_redis=request.param == "redis")) as opened:
        yield opened


async def lived(manager: StateManager, actions: int = 5, agent_id: str = "a") -> str:
    """A session of so many actions after its start, of which the third one failed."""
    session_id: str = (await manager.initialize_session(agent_id, "Agent", "/posts"))["session_id"]
    for n in range(1, actions + 1):
        delta = {"page_state": {"filters": {"n": n}}, "notes": {f"n{n}": n}}
        await manager.apply(session_id, delta, {"success": n != 3})
    return session_id


async def whole_document(manager: StateManager, session_id: str) -> dict[str, Any]:
    document = await manager.get_session_state(session_id)
    assert document is not None
    return document


def own_parts(document: dict[str, Any]) -> dict[str, Any]:
    """What a fork has in common with its original."""
    return {name: value for name, value in document.items() if name not in ("session_id", FORKED_FROM)}


async def check_sound(manager: StateManager, forked: Forked) -> None:
    """It is stored as reported, its history explains its state, it can go on, and it can be archived."""
    session_id = forked.document["session_id"]
    assert await whole_document(manager, session_id) == forked.document
    whole = await manager.time_travel.whole(session_id)
    stored = await manager.read_session(session_id)
    assert stored.raw == encode(forked.document)
    assert not verify(session_id, whole.document, raw=stored.raw, steps=whole.steps).differences
    before = whole.timeline.last
    updated = await manager.apply(session_id, {"page_state": {"filters": {"n": "new"}}})
    assert updated.action is not None and updated.action["t"] == before + 1
    assert updated.head[FORKED_FROM] == forked.document[FORKED_FROM]
    ended = await manager.end_session(session_id)
    assert ended.archive is not None
    archived = await manager.time_travel.whole(session_id)
    assert [one.action for one in archived.steps[:-2]] == [one.action for one in whole.steps]
    assert archived.archived is not None and archived.archived.snapshot is not None
    snapshot = archived.archived.snapshot
    assert not verify(session_id, snapshot.document, raw=snapshot.raw, steps=archived.steps).differences
    again = archived.timeline.state_at(before)
    is_known = not any(one.startswith("/page_state/filters") for one in again.unknown)
    assert again.head["page_state"] == forked.document["page_state"] or not is_known


async def test_a_fork_of_the_newest_action_equals_the_original(manager: StateManager) -> None:
    session_id = await lived(manager)
    original, before = await whole_document(manager, session_id), await manager.read_session(session_id)
    forked = await manager.forks.fork(session_id)
    assert own_parts(forked.document) == own_parts(original)
    assert forked.document[FORKED_FROM] == {"session_id": session_id, "t": 5, "ordinal": 5}
    assert forked.document["session_id"] not in (session_id, None) and forked.previous is None
    after = await manager.read_session(session_id)
    assert after.raw == before.raw and 0 <= (before.ttl_ms or 0) - (after.ttl_ms or 0) < 60_000
    assert await manager.find_session_for_agent("a") == session_id, "the agent stays where it is"
    await check_sound(manager, forked)
    assert await manager.find_session_for_agent("a") == session_id
    assert (await manager.read_session(session_id)).raw == before.raw


async def test_a_fork_of_an_earlier_action(manager: StateManager) -> None:
    session_id = await lived(manager)
    forked = await manager.forks.fork(session_id, 3, ttl_ms=7_200_000)
    document = forked.document
    assert document["page_state"]["filters"] == {"n": 3} and document["notes"] == {"n1": 1, "n2": 2, "n3": 3}
    assert [one["t"] for one in document["history"]["actions"]] == [0, 1, 2, 3]
    assert document["history"]["last_action"]["t"] == 3
    counts = {"total_actions": 3, "successful_actions": 2, "failed_actions": 1}
    assert {name: document["statistics"][name] for name in counts} == counts
    assert document["last_updated"] == document["history"]["last_action"]["timestamp"]
    ttl = (await manager.read_session(document["session_id"])).ttl_ms
    assert ttl is not None and 7_000_000 < ttl <= 7_200_000
    await check_sound(manager, forked)


async def test_an_agent_goes_on_in_the_fork(manager: StateManager) -> None:
    session_id = await lived(manager)
    other = await lived(manager, 1, "b")
    forked = await manager.forks.fork(session_id, "2", agent_id="b")
    new_id = forked.document["session_id"]
    assert forked.previous == other and await manager.find_session_for_agent("b") == new_id
    assert (forked.document["agent_id"], forked.document["agent_name"]) == ("b", "b")
    assert await manager.find_session_for_agent("a") == session_id
    again = await manager.forks.fork(session_id, agent_id="a")
    assert again.previous == session_id and again.document["agent_name"] == "Agent"
    await check_sound(manager, forked)


async def test_ended_sessions(manager: StateManager) -> None:
    session_id = await lived(manager)
    await manager.end_session(session_id)
    archived = await manager.get_archived_session(session_id)
    assert archived is not None
    for moment in (None, Moment(ordinal=6), Moment(ordinal=5)):
        forked = await manager.forks.fork(session_id, moment)
        assert forked.document[FORKED_FROM]["ordinal"] == 5 and "session_end" not in forked.document["statistics"]
        assert forked.document["history"]["actions"] == archived.document["history"]["actions"][:-1]
    again = await manager.get_archived_session(session_id)
    assert again is not None and again.raw == archived.raw
    await check_sound(manager, forked)


async def test_a_session_that_went_on_after_its_end(manager: StateManager) -> None:
    session_id = await lived(manager, 2)
    await manager.end_session(session_id)
    await manager.restore_session(session_id)
    await manager.apply(session_id, {"x": 1})
    forked = await manager.forks.fork(session_id)
    assert [one["action"] for one in forked.document["history"]["actions"]][3] == SESSION_END
    assert own_parts(forked.document) == own_parts(await whole_document(manager, session_id))
    await check_sound(manager, forked)
    assert (await manager.forks.fork(session_id, Moment(ordinal=3))).state.ordinal == 2


async def test_actions_that_the_document_lacks_are_archived(valkey: ValkeyServer, mongo: MongoServer) -> None:
    settings = valkey.settings(mongodb_uri=mongo.uri, max_actions=10)
    async with StateManager.open(settings) as manager:
        session_id = await lived(manager, 25)
        stored = await whole_document(manager, session_id)
        assert len(stored["history"]["actions"]) <= 10
        forked = await manager.forks.fork(session_id)
        assert own_parts(forked.document) == own_parts(stored)
        assert forked.archived == 26 - len(stored["history"]["actions"]) and not forked.lost
        await check_sound(manager, forked)
        early = await manager.forks.fork(session_id, Moment(ordinal=12))
        assert [one["t"] for one in early.document["history"]["actions"]] == [*range(3, 13)] and early.archived == 3
        assert early.document["history"]["trimmed_actions"] == 3
        await check_sound(manager, early)
        assert (await manager.forks.fork(session_id, Moment(ordinal=4))).archived == 0


async def test_a_session_that_the_app_cut(manager: StateManager) -> None:
    session_id = APP_CUT["session_id"]
    await manager.store.put(session_id, None, json.dumps(APP_CUT).encode(), 1_800_000)
    forked = await manager.forks.fork(session_id)
    assert own_parts(forked.document) == own_parts(APP_CUT)
    await check_sound(manager, forked)
    early = await manager.forks.fork(session_id, Moment(ordinal=110), allow_unknown=True)
    assert early.document["history"]["trimmed_actions"] == 27 and len(early.document["history"]["actions"]) == 84
    assert early.document["statistics"]["total_actions"] == 110
    await check_sound(manager, early)


async def test_what_is_unknown_is_not_invented(manager: StateManager) -> None:
    session_id = await lived(manager)
    document = await whole_document(manager, session_id)
    history = {**document["history"], "trimmed_actions": 2, "actions": document["history"]["actions"][2:]}
    cut_id = "sess_cut"
    cut = {**document, "session_id": cut_id, "history": history}
    await manager.store.put(cut_id, None, encode(cut), 1_800_000)
    with pytest.raises(Refused, match=r"unknown after action 2.*/notes/n3.*--allow-unknown, or fork at action 5") as no:
        await manager.forks.fork(cut_id, Moment(ordinal=2))
    assert "/notes" in str(no.value)
    forked = await manager.forks.fork(cut_id, Moment(ordinal=2), allow_unknown=True)
    assert forked.document[FORKED_FROM]["unknown"] == forked.unknown and "n3" not in forked.document["notes"]
    assert forked.document["page_state"]["filters"] == {"n": 2}
    await check_sound(manager, forked)
    with pytest.raises(NotFound, match="no action 1"):
        await manager.forks.fork(cut_id, Moment(ordinal=1))


async def test_what_the_app_archived(manager: StateManager, mongo: MongoServer) -> None:
    """The app keeps only a part of a session when it archives it."""
    documents = mongo.put_app_documents()
    session_id = next(iter(documents))
    with pytest.raises(Refused, match=r"only a part of the session was kept.*--allow-unknown$"):
        await manager.forks.fork(session_id)
    before = [*mongo.sessions.find()]
    forked = await manager.forks.fork(session_id, allow_unknown=True)
    assert forked.document[FORKED_FROM]["unknown"] and forked.document["history"]["actions"]
    updated = await manager.apply(forked.document["session_id"], {"x": 1})
    assert updated.head["x"] == 1 and [*mongo.sessions.find()] == before


async def test_a_gap_in_the_archive_stays_a_gap(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """The document of a fork has no gap: what is before it is in the archive."""
    settings = valkey.settings(mongodb_uri=mongo.uri, max_actions=10)
    async with StateManager.open(settings) as manager:
        session_id = await lived(manager, 5)
        transfer = Transfer(manager.store, manager.required_archive())
        await transfer.archive([session_id])
        document = await whole_document(manager, session_id)
        # another writer cuts it, and adds 6 actions, of which it keeps only the last 3
        last = document["history"]["last_action"]
        actions = [{**last, "t": t, "op_id": f"x{t}", "delta": {"x": t}} for t in range(9, 12)]
        statistics = {**document["statistics"], "total_actions": 11, "successful_actions": 10}
        history = {"last_action": actions[-1], "trimmed_actions": 9, "actions": actions}
        put(valkey, encode({**document, "x": 11, "statistics": statistics, "history": history}), session_id)
        await manager.end_session(session_id)
        whole = await manager.time_travel.whole(session_id)
        assert whole.timeline.gaps == ((6, 8),)
        forked = await manager.forks.fork(session_id)
        assert [one["t"] for one in forked.document["history"]["actions"]] == [9, 10, 11] and forked.archived == 6
        assert (await manager.time_travel.whole(forked.document["session_id"])).timeline.gaps == ((6, 8),)
        # before the gap, nothing is known that no action sets
        early = await manager.forks.fork(session_id, Moment(ordinal=2), allow_unknown=True)
        assert "/agent_name" in early.unknown and "agent_name" not in early.document
        damaged = {**early.document, "page_state": {**early.document["page_state"], "filters": {"n": 1}}}
        [difference] = verify(early.document["session_id"], damaged).differences
        assert difference.pointer == "/page_state/filters/n"
        again = await manager.forks.fork(early.document["session_id"], Moment(ordinal=2))
        assert again.document[FORKED_FROM]["unknown"] == early.unknown
        await check_sound(manager, again)
        # what is set since then is checked again
        await manager.apply(early.document["session_id"], {"agent_name": "Other"})
        damaged = await whole_document(manager, early.document["session_id"]) | {"agent_name": "Damaged"}
        [difference] = verify(early.document["session_id"], damaged).differences
        assert difference.pointer == "/agent_name"


async def test_what_may_have_ended_in_a_gap_is_no_damage(valkey: ValkeyServer, mongo: MongoServer) -> None:
    settings = valkey.settings(mongodb_uri=mongo.uri, max_actions=10)
    async with StateManager.open(settings) as manager:
        session_id = await lived(manager, 4)
        await manager.end_session(session_id)
        await manager.restore_session(session_id)
        document = await whole_document(manager, session_id)
        actions = [{**document["history"]["actions"][1], "t": t, "op_id": f"x{t}", "delta": {}} for t in range(9, 12)]
        statistics = {**document["statistics"], "total_actions": 10, "successful_actions": 9}
        history = {"last_action": actions[-1], "trimmed_actions": 9, "actions": actions}
        put(valkey, encode({**document, "statistics": statistics, "history": history}), session_id)
        await manager.end_session(session_id)
        forked = await manager.forks.fork(session_id, Moment(ordinal=10), allow_unknown=True)
        assert forked.unknown == [] and "session_end" not in forked.document["statistics"]
        assert (await manager.verifier.verify(forked.document["session_id"])).differences == []
        await check_sound(manager, forked)


async def test_nothing_is_written(manager: StateManager) -> None:
    session_id = await lived(manager)
    before = [one async for one in manager.list_sessions()]
    forked = await manager.forks.fork(session_id, agent_id="b", dry_run=True)
    assert own_parts(forked.document)["page_state"] == before[0].head["page_state"]
    async with StateManager.open(replace(manager.settings, read_only=True)) as reader:
        with pytest.raises(ReadOnly):
            await reader.forks.fork(session_id)
        assert (await reader.forks.fork(session_id, dry_run=True)).document["history"]
    async with StateManager.open(
        replace(manager.settings, max_document_bytes=len(encode(forked.document)) - 1)
    ) as small:
        with pytest.raises((TooLarge, NotFound), match="bytes"):
            await small.forks.fork(session_id, agent_id="a-much-longer-id-than-the-one-before")
    assert [one.session_id async for one in manager.list_sessions()] == [session_id]
    assert await manager.find_session_for_agent("b") is None
