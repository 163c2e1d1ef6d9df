"""Loading many archived sessions: bounded batches, few round trips, and the same results as one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.archives import (
    Backend,
    MongoBackend,
    incompressible,
    opened,
    saved,
    session,
    snapshot,
    trimmed,
)
from support.cli import Cli
from support.documents import AGENT_ID
from support.mongo import DATABASE, MongoServer
from support.proxy import hanging_writes

from awictl.archive.base import BATCH_BYTES, BATCH_SESSIONS, Archived, ArchivedSummary, ArchiveQuery
from awictl.archive.bulk_load import id_batches
from awictl.archive.chunks import Chunk
from awictl.archive.decision import ArchivedState
from awictl.archive.mongo import documents
from awictl.errors import InvalidData


async def test_many_sessions_are_loaded_as_each_is(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "INLINE_BYTES", 100_000)
    monkeypatch.setattr(documents, "PART_BYTES", 100_000)
    archive = opened(backend)
    try:
        rest, gone = trimmed(12, 9, "sess_trimmed")
        await archive.save_trimmed_actions("sess_trimmed", AGENT_ID, Chunk(0, gone))
        split = incompressible(9, 50_000) | {"session_id": "sess_split"}
        plain = [session(number, f"sess_{number}") for number in range(1, 6)]
        await saved(archive, *(snapshot(one) for one in (rest, split, *plain)))
        names = ["sess_trimmed", "sess_split", *(one["session_id"] for one in plain)]
        if isinstance(backend, MongoBackend):
            assert backend.parts.count_documents({}) > 1, "one of them is split"
            names += backend.server.put_app_documents()
        backend.damage("sess_3")
        found = await archive.load_many(["sess_missing", *names])
        assert sorted(found) == sorted(names)
        assert isinstance(found.pop("sess_3"), InvalidData)
        assert found == {name: await archive.load(name) for name in found}
        assert isinstance(found["sess_trimmed"], Archived)
        assert len(found["sess_trimmed"].document["history"]["actions"]) == 12
        assert await archive.load_many([]) == {}
    finally:
        await archive.close()


class Endless:
    """An archive with a list of very many sessions, which counts those that were read from it."""

    def __init__(self, size: int | None) -> None:
        self.read = 0
        self.size = size

    async def find(self, query: ArchiveQuery) -> AsyncGenerator[ArchivedSummary, None]:
        summary = ArchivedSummary("", None, None, None, None, None, None, ArchivedState.ENDED, 0, 0, 0, self.size)
        while True:
            self.read += 1
            yield replace(summary, session_id=f"sess_{self.read}")


@pytest.mark.parametrize("size", [1, 50_000, BATCH_BYTES // 2 + 1, 10 * BATCH_BYTES, None])
async def test_batches_are_bounded_in_number_and_bytes(size: int | None) -> None:
    archive: Any = Endless(size)
    batches = id_batches(archive, ArchiveQuery())
    read: list[str] = []
    for _ in range(50):
        batch = await anext(batches)
        read += batch
        assert 1 <= len(batch) <= BATCH_SESSIONS and len(batch) * (size or 0) <= max(BATCH_BYTES, size or 0)
        assert archive.read <= len(read) + 1, "no more than the next one is read ahead"
    await batches.aclose()
    assert read == [f"sess_{number + 1}" for number in range(len(read))]
    if size == 1:
        assert len(read) == 50 * BATCH_SESSIONS


async def test_an_export_takes_few_round_trips(awictl_at: Cli, mongo: MongoServer) -> None:
    archive = opened(MongoBackend(mongo))
    try:
        names = [f"sess_{number:04}" for number in range(450)]
        for first in range(0, len(names), 100):
            await saved(archive, *(snapshot(session(1, name)) for name in names[first : first + 100]))
    finally:
        await archive.close()
    with hanging_writes(mongo.port) as proxy:
        proxy.hanging = False
        user = awictl_at.having(AWI_ARCHIVE_URL=proxy.uri(DATABASE))
        exported = user.ok("archive", "export")
        reads = sum(proxy.requests[name] for name in (b"find", b"aggregate", b"getMore"))
        assert [row["session_id"] for row in exported.rows] == list(reversed(names))
        assert reads <= 20
        MongoBackend(mongo).damage(names[7])
        exported = user("archive", "export", "--actions")
    assert exported.code == 6 and names[7] in exported.err and exported.err.count("\n") == 1
    assert {row["session_id"] for row in exported.rows} == {*names} - {names[7]}


@pytest.fixture
def awictl_at(tmp_path: Path) -> Cli:
    return Cli.at(tmp_path / "home")
