"""Ends and sweeps killed at random times while agents send updates: nothing is lost or duplicated."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import NotFound, Settings, StateManager, UpdateConflict
from awictl.document.byte_layout import decode

#: Number of kills for each kind of archive, and of concurrent processes.
KILLS, AT_ONCE = 120, 3
#: Number of sessions for each kind of archive.
SESSIONS = 60
#: Maximum seconds until a process is killed; it needs about half a second to start.
LATEST_SECONDS = 1.3


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["mongo", "sqlite"])
async def test_kills_at_random_times(valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path, kind: str) -> None:
    chance = random.Random(7)
    archive = {"mongodb_uri": mongo.uri} if kind == "mongo" else {"archive_url": f"sqlite:///{tmp_path}/archive.db"}
    settings = Settings(redis_socket=str(valkey.socket), max_actions=20, **archive)  # type: ignore[arg-type]
    env = {
        **os.environ,
        "REDIS_SOCKET": str(valkey.socket),
        "AWI_MAX_ACTIONS_PER_SESSION": "20",
        "XDG_CONFIG_HOME": str(tmp_path),
        **({"MONGODB_URI": mongo.uri} if kind == "mongo" else {"AWI_ARCHIVE_URL": settings.archive or ""}),
    }
    acknowledged: dict[str, list[int]] = {}
    outcomes: Counter[str] = Counter()

    async with StateManager.open(settings) as manager:

        async def agent(session_id: str) -> None:
            """Send updates until the session has ended."""
            for number in range(100_000):
                try:
                    await manager.update_state_with_delta(session_id, {"n": number}, {"input": number})
                except NotFound:
                    return
                acknowledged[session_id].append(number)
                await asyncio.sleep(chance.uniform(0, 0.4))

        async def start(words: list[str]) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "awictl", *words, env=env, cwd=tmp_path,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip

        async def kill_some() -> None:
            while outcomes["killed"] < KILLS:
                if chance.random() < 0.5:
                    words = ["session", "end", *chance.sample(list(acknowledged), 3)]
                else:
                    words = ["archive", "sweep", "--margin", "31m"]
                process = await start(words)
                waiting = asyncio.ensure_future(process.communicate())
                await asyncio.wait([waiting], timeout=chance.uniform(0.3, LATEST_SECONDS))
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                    outcomes["killed"] += 1
                _, said = await waiting
                assert b"Traceback" not in said, said
                outcomes[f"{words[0]} {words[1]}: {process.returncode}"] += 1
                await assert_nothing_lost()

        async def assert_nothing_lost() -> None:
            for session_id in list(acknowledged):
                live = valkey.raw.exists(f"AWI:SESSION:{session_id}")
                if not live and not valkey.raw.hexists("AWI:ENDING", session_id):
                    assert await manager.get_archived_session(session_id) is not None, f"{session_id} is lost"

        agents = []
        for _ in range(SESSIONS):
            session_id = (await manager.initialize_session(f"agent-{len(agents)}", "Agent"))["session_id"]
            acknowledged[session_id] = []
            agents.append(asyncio.create_task(agent(session_id)))
        await asyncio.gather(*(kill_some() for _ in range(AT_ONCE)))

        # end all sessions, without kills
        for session_id in acknowledged:
            for _ in range(100):
                try:
                    await manager.end_session(session_id)
                except UpdateConflict:
                    continue
                break
        await asyncio.gather(*agents)
        for session_id, numbers in acknowledged.items():
            assert not valkey.raw.exists(f"AWI:SESSION:{session_id}")
            found = await manager.get_archived_session(session_id)
            assert found is not None and found.raw is not None
            actions = found.document["history"]["actions"]
            assert [one["input"] for one in actions if one["action"] == "list_posts"] == numbers
            assert [one["t"] for one in actions] == list(range(len(actions)))
            assert decode(found.raw)["history"]["last_action"]["action"] == "session_end"
    if kind == "mongo":
        assert mongo.archived.count_documents({}) == SESSIONS
    total = sum(map(len, acknowledged.values()))
    print(f"\n{kind}: {SESSIONS} sessions, {total:,} updates acknowledged and archived; {dict(outcomes)}")
    assert outcomes["killed"] >= KILLS
