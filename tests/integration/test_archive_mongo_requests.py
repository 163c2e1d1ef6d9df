"""How much a save asks of MongoDB, and that it still notices what is not stored as it was written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.archives import MongoBackend, opened, saved, session, snapshot
from support.documents import SESSION_ID, assert_same
from support.mongo import MongoServer
from support.old_archive import put_old

from awictl.archive.mongo import stored_bytes, writer
from awictl.archive.mongo.archive import MongoArchive


@pytest.fixture
def backend(mongo: MongoServer) -> MongoBackend:
    return MongoBackend(mongo)


@pytest.fixture
async def archive(backend: MongoBackend) -> AsyncIterator[MongoArchive]:
    made = opened(backend)
    assert isinstance(made, MongoArchive)
    yield made
    await made.close()


class Recorded:
    """A collection that records the filters of the queries."""

    def __init__(self, collection: Any, filters: list[dict[str, Any]]) -> None:
        self._collection = collection
        self._filters = filters

    def find(self, wanted: dict[str, Any], *others: Any, **options: Any) -> Any:
        self._filters.append(wanted)
        return self._collection.find(wanted, *others, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


async def test_a_save_searches_for_each_session_only_if_there_are_old_documents(
    archive: MongoArchive, backend: MongoBackend
) -> None:
    filters: list[dict[str, Any]] = []
    collections: Any = archive.collections
    collections.app_sessions = Recorded(collections.app_sessions, filters)
    await saved(archive, snapshot(session(1, "sess_a")), snapshot(session(1, "sess_b")))
    assert filters == []
    # an earlier awictl may run beside this one
    put_old(backend.server, snapshot(session(3, "sess_c")))
    await saved(archive, snapshot(session(4, "sess_c")), snapshot(session(1, "sess_d")))
    assert filters[0]["sessionId"] == {"$in": ["sess_c", "sess_d"]}
    assert backend.server.sessions.count_documents({"awi.format": 1}) == 0, "it was moved"


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sessions of which the stored bytes were unpacked."""
    found: list[str] = []
    unpack = stored_bytes.decompress

    def record(packed: Any, digest: Any, where: str, **others: Any) -> bytes:
        found.append(where.rpartition(" ")[2])
        return unpack(packed, digest, where, **others)

    monkeypatch.setattr(stored_bytes, "decompress", record)
    return found


async def test_what_is_read_back_as_it_was_written_is_not_unpacked(archive: MongoArchive, unpacked: list[str]) -> None:
    await saved(archive, snapshot(session(1, "sess_a")), snapshot(session(1, "sess_b")))
    await saved(archive, snapshot(session(2, "sess_a")))
    assert unpacked == []
    await saved(archive, snapshot(session(2, "sess_a")), snapshot(session(2, "sess_b")))
    assert unpacked == ["sess_a"], "what an earlier save has written is verified by its digest"


@pytest.mark.parametrize("change", [{"packed": b"x"}, {"bytes": 1}, {"packed": None}])
@pytest.mark.parametrize("before", [[], [1]])
async def test_what_is_not_read_back_as_it_was_written_is_written_again(
    archive: MongoArchive,
    backend: MongoBackend,
    monkeypatch: pytest.MonkeyPatch,
    before: list[int],
    change: dict[str, Any],
) -> None:
    for updates in before:
        await saved(archive, snapshot(session(updates)))
    write = writer.SnapshotWriter._write
    written = 0

    async def write_and_damage(*arguments: Any) -> Any:
        nonlocal written
        written += 1
        results = await write(*arguments)
        if written == 1:
            backend.server.archived.update_one({"_id": SESSION_ID}, {"$set": change})
        return results

    monkeypatch.setattr(writer.SnapshotWriter, "_write", write_and_damage)
    await saved(archive, snapshot(session(2)))
    assert written == 2
    assert_same((await archive.load(SESSION_ID)).document, session(2))  # type: ignore[union-attr]
