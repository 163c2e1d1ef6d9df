"""The contract of both archives: sessions are restored exactly; older, other and damaged versions are rejected."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archives import (
    NOW,
    Backend,
    MongoBackend,
    SqliteBackend,
    chunk,
    ended,
    incompressible,
    listed,
    mark_expired,
    overdue,
    saved,
    session,
    several,
    snapshot,
    stamp,
    trimmed,
)
from support.documents import AGENT_ID, APP_FILES, LAYOUTS, SESSION_ID, Layout, action, assert_same, compact, document

from awictl.archive.base import Archive, Archived, ArchiveQuery, Cursor, Shape
from awictl.archive.chunks import Chunk
from awictl.archive.decision import Outdated
from awictl.archive.trajectory import ActionCount
from awictl.document.json_codec import dumps
from awictl.errors import InvalidData, Refused


@pytest.fixture(params=["sqlite", "mongo"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty backend of each kind."""
    if request.param == "mongo":
        return MongoBackend(request.getfixturevalue("mongo"))
    folder = tmp_path / "archive of the tests?#%41"
    folder.mkdir()
    return SqliteBackend(folder / "archive.db")


async def loaded(archive: Archive, session_id: str = SESSION_ID) -> dict[str, Any]:
    """Return the document of an archived session."""
    found = await archive.load(session_id)
    assert found is not None
    return found.document


# -- sessions are restored exactly


@pytest.mark.parametrize("file", APP_FILES, ids=lambda file: file.stem)
async def test_documents_that_the_app_wrote_are_restored(archive: Archive, file: Path) -> None:
    original = json.loads(file.read_bytes())
    await saved(archive, snapshot(original, raw=file.read_bytes()))
    found = await archive.load(original["session_id"])
    assert found is not None and found.original is None
    assert found.raw == file.read_bytes()
    assert_same(found.document, original)
    statistics = original["statistics"]
    summary = found.summary
    assert (summary.session_id, summary.agent_id) == (original["session_id"], AGENT_ID)
    assert (summary.agent_name, summary.route) == (original["agent_name"], original["page_state"]["route"])
    assert (summary.active, summary.ended_at, summary.shape) == (True, None, Shape.AWICTL)
    assert summary.row()["started_at"] == statistics["session_start"]
    assert summary.row()["last_activity_at"] == statistics["last_activity"]
    assert summary.total_actions == statistics["total_actions"]
    assert summary.successful_actions == statistics["successful_actions"]
    assert summary.failed_actions == statistics["failed_actions"]
    assert summary.bytes == len(file.read_bytes())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
async def test_each_layout_is_restored(archive: Archive, layout: Layout) -> None:
    original = ended(document([3, 500, 20]))
    await saved(archive, snapshot(original, raw=layout(original)))
    found = await archive.load(SESSION_ID)
    assert found is not None and found.raw == layout(original)
    assert_same(found.document, original)
    assert found.summary.ended_at is not None and not found.summary.active


keys = st.sampled_from(["", ".", "a.b", "$", "$set", "\0", "_id", "😀", "\u2028", "\ud800", "0"]) | st.text(max_size=4)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | keys
scalars |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def test_generated_documents_are_restored(backend: Backend) -> None:
    @settings(max_examples=1, deadline=None, database=None)
    @given(st.lists(st.tuples(values, values, values), min_size=150, max_size=150))
    def generated(parts: list[tuple[Any, Any, Any]]) -> None:
        made.extend(parts)

    async def check() -> None:
        originals = {}
        for number, (anywhere, page, given_input) in enumerate(made):
            one = session(2, f"sess_{number}", extra=anywhere)
            one["page_state"] |= {"filters": page, "a.b": {"$x": page}}
            one["history"]["actions"][1] |= {"input": given_input, "observation": anywhere}
            originals[one["session_id"]] = one
        async with several(backend, 1) as [archive]:
            await saved(archive, *(snapshot(one, raw=dumps(one)) for one in originals.values()))
            for session_id, original in originals.items():
                found = await archive.load(session_id)
                assert found is not None and found.raw == dumps(original)
                assert_same(found.document, original, session_id)

    made: list[tuple[Any, Any, Any]] = []
    generated()
    asyncio.run(check())


HARD: dict[str, Any] = {
    "u64": {"max": 2**64 - 1, "i64": 2**63 - 1, "min": -(2**63), "edge": 2**53 + 1},
    "floats": [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1.0, 1e16],
    "dots and dollars": {"a.b": {"$set": {"": 1, ".": 2, "..": 3, "$": 4}}, "$where": "1"},
    "null keys": {"\0": "\0", "": None, "a\0b": [None, {}, [], ""]},
    "emoji": {"😀": "👩‍👩‍👧‍👦\u2028\u2029", "é": "e\u0301"},
    "surrogates": ["\ud83d", "\udc00\ud83d", {"\ud800": 1}],
    "nested": [[[[[[{"a": [[[[{}]]]]}]]]]]],
    "both spellings": {"a.b": 1, "a．b": 2, "$x": 3, "＄x": 4},
    "extended json": {"$oid": AGENT_ID, "$date": "2026-01-01T00:00:00Z", "$numberLong": "5"},
    "own fields": {"awi": {"packed": "x"}, "sessionId": "sess_other", "_id": 5},
}


@pytest.mark.parametrize("value", HARD.values(), ids=HARD.keys())
async def test_values_that_are_hard_to_store_are_restored(archive: Archive, value: Any) -> None:
    original = session(3, extra=value, user_id=value)
    original["page_state"] |= {"filters": value, "route": value}
    original["history"]["actions"][1] |= {"input": value, "observation": value, "delta": value}
    await saved(archive, snapshot(original, raw=dumps(original)))
    found = await archive.load(SESSION_ID)
    assert found is not None and found.raw == dumps(original)
    assert_same(found.document, original)
    assert len(await listed(archive)) == 1


async def test_deep_nesting_is_restored(archive: Archive) -> None:
    value: Any = {"inmost": 1}
    for _ in range(200):
        value = {"a.b": value}
    original = session(2, extra=value)
    original["history"]["actions"][0]["input"] = value
    await saved(archive, snapshot(original))
    assert_same(await loaded(archive), original)


@pytest.mark.soak
async def test_a_hundred_thousand_actions_are_restored(archive: Archive) -> None:
    original = session(0)
    actions = [{"t": t, "action": "scroll", "input": {"y": t}, "success": t % 9 > 0} for t in range(100_000)]
    original["history"] = {"actions": actions, "last_action": actions[-1]}
    await saved(archive, snapshot(original, raw=dumps(original)))
    found = await archive.load(SESSION_ID)
    assert found is not None and found.raw == dumps(original)
    assert found.document == original, "assert_same would take too long"
    [summary] = [one async for one in archive.find(ArchiveQuery(), action_counts=True)]
    assert summary.action_counts == {"scroll": ActionCount(100_000, len(range(0, 100_000, 9)))}


@pytest.mark.soak
async def test_a_trajectory_over_16_mb_is_restored(archive: Archive, backend: Backend) -> None:
    original = incompressible(170, 100_000)
    large = snapshot(original)
    assert len(large.raw) > 16 * 1024 * 1024
    await saved(archive, large)
    found = await archive.load(SESSION_ID)
    assert found is not None and found.raw == large.raw and found.document == original
    if isinstance(backend, MongoBackend):
        assert backend.parts.count_documents({"digest": large.digest}) >= 2
    longer = session(171)
    longer["history"]["actions"] = [*original["history"]["actions"], longer["history"]["actions"][-1]]
    await saved(archive, snapshot(longer))
    assert await loaded(archive) == longer
    if isinstance(backend, MongoBackend):
        assert backend.parts.count_documents({"digest": large.digest}) == 0, "the parts were deleted"
    else:
        assert len(backend.stored()) == 1


async def test_a_session_that_is_not_archived(archive: Archive) -> None:
    await saved(archive, snapshot(session(1)))
    assert await archive.load("sess_other") is None
    assert await archive.load_trimmed_actions("sess_other", AGENT_ID) == []
    assert (await archive.ping())["latency_ms"] > 0


# -- which version is kept


async def test_saving_the_same_again_changes_nothing(archive: Archive, backend: Backend) -> None:
    one = snapshot(session(3), ttl_ms=60_000)
    await saved(archive, one)
    before = backend.stored()
    for _ in range(3):
        await saved(archive, one)
    assert backend.stored() == before and len(before) == 1


async def test_a_newer_version_replaces_an_older_one(archive: Archive, backend: Backend) -> None:
    for updates in (1, 2, 5):
        await saved(archive, snapshot(session(updates)))
        assert_same(await loaded(archive), session(updates))
    await saved(archive, snapshot(ended(session(5))))
    assert_same(await loaded(archive), ended(session(5)))
    assert len(backend.stored()) == 1


async def test_an_older_version_is_outdated(archive: Archive, backend: Backend) -> None:
    await saved(archive, snapshot(ended(session(5))))
    before = backend.stored()
    for updates in (5, 4, 1):
        [(_, error)] = (await archive.save([snapshot(session(updates), ttl_ms=1000)])).items()
        assert isinstance(error, Outdated) and archive.where in str(error)
    assert backend.stored() == before


@pytest.mark.parametrize(
    "others",
    [
        {"current_url": "/x"},
        {"agent_id": "another"},
        {"statistics": {"session_start": stamp(5)}, "history": {"actions": [action(0, 1)], "last_action": None}},
    ],
    ids=str,
)
async def test_other_content_under_one_id_does_not_replace_it_at_once(
    archive: Archive, backend: Backend, others: dict[str, Any]
) -> None:
    await saved(archive, snapshot(session(3)))
    before = backend.stored()
    [(_, error)] = (await archive.save([snapshot(session(3, **others))])).items()
    assert isinstance(error, Refused)
    assert backend.stored() == before


async def test_each_session_of_a_batch_has_its_own_outcome(archive: Archive) -> None:
    await saved(archive, snapshot(session(3, "sess_old")), snapshot(session(3, "sess_clash")))
    results = await archive.save(
        [
            snapshot(session(2, "sess_old")),
            snapshot(session(3, "sess_clash", extra=1)),
            snapshot(session(3, "sess_new")),
            snapshot(session(4, "sess_newer")),
        ]
    )
    assert isinstance(results["sess_old"], Outdated) and isinstance(results["sess_clash"], Outdated)
    assert results["sess_new"] is results["sess_newer"] is None
    assert {one.session_id for one in await listed(archive)} == {"sess_old", "sess_clash", "sess_new", "sess_newer"}


async def test_a_session_with_an_oversized_field_is_archived_with_the_others(archive: Archive) -> None:
    """An agent with a very long name must not block the archiving of a whole batch."""
    large = session(1, "sess_large", agent_name="x" * 17_000_000)
    results = await archive.save([snapshot(large), snapshot(session(1, "sess_small"))])
    assert results == {"sess_large": None, "sess_small": None}
    assert (await loaded(archive, "sess_large"))["agent_name"] == large["agent_name"]


async def test_twenty_concurrent_writers_leave_the_newest_version(backend: Backend) -> None:
    async with several(backend, 20) as archives:
        chance = random.Random(3)
        async with asyncio.TaskGroup() as group:
            order = list(range(1, 21))
            chance.shuffle(order)
            tasks = [
                group.create_task(one.save([snapshot(session(updates))]))
                for one, updates in zip(archives, order, strict=True)
            ]
        for updates, task in zip(order, tasks, strict=True):
            error = task.result()[SESSION_ID]
            assert error is None or isinstance(error, Outdated), (updates, error)
        assert tasks[order.index(20)].result()[SESSION_ID] is None
        assert_same(await loaded(archives[0]), session(20))
        assert len(backend.stored()) == 1, "no duplicate"


async def test_twenty_concurrent_writers_of_the_same_version(backend: Backend) -> None:
    async with several(backend, 20) as archives:
        batch = [snapshot(session(3, f"sess_{number}")) for number in range(10)]
        results = await asyncio.gather(*(one.save(batch) for one in archives))
        assert all(set(one.values()) == {None} for one in results)
        assert len(backend.stored()) == 10


# -- damage


async def test_damage_is_detected_and_repaired_by_the_next_save(archive: Archive, backend: Backend) -> None:
    original = session(30)
    await saved(archive, snapshot(original))
    before = backend.stored()
    backend.damage(SESSION_ID)
    assert backend.stored() != before
    with pytest.raises(InvalidData, match="damaged") as raised:
        await archive.load(SESSION_ID)
    assert SESSION_ID in str(raised.value) and archive.where in str(raised.value)
    assert len(await listed(archive)) == 1, "a listing reads only the metadata"
    await saved(archive, snapshot(original))
    assert_same(await loaded(archive), original)
    assert backend.stored() == before


async def test_a_damaged_version_is_not_replaced_by_an_older_one(archive: Archive, backend: Backend) -> None:
    await saved(archive, snapshot(session(5)))
    backend.damage(SESSION_ID)
    [(_, error)] = (await archive.save([snapshot(session(4))])).items()
    assert isinstance(error, Outdated)
    await saved(archive, snapshot(session(6)))
    assert_same(await loaded(archive), session(6))


async def test_damage_does_not_affect_other_sessions(archive: Archive, backend: Backend) -> None:
    await saved(archive, snapshot(session(2, "sess_a")), snapshot(session(2, "sess_b")))
    backend.damage("sess_a")
    assert_same(await loaded(archive, "sess_b"), session(2, "sess_b"))
    await saved(archive, snapshot(session(3, "sess_b")), snapshot(session(2, "sess_a")))
    assert_same(await loaded(archive, "sess_a"), session(2, "sess_a"))


async def test_damaged_chunks_are_skipped_with_a_warning(
    archive: Archive, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """The other actions are returned, with the number of those that are missing."""
    rest, gone = trimmed(8, 5)
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(0, gone))
    await saved(archive, snapshot(rest))
    backend.damage_actions(SESSION_ID)
    assert await archive.load_trimmed_actions(SESSION_ID, AGENT_ID) == []
    assert "damaged" in caplog.text and SESSION_ID in caplog.text
    history = (await loaded(archive))["history"]
    assert (history["trimmed_actions"], [one["t"] for one in history["actions"]]) == (5, [5, 6, 7])
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(0, gone))
    assert [one["t"] for one in (await loaded(archive))["history"]["actions"]] == list(range(8))


# -- trimmed actions


async def test_trimmed_actions_are_restored(archive: Archive) -> None:
    rest, gone = trimmed(12, 9)
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(0, gone[:4]))
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(4, gone[4:]))
    await saved(archive, snapshot(rest))
    found = await archive.load(SESSION_ID)
    assert found is not None and found.raw == compact(rest), "the bytes are those that were in Redis"
    assert_same(found.document, session(12))


async def test_actions_that_were_trimmed_since_the_newest_snapshot_are_loaded(archive: Archive) -> None:
    """The session may have vanished since, so that there will be no other snapshot."""
    whole = session(8)
    await saved(archive, snapshot(session(3)))
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(0, whole["history"]["actions"][:6]))
    assert (await loaded(archive))["history"]["actions"] == whole["history"]["actions"][:6]
    [many] = (await archive.load_many([SESSION_ID])).values()
    assert isinstance(many, Archived) and many.document == await loaded(archive)


async def test_chunks_may_overlap_and_be_repeated(archive: Archive, backend: Backend) -> None:
    rest, gone = trimmed(12, 9)
    given_chunks = [
        Chunk(0, gone[:4]),
        Chunk(2, gone[2:7]),
        Chunk(0, gone[:4]),
        Chunk(6, gone[6:]),
        Chunk(2, gone[2:7]),
    ]
    for one in given_chunks:
        await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, one)
    assert len(backend.stored()) == 3, "the same chunk is stored once"
    await saved(archive, snapshot(rest))
    assert_same(await loaded(archive), session(12))


async def test_concurrent_writers_of_trimmed_actions(backend: Backend) -> None:
    async with several(backend, 10) as archives:
        await asyncio.gather(
            *(
                one.save_trimmed_actions(SESSION_ID, AGENT_ID, chunk(start, 5))
                for one in archives
                for start in (0, 3, 5)
            )
        )
        rest, _ = trimmed(12, 10)
        await saved(archives[0], snapshot(rest))
        assert [one["t"] for one in (await loaded(archives[1]))["history"]["actions"]] == list(range(12))


async def test_missing_actions_are_counted(archive: Archive) -> None:
    rest, gone = trimmed(12, 9)
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(2, gone[2:5]))
    await saved(archive, snapshot(rest))
    history = (await loaded(archive))["history"]
    assert [one["t"] for one in history["actions"]] == [2, 3, 4, 9, 10, 11]
    assert history["trimmed_actions"] == 6


async def test_trimmed_actions_of_other_sessions_are_not_returned(archive: Archive) -> None:
    """Neither of another id nor of another agent under the same id."""
    rest, gone = trimmed(6, 3)
    await archive.save_trimmed_actions("sess_other", AGENT_ID, Chunk(0, gone))
    await archive.save_trimmed_actions(SESSION_ID, "another agent", Chunk(0, [action(t, 9) for t in range(3)]))
    await saved(archive, snapshot(rest))
    assert_same(await loaded(archive), rest)
    assert await archive.load_trimmed_actions(SESSION_ID, AGENT_ID) == []


@pytest.mark.parametrize("value", HARD.values(), ids=HARD.keys())
async def test_trimmed_actions_that_are_hard_to_store(archive: Archive, value: Any) -> None:
    gone = [{"t": 0, "action": "a", "input": value}, value, None]
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(0, gone))
    [found] = await archive.load_trimmed_actions(SESSION_ID, AGENT_ID)
    assert found.first == 0
    assert_same(list(found.actions), gone)


async def test_trimmed_actions_of_an_agent_id_that_is_not_valid_unicode(archive: Archive) -> None:
    """The app may store one that ends in half of an emoji."""
    rest, gone = trimmed(6, 3)
    rest["agent_id"] = "\ud83d"
    one = snapshot(rest, raw=dumps(rest))
    await archive.save_trimmed_actions(SESSION_ID, "\ud83d", Chunk(0, gone))
    await saved(archive, one)
    assert [action["t"] for action in (await loaded(archive))["history"]["actions"]] == list(range(6))


async def test_trimmed_actions_are_split_into_chunks(
    archive: Archive, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("awictl.archive.chunks.CHUNK_BYTES", 10_000)
    gone = incompressible(50, 1_000)["history"]["actions"]
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(3, gone))
    chunks = sorted(await archive.load_trimmed_actions(SESSION_ID, AGENT_ID), key=lambda one: one.first)
    assert len(chunks) >= 2 and len(backend.stored()) == len(chunks)
    assert [one for piece in chunks for one in piece.actions] == gone
    assert chunks[0].first == 3 and chunks[1].first == 3 + len(chunks[0].actions)


# -- listing

#: Number of sessions in the paging test; some have the same last activity, some have none.
MANY = 1_060


@pytest.fixture
async def many(archive: Archive) -> list[str]:
    """Archive many sessions. Returns their ids in the order of a listing."""
    snapshots = []
    order = []
    for number in range(MANY):
        session_id = f"sess_{number * 7919 % MANY:05}"
        last = stamp(number // 7) if number % 50 else None
        made = session(0, session_id, last_updated=None, agent_name=f"agent {number % 3}")
        made["statistics"]["last_activity"] = last
        snapshots.append(snapshot(made))
        order.append((last or "", session_id))
    for start in range(0, MANY, 100):
        await saved(archive, *snapshots[start : start + 100])
    return [session_id for _, session_id in sorted(order, reverse=True)]


async def test_pages_have_every_session_once_in_order(archive: Archive, many: list[str]) -> None:
    whole = await listed(archive)
    assert [one.session_id for one in whole] == many
    for size in (150, 500):
        after: Cursor | None = None
        found: list[str] = []
        while page := await listed(archive, after=after, limit=size):
            assert len(page) == min(size, MANY - len(found))
            found += [one.session_id for one in page]
            after = Cursor.parse(Cursor(page[-1].last_activity_at, page[-1].session_id).text)
        assert found == many
    for place in (0, 1, 500, MANY - 25, MANY - 2, MANY - 1):  # some with equal or missing times
        one = whole[place]
        after = Cursor(one.last_activity_at, one.session_id)
        assert [one.session_id for one in await listed(archive, after=after, limit=9)] == many[place + 1 :][:9]
    agent = ArchiveQuery(agent="agent 1")
    of_agent = [one.session_id for one in await listed(archive, agent)]
    assert of_agent == [one for one in many if one in set(of_agent)] and len(of_agent) == len(range(1, MANY, 3))
    middle = Cursor((await listed(archive, agent, limit=200))[-1].last_activity_at, of_agent[199])
    assert [one.session_id for one in await listed(archive, agent, middle)] == of_agent[200:]
    async with aclosing(archive.find(ArchiveQuery())) as finding:  # a listing may be abandoned
        assert (await anext(finding)).session_id == many[0]


async def test_a_limit_of_zero(archive: Archive) -> None:
    await saved(archive, snapshot(session(1)))
    assert await listed(archive, limit=0) == []


def at(seconds: float, session_id: str, *, failed: int = 0, **others: Any) -> Any:
    """Return the snapshot of a session with its last activity at this time."""
    made = session(1, session_id, **others)
    made["statistics"] |= {"last_activity": stamp(seconds), "failed_actions": failed}
    return snapshot(made)


async def ids(archive: Archive, **query: Any) -> list[str]:
    return [one.session_id for one in await listed(archive, ArchiveQuery(**query))]


async def test_filters(archive: Archive) -> None:
    other = "b" * 24
    await saved(
        archive,
        at(0, "sess_a", agent_name="Ada"),
        at(10, "sess_b", agent_id=other, agent_name="Bob", failed=2),
        at(10.001, "sess_c", agent_id="plain-id", agent_name="Ada", failed=1),
        at(20, "sess_d", agent_id="Ada", agent_name="$ne"),
    )
    assert await ids(archive) == ["sess_d", "sess_c", "sess_b", "sess_a"]
    assert await ids(archive, agent=AGENT_ID) == ["sess_a"]
    assert await ids(archive, agent=other) == ["sess_b"]
    assert await ids(archive, agent="plain-id") == ["sess_c"]
    assert await ids(archive, agent="Ada") == ["sess_d", "sess_c", "sess_a"], "by id or by name"
    assert await ids(archive, agent="$ne") == ["sess_d"]
    assert await ids(archive, agent="ada") == await ids(archive, agent="") == await ids(archive, agent="\0") == []
    assert await ids(archive, failed=True) == ["sess_c", "sess_b"]
    assert await ids(archive, since=NOW + timedelta(seconds=10)) == ["sess_d", "sess_c", "sess_b"]
    assert await ids(archive, until=NOW + timedelta(seconds=10)) == ["sess_a"]
    edge = NOW + timedelta(milliseconds=10_001)
    assert await ids(archive, since=edge) == ["sess_d", "sess_c"]
    assert await ids(archive, since=NOW + timedelta(seconds=10), until=edge) == ["sess_b"]
    assert await ids(archive, since=edge.astimezone(), failed=True, agent="Ada") == ["sess_c"]


@pytest.mark.parametrize("written", [AGENT_ID, AGENT_ID.upper()], ids=["lower", "upper"])
@pytest.mark.parametrize("asked", [AGENT_ID, AGENT_ID.upper()], ids=["for-lower", "for-upper"])
async def test_the_hex_digits_of_an_agent_id_match_in_either_case(archive: Archive, written: str, asked: str) -> None:
    await saved(archive, at(0, "sess_a", agent_id=written))
    assert await ids(archive, agent=asked) == ["sess_a"]
    [found] = await listed(archive)
    assert found.agent_id == written


async def test_an_agent_filter_that_is_not_valid_unicode_matches_nothing(archive: Archive) -> None:
    """Python decodes arguments that are not UTF-8 to lone surrogates."""
    await saved(archive, at(0, "sess_a"))
    assert await ids(archive, agent="\udcff") == []


async def test_sessions_without_a_last_activity_match_no_time_range(archive: Archive) -> None:
    made = session(1, "sess_never", last_updated=None)
    made["statistics"] = None
    await saved(archive, snapshot(made), at(0, "sess_a"))
    assert await ids(archive) == ["sess_a", "sess_never"]
    assert await ids(archive, since=NOW - timedelta(days=9999)) == ["sess_a"]
    assert await ids(archive, until=NOW + timedelta(days=9999)) == ["sess_a"]


@pytest.mark.parametrize("year", ["0001", "0999", "9999"])
async def test_the_years_1_999_and_9999(archive: Archive, year: str) -> None:
    """The year 1 is .NET's default date."""
    moment = f"{year}-01-01T00:00:00.000Z"
    for updates in (2, 3):
        made = session(updates)
        made["statistics"] |= {"session_start": moment, "last_activity": moment}
        await saved(archive, snapshot(made))
    await saved(archive, at(0, "sess_now"))
    [found] = [one for one in await listed(archive) if one.session_id == SESSION_ID]
    assert found.started_at == found.last_activity_at == datetime.fromisoformat(moment)
    order = ["sess_now", SESSION_ID] if year < "2026" else [SESSION_ID, "sess_now"]
    assert await ids(archive) == order


async def test_action_counts_on_request(archive: Archive) -> None:
    made = session(4)
    made["history"]["actions"][0]["action"] = "a.$b\0"
    made["history"]["actions"][3]["success"] = False
    await saved(archive, snapshot(made))
    [found] = [one async for one in archive.find(ArchiveQuery(), action_counts=True)]
    assert found.action_counts == {"a.$b\0": ActionCount(1, 0), "next_page": ActionCount(3, 1)}


async def test_listed_and_loaded_summaries_are_equal(archive: Archive) -> None:
    await saved(archive, *(at(number, f"sess_{number}", failed=number) for number in range(5)))
    for summary in await listed(archive):
        found = await archive.load(summary.session_id)
        assert found is not None and found.summary == summary


# -- sessions that expire

MINUTE = 60_000


async def test_expired_sessions_are_found_and_marked(archive: Archive) -> None:
    await saved(
        archive,
        snapshot(session(1, "sess_soon"), ttl_ms=2 * MINUTE),
        snapshot(session(1, "sess_sooner"), ttl_ms=MINUTE),
        snapshot(session(1, "sess_later"), ttl_ms=30 * MINUTE),
        snapshot(session(1, "sess_never")),
        snapshot(ended(session(1, "sess_ended")), ttl_ms=MINUTE),
    )
    assert await overdue(archive, NOW) == []
    then = NOW + timedelta(minutes=10)
    found = await overdue(archive, then)
    assert {one.session_id for one in found} == {"sess_sooner", "sess_soon"}
    assert await mark_expired(archive, found) == 2
    assert await overdue(archive, then) == []
    summaries = {one.session_id: one for one in await listed(archive)}
    for session_id, minutes in (("sess_sooner", 1), ("sess_soon", 2)):
        assert not summaries[session_id].active
        assert summaries[session_id].ended_at == NOW + timedelta(minutes=minutes), "the end is the expiry"
    assert summaries["sess_later"].active and summaries["sess_never"].active and not summaries["sess_ended"].active
    assert await mark_expired(archive, found) == await mark_expired(archive, []) == 0
    assert_same(await loaded(archive, "sess_soon"), session(1, "sess_soon"))


async def test_a_session_touched_since_is_not_marked(archive: Archive) -> None:
    await saved(archive, snapshot(session(1), ttl_ms=MINUTE))
    found = await overdue(archive, NOW + timedelta(minutes=5))
    await saved(archive, snapshot(session(1), ttl_ms=30 * MINUTE))
    assert await mark_expired(archive, found) == 0
    assert [one.active for one in await listed(archive)] == [True]
    assert await overdue(archive, NOW + timedelta(minutes=5)) == []
    [found] = await overdue(archive, NOW + timedelta(minutes=31))
    assert found.expires_at == NOW + timedelta(minutes=30)


async def test_a_session_updated_since_is_not_marked(archive: Archive) -> None:
    await saved(archive, snapshot(session(1), ttl_ms=MINUTE))
    found = await overdue(archive, NOW + timedelta(minutes=5))
    await saved(archive, snapshot(session(2), ttl_ms=MINUTE))
    assert await mark_expired(archive, found) == 0
    assert [one.active for one in await listed(archive)] == [True]
    found = await overdue(archive, NOW + timedelta(minutes=5))
    assert await mark_expired(archive, [replace(one, expires_at=NOW) for one in found]) == 0
    assert await mark_expired(archive, found) == 1


async def test_a_session_marked_too_early_becomes_active_again(archive: Archive) -> None:
    await saved(archive, snapshot(session(1), ttl_ms=MINUTE))
    assert await mark_expired(archive, await overdue(archive, NOW + timedelta(minutes=5))) == 1
    await saved(archive, snapshot(session(1), ttl_ms=30 * MINUTE, now=NOW + timedelta(minutes=5)))
    [summary] = await listed(archive)
    assert summary.active and summary.ended_at is None
    assert_same(await loaded(archive), session(1))


async def test_an_expiry_is_never_shortened(archive: Archive) -> None:
    await saved(archive, snapshot(session(1), ttl_ms=30 * MINUTE))
    await saved(archive, snapshot(session(1), ttl_ms=MINUTE))
    assert await overdue(archive, NOW + timedelta(minutes=29)) == []


# -- reading has no effect


async def test_reading_creates_nothing(archive: Archive, backend: Backend) -> None:
    assert await archive.load(SESSION_ID) is None
    assert await listed(archive) == await overdue(archive, NOW) == []
    assert await archive.load_trimmed_actions(SESSION_ID, AGENT_ID) == []
    assert await mark_expired(archive, []) == 0
    await archive.ping()
    assert backend.untouched()


async def test_reading_changes_nothing(archive: Archive, backend: Backend) -> None:
    await saved(archive, snapshot(session(3), ttl_ms=MINUTE))
    before = backend.stored()
    await archive.load(SESSION_ID)
    await listed(archive)
    await overdue(archive, NOW + timedelta(days=1))
    await archive.load_trimmed_actions(SESSION_ID, AGENT_ID)
    assert backend.stored() == before
