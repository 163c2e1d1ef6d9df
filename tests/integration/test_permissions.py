"""The users of Redis that the guide describes may do what awictl needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.documents import SESSION_ID
from support.valkey import ValkeyServer

from awictl import Refused, Settings, StateManager

GUIDE = Path(__file__).parents[2] / "docs/operating.md"
USERS = ("awictl", "awictl-reader")


@pytest.fixture
def users(valkey: ValkeyServer, tmp_path: Path) -> Iterator[dict[str, Settings]]:
    """The settings of each user, created with the command in the guide, and an archive."""
    commands = [line.split() for line in GUIDE.read_text().splitlines() if line.startswith("ACL SETUSER ")]
    assert [one[2] for one in commands] == list(USERS)
    old = int(valkey.raw.info("server")["redis_version"].split(".")[0]) < 7
    for one in commands:
        # the guide says so: Redis 6.2 does not have it
        valkey.raw.execute_command(*(word for word in one if not (old and word == "+pexpiretime")))
    archive = f"sqlite:///{tmp_path}/archive.db"
    yield {
        name: replace(valkey.settings(archive_url=archive), redis_username=name, redis_password="PASSWORD")
        for name in USERS
    }
    for name in USERS:
        valkey.raw.acl_deluser(name)


async def test_the_users_of_the_guide(users: dict[str, Settings]) -> None:
    """One may create, update, touch, sweep, end and restore sessions; the other one only reads them."""
    async with StateManager.open(users["awictl"]) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
        await manager.touch_session(SESSION_ID)
        sweeper = manager.sweeper(3_600_000)
        swept = await sweeper.sweep(await sweeper.candidates())
        assert (swept.archived, swept.failed) == (1, {})
        versions = await manager.store.versions([SESSION_ID])
        assert versions.now_ms is not None and versions.versions[0].expires_ms is not None
        await manager.end_session(SESSION_ID)
        await manager.restore_session(SESSION_ID)
    async with StateManager.open(users["awictl-reader"]) as manager:
        state = await manager.get_session_state(SESSION_ID)
        assert state is not None and state["n"] == 1
        assert (await manager.store.versions([SESSION_ID])).now_ms is not None
        assert [one async for one in manager.list_session_ids()] == [[SESSION_ID]]
        with pytest.raises(Refused, match="permission"):
            await manager.update_state_with_delta(SESSION_ID, {"n": 2})
