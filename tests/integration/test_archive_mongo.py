"""The MongoDB archive and its collection: indexes, duplicates, parts, and servers that do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure
from support.archives import (
    MongoBackend,
    chunk,
    ended,
    forget_sockets,
    incompressible,
    listed,
    opened,
    saved,
    session,
    several,
    snapshot,
    trimmed,
)
from support.documents import AGENT_ID, SESSION_ID, assert_same
from support.mongo import MongoServer
from support.valkey import free_port
from support.waiting import within

from awictl import Settings
from awictl.archive.base import Archive
from awictl.archive.chunks import Chunk
from awictl.archive.connect import open_archive
from awictl.archive.decision import Outdated
from awictl.archive.mongo import documents
from awictl.archive.mongo.archive import MongoArchive
from awictl.errors import AccessDenied, AwiError, InvalidData, Refused, Unreachable
from awictl.store.mongo import connection, errors

Request = Callable[[Archive], Coroutine[Any, Any, Any]]


async def live(archive: Archive) -> list[Any]:
    return [one async for one in archive.live("")]


REQUESTS: dict[str, Request] = {
    "save": lambda archive: archive.save([snapshot(session(1))]),
    "save_trimmed_actions": lambda archive: archive.save_trimmed_actions(SESSION_ID, AGENT_ID, chunk(0, 3)),
    "load": lambda archive: archive.load(SESSION_ID),
    "load_trimmed_actions": lambda archive: archive.load_trimmed_actions(SESSION_ID, AGENT_ID),
    "find": listed,
    "live": live,
    "ping": lambda archive: archive.ping(),
}


@pytest.fixture
def backend(mongo: MongoServer) -> MongoBackend:
    return MongoBackend(mongo)


@pytest.fixture
async def archive(backend: MongoBackend) -> AsyncIterator[Archive]:
    made = opened(backend)
    yield made
    await made.close()


def archive_at(url: str, timeout: float = 0.5) -> Archive:
    made = open_archive(Settings(mongodb_uri=url, timeout=timeout))
    assert made is not None
    return made


# -- the collection


def unique_keys(backend: MongoBackend) -> list[list[str]]:
    found = backend.server.sessions.index_information().values()
    return [[name for name, _ in one["key"]] for one in found if one.get("unique")]


async def test_the_first_save_creates_the_indexes(archive: Archive, backend: MongoBackend) -> None:
    await archive.load(SESSION_ID)
    assert backend.untouched()
    await saved(archive, snapshot(session(1)))
    assert ["sessionId"] in unique_keys(backend)
    keys = [[name for name, _ in one["key"]] for one in backend.server.sessions.index_information().values()]
    assert ["agentId", "sessionActive", "lastActivityAt"] in keys, "for the app's query"
    assert await archive.missing_indexes() == []
    backend.server.sessions.insert_one({"sessionId": SESSION_ID})
    with pytest.raises(Exception, match="duplicate"):
        backend.server.sessions.insert_one({"sessionId": SESSION_ID})
    before = backend.server.sessions.index_information()
    async with several(backend, 1) as [again]:
        await saved(again, snapshot(session(2)))
    assert backend.server.sessions.index_information() == before


async def test_a_unique_index_of_another_name_is_accepted(archive: Archive, backend: MongoBackend) -> None:
    backend.server.sessions.create_index([("sessionId", 1)], unique=True, name="by_the_app")
    await saved(archive, snapshot(session(1)))
    assert_same((await archive.load(SESSION_ID)).document, session(1))  # type: ignore[union-attr]
    assert "by_the_app" in backend.server.sessions.index_information()
    assert unique_keys(backend).count(["sessionId"]) == 1


@pytest.mark.parametrize("code", [85, 86])
def test_an_index_with_other_options_is_named(code: int) -> None:
    failure = OperationFailure("Index already exists", code, {"errmsg": "awi_sessions: state_1"})
    error = errors.translate(failure, "here")
    assert isinstance(error, Refused) and "other options" in str(error) and "awi_sessions: state_1" in str(error)


async def test_an_index_that_is_not_unique_is_not_accepted(archive: Archive, backend: MongoBackend) -> None:
    """Without one, two writers could insert the same session."""
    backend.server.sessions.create_index([("sessionId", 1)], name="by_the_app")
    try:
        await saved(archive, snapshot(session(1)))
    except Refused as error:
        assert "sessionId" in str(error)
        assert backend.stored() == {}
    else:
        assert ["sessionId"] in unique_keys(backend)


async def test_duplicate_session_ids_are_refused(archive: Archive, backend: MongoBackend) -> None:
    backend.server.sessions.insert_many([{"sessionId": "sess_twice", "n": n} for n in range(2)])
    before = backend.stored()
    for request in (REQUESTS["save"], REQUESTS["save_trimmed_actions"]):
        with pytest.raises(Refused, match="same sessionId") as raised:
            await request(archive)
        assert "agentsessions" in str(raised.value) and "nothing was archived" in str(raised.value)
    assert backend.stored() == before
    assert len(await listed(archive)) == 2, "reading still works"


async def test_unknown_documents_in_the_collection_are_tolerated(archive: Archive, backend: MongoBackend) -> None:
    odd = [{}, {"x": 1}, {"sessionId": 5}, {"sessionId": None}, {"sessionId": "sess_odd"}]
    odd += [{"sessionId": "sess_null", "awi": None}, {"sessionId": "sess_text", "awi": "x", "statistics": 5}]
    backend.server.sessions.insert_many([{**one, "n": n} for n, one in enumerate(odd) if "sessionId" in one])
    await saved(archive, snapshot(session(1)))
    assert {one.session_id for one in await listed(archive)} == {"sess_odd", "sess_null", "sess_text", SESSION_ID}
    before = list(backend.server.sessions.find())
    for session_id in ("sess_odd", "sess_null", "sess_text"):
        found = await archive.load(session_id)
        assert found is not None and found.raw is None
        await saved(archive, snapshot(ended(session(1, session_id))))
        await archive.publish([session_id])
    assert list(backend.server.sessions.find()) == before


async def test_dates_after_the_year_9999_can_be_read() -> None:
    """JavaScript's dates go up to the year 275760. One such document must not make all others unreadable.

    SecantusDB cannot store such a document, so only its decoding is tested.
    """
    archive = archive_at("mongodb://127.0.0.1:1/awi")
    assert isinstance(archive, MongoArchive)
    far = bson.encode({"sessionId": "sess_far", "lastActivityAt": DatetimeMS(8_640_000_000_000_000)})
    await archive.close()
    assert bson.decode(far, archive.collections.sessions.codec_options)["sessionId"] == "sess_far"


DAMAGE: dict[str, dict[str, Any]] = {
    "text": {"packed": "text"},
    "no packed": {"packed": None},
    "a number for the digest": {"digest": 5},
    "missing parts": {"parts": 3},
    "parts of another type": {"parts": "x", "packed": b""},
    "text for the revision": {"revision": "x"},
    "text in the revision": {"revision.next_t": "x"},
    "invalid action counts": {"uses": [["a"], 5]},
    "another format": {"format": 99},
    "an unknown state": {"state": "x"},
    "invalid gaps": {"gaps": [[1], ["x", {}], 5, [9, 2]]},
    "text for the ordinal": {"first": "x", "actions": "x"},
    "another digest of the trajectory": {"trajectory": 5},
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
async def test_any_damage_to_a_document_raises_an_awi_error(
    archive: Archive, backend: MongoBackend, change: dict[str, Any]
) -> None:
    """It never crashes, and never reports a session as archived that is not."""
    await saved(archive, snapshot(session(3)), snapshot(session(3, "sess_good")))
    assert backend.server.archived.update_one({"_id": SESSION_ID}, {"$set": change}).modified_count == 1
    assert {one.session_id for one in await listed(archive)} == {SESSION_ID, "sess_good"}
    try:
        found = await archive.load(SESSION_ID)
    except InvalidData as error:
        assert SESSION_ID in str(error)
    else:
        assert found is not None
        assert_same(found.document, session(3))
    results = await archive.save([snapshot(session(3)), snapshot(session(4, "sess_good"))])
    assert results["sess_good"] is None
    if results[SESSION_ID] is None:
        assert_same((await archive.load(SESSION_ID)).document, session(3))  # type: ignore[union-attr]
    else:
        assert isinstance(results[SESSION_ID], AwiError)


# -- parts


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split sessions into small parts."""
    monkeypatch.setattr(documents, "INLINE_BYTES", 2_000)
    monkeypatch.setattr(documents, "PART_BYTES", 2_000)


def large(count: int) -> Any:
    return snapshot(incompressible(count, 1_000, seed=count))


@pytest.mark.usefixtures("small_parts")
async def test_sessions_are_split_into_parts(archive: Archive, backend: MongoBackend) -> None:
    for count in (5, 6, 12, 7 + 6):
        one = large(count)
        await saved(archive, one)
        found = await archive.load(SESSION_ID)
        assert found is not None and found.raw == one.raw
        [stored] = backend.server.archived.find()
        assert "packed" not in stored
        parts = list(backend.parts.find())
        assert len(parts) == stored["parts"] > 1 and {part["digest"] for part in parts} == {one.digest}
    await saved(archive, snapshot(session(20)))
    assert backend.parts.count_documents({}) == 0


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("harm", ["damage", "missing", "swapped"])
async def test_damaged_parts_are_detected_and_repaired_by_the_next_save(
    archive: Archive, backend: MongoBackend, harm: str
) -> None:
    one = large(6)
    await saved(archive, one)
    before = backend.stored()
    first, second = list(backend.parts.find().sort("_id", 1))[:2]
    if harm == "damage":
        backend.damage(SESSION_ID)
    elif harm == "missing":
        backend.parts.delete_one({"_id": second["_id"]})
    else:
        backend.parts.update_one({"_id": first["_id"]}, {"$set": {"packed": second["packed"]}})
    with pytest.raises(InvalidData, match="damaged"):
        await archive.load(SESSION_ID)
    await saved(archive, one)
    assert backend.stored() == before


@pytest.mark.usefixtures("small_parts")
async def test_the_parts_of_outdated_writers_are_deleted(backend: MongoBackend) -> None:
    async with several(backend, 8) as archives:
        results = await asyncio.gather(*(one.save([large(4 + number)]) for number, one in enumerate(archives)))
        assert all(one[SESSION_ID] is None or isinstance(one[SESSION_ID], Outdated) for one in results)
        found = await archives[0].load(SESSION_ID)
        assert found is not None and found.raw == large(11).raw
        assert {part["digest"] for part in backend.parts.find()} == {large(11).digest}, (
            "the parts of the others were deleted"
        )


@pytest.mark.usefixtures("small_parts")
async def test_loading_while_the_session_is_replaced(backend: MongoBackend) -> None:
    """Its parts may be deleted between two requests; then the new ones are read."""
    async with several(backend, 2) as [writer, reader]:
        await saved(writer, large(4))
        loads = 0
        done = asyncio.Event()

        async def load() -> None:
            nonlocal loads
            while not done.is_set():
                found = await reader.load(SESSION_ID)
                assert found is not None and len(found.document["history"]["actions"]) >= 4
                loads += 1

        loading = asyncio.create_task(load())
        for count in range(5, 25):
            await saved(writer, large(count))
        done.set()
        await loading
        assert loads > 3


@pytest.mark.usefixtures("small_parts")
async def test_deleting_parts_keeps_the_trimmed_actions(archive: Archive, backend: MongoBackend) -> None:
    rest, gone = trimmed(12, 9)
    await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, Chunk(0, gone))
    for number in range(2):
        one = {**rest, "blob": incompressible(3, 2_000, seed=number)["history"], "last_updated": f"{2027 + number}"}
        one["last_updated"] += "-01-01T00:00:00.000Z"
        one["statistics"] = rest["statistics"] | {"total_actions": 12 + number}
        await saved(archive, snapshot(one))
        found = await archive.load(SESSION_ID)
        assert found is not None
        assert [action["t"] for action in found.document["history"]["actions"]] == list(range(12))


# -- servers


@pytest.mark.usefixtures("mongo_sockets")
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_no_server_at_the_address(request_: Request) -> None:
    port = free_port()
    archive = archive_at(f"mongodb://us:hunter2@127.0.0.1:{port}/awi?appName=hunter3")
    with pytest.raises(Unreachable) as raised:
        await within(4, request_(archive))
    assert f"127.0.0.1:{port}/awi" in str(raised.value) and "hunter" not in str(raised.value)
    await forget_sockets(archive)


@pytest.mark.parametrize("name", ["save", "save_trimmed_actions", "ping"])
async def test_a_server_that_hangs(new_mongo: Callable[[], MongoServer], name: str) -> None:
    server = new_mongo()
    archive = archive_at(server.uri)
    server.pause()
    try:
        with pytest.raises(Unreachable):
            await within(4, REQUESTS[name](archive))
    finally:
        server.resume()
        await forget_sockets(archive)


async def test_a_server_that_comes_back(new_mongo: Callable[[], MongoServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 0.0)
    server = new_mongo()
    archive = archive_at(server.uri, timeout=1)
    await saved(archive, snapshot(session(1)))
    server.kill()
    with pytest.raises(Unreachable):
        await archive.save_trimmed_actions(SESSION_ID, AGENT_ID, chunk(0, 3))
    server.start()
    await saved(archive, snapshot(session(2)))
    assert_same((await archive.load(SESSION_ID)).document, session(2))  # type: ignore[union-attr]
    await forget_sockets(archive)


@pytest.mark.parametrize("name", ["save", "load", "ping"])
async def test_wrong_credentials(mongo: MongoServer, name: str) -> None:
    archive = archive_at(f"mongodb://nobody:hunter2@127.0.0.1:{mongo.port}/awi", timeout=3)
    with pytest.raises(AccessDenied) as raised:
        await REQUESTS[name](archive)
    assert "hunter2" not in str(raised.value)
    await archive.close()


async def test_writes_are_confirmed_by_a_majority_and_journalled() -> None:
    archive = archive_at("mongodb://127.0.0.1:1/awi?w=1&journal=false&readPreference=secondary")
    assert isinstance(archive, MongoArchive)
    for collection in vars(archive.collections).values():
        concern = collection.write_concern.document
        assert (concern["w"], concern["j"]) == ("majority", True) and concern["wtimeout"] >= 1000
        assert collection.read_concern.level == "majority"
        assert collection.read_preference.mode == 0, "the primary"
    await archive.close()


def test_the_largest_part_fits_into_a_document() -> None:
    assert len(bson.encode({"packed": b"x" * documents.PART_BYTES})) < 16 * 1024 * 1024
