"""Two processes archive versions of one session at the same time."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.archives import MongoBackend, saved, session, several, snapshot, stamp
from support.documents import SESSION_ID, app_updated
from support.mongo import MongoServer

from awictl.archive.mongo.archive import MongoArchive


async def test_a_version_that_was_replaced_meanwhile_is_not_merged(
    mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one reads what the archive has of a session, and then the actions of a later version."""
    made = session(1)
    versions = []
    for count in range(1, 171):
        app_updated(made, stamp(count), input={"n": count})
        if count in (110, 140, 170):
            versions.append(snapshot(copy.deepcopy(made), ttl_ms=60_000))
    first, second, third = versions
    async with several(MongoBackend(mongo), 2) as (slow, fast):
        await saved(fast, first)
        assert isinstance(slow, MongoArchive)
        writer = slow._writer
        real = writer._versions

        async def read_versions(session_ids: list[str]) -> Any:
            found = await real(session_ids)
            monkeypatch.undo()
            await saved(fast, third)
            return found

        monkeypatch.setattr(writer, "_versions", read_versions)
        await slow.save([second])
        found = await fast.load(SESSION_ID)
        assert found is not None and found.raw == third.raw
        assert [one["input"]["n"] for one in found.document["history"]["actions"]] == list(range(11, 171))
