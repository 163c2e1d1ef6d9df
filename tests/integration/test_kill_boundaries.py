"""`kill -9` at every step of an end and of a sweep: nothing is lost or duplicated, and a rerun converges."""

from __future__ import annotations

import itertools
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import forking
from support.documents import assert_same
from support.killing import Killer, Moment
from support.mongo import DATABASE, MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import decode, encode
from awictl.document.schema import new_document

#: Number of concurrent processes.
AT_ONCE = 3
#: Whether to kill both before and after each request.
EVERY = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])


@dataclass(frozen=True)
class Case:
    """A session, and a command that moves it from Redis to the archive."""

    valkey: ValkeyServer
    mongo: MongoServer
    session_id: str
    words: tuple[str, ...]

    @property
    def agent_id(self) -> str:
        return f"agent-of-{self.session_id}"

    def run(self, killer: Killer | None = None) -> int:
        """Run the command, through the proxies of `killer` if it is given. Returns the exit code."""
        redis_port, mongo_port = self.valkey.port, self.mongo.port
        if killer is not None:
            redis_port, mongo_port = killer.redis(self.valkey.port), killer.mongo(self.mongo.port)
        env = {
            **os.environ,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(redis_port),
            # without directConnection the driver uses the address that the server reports
            "MONGODB_URI": f"mongodb://127.0.0.1:{mongo_port}/{DATABASE}?directConnection=true&retryWrites=false",
            "HOME": str(self.valkey.folder),
            "XDG_CONFIG_HOME": str(self.valkey.folder),
        }
        with tempfile.TemporaryFile() as output, Path(os.devnull).open("rb") as empty:
            fds = (empty.fileno(), output.fileno(), output.fileno())
            with forking.start(self.words, env=env, cwd=self.valkey.folder, fds=fds) as process:
                if killer is not None:
                    killer.pid = process.pid
                code = process.wait(60)
            if killer is not None:
                killer.close()
            output.seek(0)
            assert code in (0, -9), output.read()
        return code

    def key(self) -> str:
        return f"AWI:SESSION:{self.session_id}"

    def in_redis(self) -> dict[str, Any] | None:
        """The session, also while it is being ended."""
        raw = self.valkey.raw.get(self.key()) or self.valkey.raw.hget("AWI:ENDING", self.session_id)
        return decode(raw) if raw is not None else None

    def in_archive(self) -> list[dict[str, Any]]:
        return list(self.mongo.archived.find({"_id": self.session_id}))


def end_case(valkey: ValkeyServer, mongo: MongoServer, number: int) -> Case:
    """Create a session to end, with a last diff and a mapping."""
    case = Case(valkey, mongo, f"sess_end_{number}", ("session", "end", f"sess_end_{number}"))
    _put(case, px=1_800_000)
    valkey.raw.set(f"AWI:DIFF:{case.session_id}", b'{"delta":{},"action":{}}', px=300_000)
    valkey.raw.set(f"AGENT:SESSION:{case.agent_id}", case.session_id, px=1_800_000)
    return case


def _put(case: Case, px: int) -> None:
    document = new_document(case.session_id, case.agent_id, "Agent", "/posts", "2026-11-23T10:00:00.000Z")
    document["page_state"]["filters"] = {"a.b": {"$in": [2**63, "🙂", None, 1.5]}}
    case.valkey.raw.set(case.key(), encode(document), px=px)


@pytest.fixture
def servers(new_valkey: Any, mongo: MongoServer) -> Iterator[tuple[ValkeyServer, MongoServer]]:
    """A Valkey without other sessions that a sweep would find."""
    yield new_valkey(), mongo


def _assert_somewhere(case: Case, before: dict[str, Any]) -> None:
    """Assert that the session is complete in Redis or in the archive, and in the archive at most once."""
    live, archived = case.in_redis(), case.in_archive()
    assert len(archived) <= 1
    assert live is not None or archived, "lost"
    if live is not None:
        assert_same(live["page_state"], before["page_state"])
    else:
        [document] = archived
        assert document["state"] == "ended"
        actions = decode(zlib.decompress(document["packed"]))["history"]["actions"]
        assert [action["action"] for action in actions] == ["session_start", "session_end"]


async def _archived(manager: StateManager, case: Case) -> dict[str, Any]:
    found = await manager.get_archived_session(case.session_id)
    assert found is not None and found.raw is not None
    return decode(found.raw)


def _moments(steps: list[str], every: bool) -> list[tuple[int, Moment]]:
    """When to kill a command. After a step, the servers have what they have before the next one: one kill will do."""
    moments = [(step, moment) for step in range(len(steps)) for moment in Moment]
    return [one for one in moments if every or one[1] is Moment.AFTER or one == moments[0]]


def _steps(prepare: Callable[[], Case]) -> list[str]:
    """Return the steps of a command in its second run, when the servers have its scripts and indexes."""
    for _ in range(2):
        recorder = Killer()
        assert prepare().run(recorder) == 0
    assert "EVALSHA" in recorder.steps and {"insert", "find"} <= set(recorder.steps), recorder.steps
    return recorder.steps


@EVERY
async def test_an_end_killed_at_any_step_is_completed_by_the_next(
    servers: tuple[ValkeyServer, MongoServer], every: bool
) -> None:
    valkey, mongo = servers
    rehearsed = itertools.count(10_000)
    steps = _steps(lambda: end_case(valkey, mongo, next(rehearsed)))
    boundaries = _moments(steps, every)

    def killed(number: int) -> tuple[Case, bool]:
        case = end_case(valkey, mongo, number)
        before = case.in_redis()
        assert before is not None
        killer = Killer(*boundaries[number])
        assert (case.run(killer) == -9) == killer.killed
        _assert_somewhere(case, before)
        return case, killer.killed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(killed, range(len(boundaries))))
    assert [boundary for boundary, (_, was_killed) in zip(boundaries, done, strict=True) if not was_killed] == []
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        for case, _ in done:
            ended = await manager.end_session(case.session_id)
            assert ended.archive and ended.actions == 2
            assert case.in_redis() is None
            assert len(case.in_archive()) == 1
            assert valkey.raw.exists(f"AWI:DIFF:{case.session_id}", f"AGENT:SESSION:{case.agent_id}") == 0
            document = await _archived(manager, case)
            assert [action["action"] for action in document["history"]["actions"]] == ["session_start", "session_end"]
            assert document["page_state"]["filters"] == {"a.b": {"$in": [2**63, "🙂", None, 1.5]}}


@EVERY
async def test_a_sweep_killed_at_any_step_is_completed_by_the_next(
    servers: tuple[ValkeyServer, MongoServer], every: bool
) -> None:
    """One session about to expire, and one that has ended; the archive is empty before each kill."""
    valkey, mongo = servers
    words = ("archive", "sweep", "--margin", "5m")
    expiring = Case(valkey, mongo, "sess_expiring", words)
    ended = Case(valkey, mongo, "sess_ended", words)
    end = {"t": 1, "action": "session_end", "input": {}, "delta": {}, "timestamp": "2026-11-23T10:00:01.000Z"}

    def prepare() -> Case:
        mongo.archived.delete_many({})
        mongo.sessions.delete_many({})
        valkey.raw.flushall()
        _put(expiring, px=200_000)
        document = new_document(ended.session_id, ended.agent_id, "Agent", "/", "2026-11-23T10:00:00.000Z")
        document["history"] = {"actions": [*document["history"]["actions"], end], "last_action": end}
        valkey.raw.set(ended.key(), encode(document))
        return expiring

    steps = _steps(prepare)
    prepare()
    before = {case: case.in_redis() for case in (expiring, ended)}
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        sweeper = manager.sweeper(300_000)
        for step, moment in _moments(steps, every):
            prepare()
            killer = Killer(step, moment)
            assert expiring.run(killer) == -9 and killer.killed, (step, moment)
            assert expiring.in_redis() is not None, "a live session is never deleted"
            assert ended.in_redis() is not None or len(ended.in_archive()) == 1, "lost"
            swept = await sweeper.sweep(await sweeper.candidates())
            assert (swept.failed, swept.stopped) == ({}, None)
            assert ended.in_redis() is None and expiring.in_redis() is not None
            for case, document in before.items():
                [found] = case.in_archive()
                assert found["state"] == ("live" if case is expiring else "ended")
                assert_same(await _archived(manager, case), document)
