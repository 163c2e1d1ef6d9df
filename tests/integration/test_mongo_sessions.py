"""How live sessions are kept in MongoDB: their bytes, their parts, their expiry, and documents that are damaged."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.documents import AGENT_ID, APP_FILES, LAYOUTS, SESSION_ID, compact, document, varied_sizes
from support.mongo import MongoServer

from awictl import InvalidData, Refused, Settings, TooLarge
from awictl.document.byte_layout import decode, encode
from awictl.document.splice import Base, base_from_string
from awictl.document.timestamps import timestamp
from awictl.document.update import Change, Update, apply_update
from awictl.errors import AwiError
from awictl.store.base import CommitOutcome, DeleteOutcome, Listed
from awictl.store.mongo import listing
from awictl.store.mongo.sessions import MongoStore

DAY = 86_400_000
#: Actions of a session that has parts.
MANY = 300


@pytest.fixture
async def store(mongo: MongoServer) -> AsyncIterator[MongoStore]:
    opened = MongoStore.open(Settings(mongodb_uri=mongo.uri))
    yield opened
    await opened.close()


def the_document(mongo: MongoServer, session_id: str = SESSION_ID) -> dict[str, Any]:
    found: dict[str, Any] | None = mongo.raw["awi_live_sessions"].find_one({"_id": session_id})
    assert found is not None
    return found


def change_document(mongo: MongoServer, session_id: str = SESSION_ID, **fields: Any) -> None:
    mongo.raw["awi_live_sessions"].update_one({"_id": session_id}, {"$set": fields})


def updated(base: Base, drop: int = 0, **fields: Any) -> Change:
    return apply_update(base, Update(**{"delta": {"n": 1}, **fields}), timestamp(), drop)


async def commit(store: MongoStore, change: Change | None = None, base: Base | None = None) -> CommitOutcome:
    base = base or await store.read_base(SESSION_ID)
    assert base is not None
    change = change or updated(base)
    return await store.commit(SESSION_ID, AGENT_ID, base, change, look_for_op_id=False)


async def raw_of(store: MongoStore) -> bytes:
    stored = await store.read(SESSION_ID)
    assert stored is not None
    return stored.raw


# -- bytes


STRINGS = {
    **{f"app {path.name}": path.read_bytes() for path in APP_FILES},
    **{f"awictl {path.name}": encode(decode(path.read_bytes())) for path in APP_FILES},
    "no actions": encode(document()),
    "5,000 actions": encode(document(varied_sizes(5_000, seed=1))),
    "5,000 actions of the app": compact(document(varied_sizes(5_000, seed=1))),
    "not JSON": b'{"session_id":',
    "not UTF-8": b"\xff\xfe",
    "empty": b"",
}


async def test_a_session_is_the_same_however_it_is_read(store: MongoStore) -> None:
    ids = {f"sess_{number}": raw for number, raw in enumerate(STRINGS.values())}
    for session_id, raw in ids.items():
        await store.put(session_id, None, raw, 60_000)
    many = await store.read_many([*ids, "sess_missing"])
    assert {one: found.raw for one, found in many.items() if not isinstance(found, AwiError)} == ids
    listed = {one.session_id: one async for batch in store.list_all(lambda one: one) for one in batch}
    fields = {one.session_id: one async for batch in store.list_fields() for one in batch}
    assert listed.keys() == fields.keys() == ids.keys()
    assert [one.session_id for one in await store.list([*ids, "sess_missing"])] == list(ids)
    for session_id, raw in ids.items():
        assert listed[session_id].bytes == fields[session_id].bytes == len(raw)
        try:
            expected = base_from_string(raw)
        except InvalidData:
            assert listed[session_id].error and fields[session_id].error
            with pytest.raises(InvalidData, match=session_id):
                await store.read_base(session_id)
            continue
        actions = expected.document["history"]["actions"]
        assert (listed[session_id].head, listed[session_id].error) == (expected.head, None)
        assert (listed[session_id].actions, fields[session_id].actions) == (len(actions), len(actions))
        whole = await store.read_base(session_id, full=True)
        assert whole is not None and whole._replace(revision=0) == expected
        base = await store.read_base(session_id)
        assert base is not None and base.head == expected.head
        assert (base.prefix, base.length, base.following) == (expected.prefix, expected.length, expected.following)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_updates_write_the_bytes_that_they_would_write_in_redis(store: MongoStore, layout: str) -> None:
    """With trimming, and across the limits at which older lines are moved to parts."""
    chance = random.Random(layout)
    raw = LAYOUTS[layout](document(varied_sizes(250, seed=2)))
    await store.put(SESSION_ID, AGENT_ID, raw, 60_000)
    for _ in range(12):
        drop = chance.choice((0, 0, 0, 30, 1, 70))
        base = await store.read_base(SESSION_ID, full=bool(drop))
        assert base is not None
        change = updated(base, drop, observation="x" * chance.choice((0, 40_000, 400_000, 1_200_000)))
        splice = change.splice
        raw = splice.head + raw[splice.keep_from : splice.keep_to] + splice.tail
        assert await commit(store, change, base) is CommitOutcome.OK
        assert await raw_of(store) == raw
        base = await store.read_base(SESSION_ID)
        assert base is not None
        assert base.following[:20] == base_from_string(raw).following[:20]
        page = await store.history(SESSION_ID, 7, 60)
        assert page is not None and page.trajectory == decode(raw)["history"]["actions"][::-1][60:67]


async def test_all_actions_can_be_dropped(store: MongoStore) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), 60_000)
    base = await store.read_base(SESSION_ID, full=True)
    assert base is not None
    assert await commit(store, updated(base, MANY), base) is CommitOutcome.OK
    assert [one["t"] for one in decode(await raw_of(store))["history"]["actions"]] == [MANY]


async def test_a_trajectory_may_be_larger_than_a_document_of_mongodb(store: MongoStore, mongo: MongoServer) -> None:
    raw = encode(document([900_000] * 20))
    await store.put(SESSION_ID, AGENT_ID, raw, 60_000)
    assert len(raw) > 16_777_216
    assert await commit(store) is CommitOutcome.OK
    assert decode(await raw_of(store))["history"]["actions"][:-1] == decode(raw)["history"]["actions"]
    page = await store.history(SESSION_ID, 1, 15)
    assert page is not None and [one["t"] for one in page.trajectory] == [5]
    with pytest.raises(TooLarge, match=SESSION_ID):
        await store.history(SESSION_ID, 20, 0, 5_000_000)


async def test_what_cannot_be_stored_is_refused_before_it_is_sent(store: MongoStore) -> None:
    raw = encode(document([1], more="x" * 9_000_000))
    await store.put(SESSION_ID, AGENT_ID, raw, 60_000)
    base = await store.read_base(SESSION_ID)
    assert base is not None
    for delta in ({"less": "x" * 1_000_000}, {"more": "y" * 12_500_000}):
        with pytest.raises(TooLarge, match="Nothing was written"):
            await commit(store, updated(base, delta=delta), base)
    small = MongoStore(store.database.connection, Settings(max_document_bytes=len(raw) + 2_000))
    with pytest.raises(TooLarge, match="AWI_MAX_DOCUMENT_BYTES"):
        await small.commit(SESSION_ID, AGENT_ID, base, updated(base, observation="x" * 2_000), look_for_op_id=False)
    assert await raw_of(store) == raw
    assert await commit(store, updated(base), base) is CommitOutcome.OK


async def test_fields_that_awictl_does_not_know_survive(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, compact(document([1] * 130)), 60_000)
    change_document(mongo, note={"by": "another program"})
    for _ in range(3):  # the first one divides the string, a later one moves lines
        assert await commit(store) is CommitOutcome.OK
    await store.touch([(SESSION_ID, None)])
    assert the_document(mongo)["note"] == {"by": "another program"}


async def test_marks_are_set_by_every_write(mongo: MongoServer, store: MongoStore) -> None:
    marked = MongoStore(store.database.connection, Settings(), "awi_other", ttl_ms=None, marks={"pending": True})
    await marked.create(SESSION_ID, AGENT_ID, encode(document([1] * 128)))
    sessions = mongo.raw["awi_other_sessions"]
    for _ in range(2):
        assert (sessions.find_one() or {})["pending"] is True
        sessions.update_one({}, {"$set": {"pending": False}})
        assert await commit(marked) is CommitOutcome.OK
    found = sessions.find_one() or {}
    assert found["pending"] is True and found["expires_at"] is None
    assert {one["expires_at"] for one in mongo.raw["awi_other_parts"].find()} == {None}
    assert await marked.touch([(SESSION_ID, None)]) == [True]
    assert await store.read(SESSION_ID) is None


# -- expiry


async def test_what_has_expired_is_gone_though_the_ttl_index_never_runs(store: MongoStore, mongo: MongoServer) -> None:
    raw = encode(document([1] * MANY))
    await store.create(SESSION_ID, AGENT_ID, raw)
    base = await store.read_base(SESSION_ID)
    past = datetime.now(UTC) - timedelta(minutes=1)
    change_document(mongo, expires_at=past)
    mongo.raw["awi_live_agents"].update_many({}, {"$set": {"expires_at": past}})
    assert await store.read(SESSION_ID) is None and await store.read_base(SESSION_ID) is None
    assert await store.read_many([SESSION_ID]) == {} and await store.list([SESSION_ID]) == []
    assert [one async for one in store.scan()] == [one async for one in store.list_all(lambda one: one)] == []
    assert [one async for one in store.list_fields()] == []
    assert list(await store.lifetimes([SESSION_ID])) == list((await store.versions([SESSION_ID])).versions) == []
    assert await store.history(SESSION_ID, 1, 0) is None and await store.diff(SESSION_ID) == (None, False)
    assert await store.touch([(SESSION_ID, AGENT_ID)]) == [False] and await store.set_min_ttl([SESSION_ID], DAY) == 0
    assert await store.agent_session(AGENT_ID) is None and await store.expiries(SESSION_ID, AGENT_ID) == {}
    assert base is not None and await commit(store, base=base) is CommitOutcome.GONE
    assert await store.delete("sess_missing", None, None) is DeleteOutcome.GONE
    # another session can have its id, and its agent
    assert await store.create(SESSION_ID, AGENT_ID, encode(document())) is None
    assert await raw_of(store) == encode(document())
    assert await commit(store, base=base) is CommitOutcome.CONFLICT, "no revision is used twice"


async def test_a_last_delta_expires_before_its_session(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document()), 60_000, (b'{"delta":{}}', 30_000))
    assert await store.diff(SESSION_ID) == (b'{"delta":{}}', True)
    change_document(mongo, diff_expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await store.diff(SESSION_ID) == (None, True)
    assert len(await store.expiries(SESSION_ID, AGENT_ID)) == 2


def assert_parts_outlive(mongo: MongoServer) -> None:
    """Fail unless every part lasts for at least a day longer than the session that refers to it."""
    for found in mongo.raw["awi_live_sessions"].find():
        parts = {one["_id"]: one["expires_at"] for one in mongo.raw["awi_live_parts"].find()}
        for part in found["parts"]:
            if parts[part["id"]] is None:
                continue
            assert found["expires_at"] is not None
            assert parts[part["id"]] >= found["parts_until"] + timedelta(days=1)
            assert parts[part["id"]] >= found["expires_at"] + timedelta(days=1)


async def test_parts_never_expire_before_their_session(store: MongoStore, mongo: MongoServer) -> None:
    chance = random.Random(5)
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), 60_000)
    for _ in range(40):
        ttl = chance.choice((1_000, 60_000, DAY, 3 * DAY, 300 * DAY))
        match chance.randrange(6):
            case 0:
                assert await store.touch([(SESSION_ID, None)], ttl) == [True]
            case 1:
                await store.set_min_ttl([SESSION_ID], ttl)
            case 2:
                await store.put(SESSION_ID, None, await raw_of(store), chance.choice((None, ttl)))
                if the_document(mongo)["expires_at"] is None:
                    assert_parts_outlive(mongo)
                    await store.put(SESSION_ID, None, await raw_of(store), ttl)
            case 3:
                base = await store.read_base(SESSION_ID)
                assert base is not None
                assert await commit(store, updated(base, observation="x" * 300_000), base) is CommitOutcome.OK
            case 4:
                base = await store.read_base(SESSION_ID, full=True)
                assert base is not None and await commit(store, updated(base, 10), base) is CommitOutcome.OK
            case _:
                assert await commit(store) is CommitOutcome.OK
        assert_parts_outlive(mongo)
    await raw_of(store)


async def test_an_update_extends_parts_that_would_expire_before_the_session(
    store: MongoStore, mongo: MongoServer
) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), 60_000)
    soon = datetime.now(UTC) + timedelta(minutes=2)
    change_document(mongo, parts_until=soon)
    mongo.raw["awi_live_parts"].update_many({}, {"$set": {"expires_at": soon + timedelta(days=1)}})
    assert_parts_outlive(mongo)
    assert await commit(store) is CommitOutcome.OK
    assert the_document(mongo)["expires_at"] > soon
    assert_parts_outlive(mongo)


async def seal_now(store: MongoStore) -> None:
    """Update the session so that lines are moved to a new part, which lasts as long as usual."""
    base = await store.read_base(SESSION_ID)
    assert base is not None
    assert await commit(store, updated(base, observation="x" * 1_100_000), base) is CommitOutcome.OK


@pytest.mark.parametrize("actions", [5, MANY], ids=["no parts yet", "more parts"])
@pytest.mark.parametrize("extend", ["touch", "set_min_ttl"])
async def test_a_part_that_is_added_while_a_ttl_is_extended_lasts_as_long(
    store: MongoStore, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch, actions: int, extend: str
) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * actions)), 60_000)
    other = MongoStore(store.database.connection, Settings())
    added = 0

    def then_add(patched: Any, name: str) -> None:
        original = getattr(patched, name)

        async def run(*arguments: Any, **options: Any) -> Any:
            nonlocal added
            result = await original(*arguments, **options)
            if not added:
                added = 1
                await seal_now(other)
            return result

        monkeypatch.setattr(patched, name, run)

    if actions == MANY:
        then_add(store.contents, "extend_parts")
    else:
        then_add(store._lifetimes, "_expiries")
    if extend == "touch":
        assert await store.touch([(SESSION_ID, None)], 300 * DAY) == [True]
    else:
        assert await store.set_min_ttl([SESSION_ID], 300 * DAY) == 1
    assert added == 1
    assert the_document(mongo)["expires_at"] > datetime.now(UTC) + timedelta(days=299)
    assert_parts_outlive(mongo)
    assert len(decode(await raw_of(store))["history"]["actions"]) == actions + 1


async def test_a_write_that_the_driver_has_repeated_is_no_conflict(store: MongoStore) -> None:
    """A server that does not recognize the repetition finds another revision, which is that of the first attempt."""
    for size in (1, 1_100_000):  # the action is in the document, or in a part
        await store.put(f"sess_{size}", AGENT_ID, encode(document([1] * 3)), DAY)
        base = await store.read_base(f"sess_{size}")
        assert base is not None
        change = updated(base, observation="x" * size)
        for outcome in (CommitOutcome.OK, CommitOutcome.APPLIED):
            found = await store.commit(f"sess_{size}", AGENT_ID, base, change, look_for_op_id=False)
            assert found is outcome, size


async def test_an_end_that_waits_to_be_archived_does_not_expire(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), 60_000)
    base = await store.read_base(SESSION_ID)
    assert base is not None
    end = updated(base, delta={}, action="session_end", ends=True, persist=True)
    assert await commit(store, end, base) is CommitOutcome.OK
    assert the_document(mongo)["expires_at"] is None and (await store.lifetimes([SESSION_ID]))[0].ttl_ms is None
    assert_parts_outlive(mongo)
    assert await commit(store) is CommitOutcome.ENDED
    [refused] = await store.touch([(SESSION_ID, None)])
    assert isinstance(refused, Refused) and await store.set_min_ttl([SESSION_ID], DAY) == 0
    assert await store.delete(SESSION_ID, AGENT_ID, await raw_of(store)) is DeleteOutcome.DELETED
    assert mongo.raw["awi_live_parts"].count_documents({}) == 0


async def test_a_part_that_is_trimmed_is_deleted(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), 60_000)
    before = mongo.raw["awi_live_parts"].count_documents({})
    base = await store.read_base(SESSION_ID, full=True)
    assert base is not None and await commit(store, updated(base, 200), base) is CommitOutcome.OK
    assert mongo.raw["awi_live_parts"].count_documents({}) < before
    assert len(decode(await raw_of(store))["history"]["actions"]) == MANY - 199


# -- damaged documents


FIELDS = ["revision", "head", "following", "lines", "parts", "op_ids", "inline", "count", "length", "expires_at"]
WRONG = [None, 7, "text", b"\xff", [1], -1]


async def test_damaged_documents_are_reported_and_never_change(store: MongoStore, mongo: MongoServer) -> None:
    """Each field missing, and with values of other types: whatever is called raises an error of awictl."""
    raw = encode(document([1] * MANY))
    await store.put(SESSION_ID, AGENT_ID, raw, DAY)
    await store.put("sess_other", None, raw, DAY)
    sound = the_document(mongo)
    base = await store.read_base(SESSION_ID, full=True)
    assert base is not None
    sessions = mongo.raw["awi_live_sessions"]
    reported = 0
    for field, value in itertools.product(FIELDS, ["missing", *WRONG]):
        damaged = {**sound, field: value}
        if value == "missing":
            del damaged[field]
        sessions.replace_one({"_id": SESSION_ID}, damaged)
        for call in (
            store.read(SESSION_ID),
            store.read_base(SESSION_ID),
            store.read_base(SESSION_ID, full=True),
            store.history(SESSION_ID, 200, 0),
            store.diff(SESSION_ID),
            store.lifetimes([SESSION_ID]),
        ):
            try:
                await call
            except AwiError as error:
                assert isinstance(error, (InvalidData, TooLarge)) and SESSION_ID in str(error), (field, value)
                reported += 1
        many = (await store.read_many([SESSION_ID, "sess_other"]))["sess_other"]
        assert not isinstance(many, AwiError) and many.raw == raw
        rows = {one.session_id: one async for batch in store.list_all(lambda one: one) for one in batch}
        assert rows["sess_other"].error is None
        assert {one.session_id async for batch in store.list_fields() for one in batch} == rows.keys()
        if SESSION_ID in rows and field in ("head", "length"):
            assert rows[SESSION_ID].error or value in (7, -1), (field, value)
    assert reported > 100
    sessions.replace_one({"_id": SESSION_ID}, sound)
    assert await raw_of(store) == raw


async def test_a_commit_to_a_damaged_document_is_no_loss(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), DAY)
    base = await store.read_base(SESSION_ID)
    assert base is not None
    change_document(mongo, inline=128)  # so that the next update has to move lines
    for damage in ({"lines": "x"}, {"parts": 7}, {"op_ids": None}, {"count": 3}, {"parts_until": "y"}):
        sound = the_document(mongo)
        change_document(mongo, **damage)
        with pytest.raises(InvalidData, match=SESSION_ID):
            await commit(store, base=base)
        mongo.raw["awi_live_sessions"].replace_one({"_id": SESSION_ID}, sound)
    assert await commit(store, base=base) is CommitOutcome.OK


async def test_a_missing_or_shortened_part_is_reported(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document([1] * MANY)), DAY)
    parts = mongo.raw["awi_live_parts"]
    for damage in ({"data": b"short"}, {"data": 7}, None):
        one = parts.find_one() or {}
        if damage is None:
            parts.delete_one({"_id": one["_id"]})
        else:
            parts.update_one({"_id": one["_id"]}, {"$set": damage})
        with pytest.raises(InvalidData, match="part"):
            await store.read(SESSION_ID)
        with pytest.raises(InvalidData, match="part"):
            await store.history(SESSION_ID, MANY, 0)
        assert isinstance((await store.read_many([SESSION_ID]))[SESSION_ID], InvalidData)
        page = await store.history(SESSION_ID, 20, 0)
        assert page is not None and page.total == MANY, "the newest actions can be read"
        parts.replace_one({"_id": one["_id"]}, one, upsert=True)
    assert isinstance((await store.list([SESSION_ID]))[0], Listed)


async def test_a_page_of_a_listing_ends_early_if_its_heads_are_large(
    store: MongoStore, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 10_000)
    layouts = [encode(document([1, 2])), compact(document([1, 2])), encode(document([1], more="x" * 20_000))]
    for number in range(12):
        await store.put(f"sess_{number}", None, layouts[number % 3], DAY)
    batches = [batch async for batch in store.list_all(lambda one: one)]
    assert len(batches) > 4 and sorted(len(batch) for batch in batches)[-1] < 12
    rows = [one for batch in batches for one in batch]
    assert sorted(one.session_id for one in rows) == sorted(f"sess_{number}" for number in range(12))
    assert {(one.actions, one.error) for one in rows} == {(2, None), (1, None)}


async def test_documents_of_others_in_the_collection_are_left_out(store: MongoStore, mongo: MongoServer) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document()), DAY)
    mongo.raw["awi_live_sessions"].insert_many([{"_id": "zzz"}, {"_id": 7}, {"x": 1}, {"_id": "sess_é"}])
    assert [one async for one in store.scan()] == [[SESSION_ID]]
    assert [one async for one in store.scan(rate=100_000)] == [[SESSION_ID]]


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in another time zone than the server."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        yield
    time.tzset()


async def test_the_expiry_does_not_depend_on_the_time_zone(
    far_east: None, store: MongoStore, mongo: MongoServer
) -> None:
    await store.put(SESSION_ID, AGENT_ID, encode(document()), DAY)
    left = the_document(mongo)["expires_at"] - datetime.now(UTC)
    assert abs(left - timedelta(days=1)) < timedelta(minutes=5)
