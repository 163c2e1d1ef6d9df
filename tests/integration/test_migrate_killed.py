"""`kill -9` of a migration: no session is lost, changed or duplicated, and the next run completes it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support import forking
from support.archives import session
from support.documents import compact
from support.killing import Killer, Moment
from support.mongo import DATABASE, MongoServer
from support.valkey import ValkeyServer

from awictl import NotFound, StateManager
from awictl.document.byte_layout import encode
from awictl.store.base import SessionStore, Stored
from awictl.store.mongo.sessions import MongoStore
from awictl.store.redis.sessions import RedisStore

TTL_MS = 5_000_000
#: A file system in memory, on Linux.
MEMORY = Path("/dev/shm")
#: Whether to kill before and after each request, or only after every third of those that write.
EVERY = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
TO = pytest.mark.parametrize("to", ["mongo", "redis"])
#: Requests that write, if a script does.
WRITES = {"EVALSHA", "insert", "update", "findAndModify", "delete"}


@dataclass(frozen=True)
class Servers:
    """A Redis and a MongoDB, and both as stores."""

    valkey: ValkeyServer
    mongo: MongoServer
    redis_store: SessionStore
    mongo_store: SessionStore

    def between(self, to: str) -> tuple[SessionStore, SessionStore]:
        """The source and the target."""
        return (self.redis_store, self.mongo_store) if to == "mongo" else (self.mongo_store, self.redis_store)

    def env(self, redis_port: int, mongo_port: int) -> dict[str, str]:
        return {
            **os.environ,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(redis_port),
            # without directConnection the driver uses the address that the server reports
            "MONGODB_URI": f"mongodb://127.0.0.1:{mongo_port}/{DATABASE}?directConnection=true",
            "AWI_TIMEOUT": "60",  # on a machine that is busy with other tests
            "HOME": str(self.valkey.folder),
            "XDG_CONFIG_HOME": str(self.valkey.folder),
        }

    def migrate(self, to: str, killer: Killer | None = None) -> int:
        """Run the command, through the proxies of `killer` if it is given. Returns the exit code."""
        ports = self.valkey.port, self.mongo.port
        if killer is not None:
            ports = killer.redis(self.valkey.port), killer.mongo(self.mongo.port)
        words = ("migrate", "--to", to, "--yes")
        with tempfile.TemporaryFile() as output, Path(os.devnull).open("rb") as empty:
            fds = (empty.fileno(), output.fileno(), output.fileno())
            with forking.start(words, env=self.env(*ports), cwd=self.valkey.folder, fds=fds) as process:
                if killer is not None:
                    killer.pid = process.pid
                code = process.wait(600)
            if killer is not None:
                killer.close()
            output.seek(0)
            assert code in (0, -9), output.read()
        return code


@pytest.fixture
async def servers(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[Servers]:
    async with both(valkey, mongo) as made:
        yield made


@pytest.fixture
async def servers_in_memory(valkey: ValkeyServer) -> AsyncIterator[Servers]:
    """A MongoDB that does not wait for a disk, if the machine has a file system in memory: it is not killed."""
    server = MongoServer()
    if MEMORY.is_dir():
        server.folder.rmdir()
        server.folder = Path(tempfile.mkdtemp(prefix="awi-mongo-", dir=MEMORY))
    try:
        async with both(valkey, server.start()) as made:
            yield made
    finally:
        server.stop()


@asynccontextmanager
async def both(valkey: ValkeyServer, mongo: MongoServer) -> AsyncIterator[Servers]:
    settings = valkey.settings(mongodb_uri=mongo.uri, timeout=60.0)
    made = Servers(valkey, mongo, RedisStore.open(settings), MongoStore.open(settings))
    yield made
    await made.redis_store.close()
    await made.mongo_store.close()


async def sessions_in(store: SessionStore) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async for ids in store.scan():
        for name, stored in (await store.read_many(ids)).items():
            assert isinstance(stored, Stored), stored
            assert "agent" in name or 0 < (stored.ttl_ms or 0) <= TTL_MS
            found[name] = stored.raw
    return found


async def put_two(store: SessionStore) -> dict[str, bytes]:
    """A session with a last delta and a mapping, and one in the app's layout."""
    found = {
        "sess_a": encode(session(3, "sess_a", agent_id="agent-a")),
        "sess_b": compact(session(1, "sess_b", agent_id="agent-b")),
    }
    for name, raw in found.items():
        await store.put(name, f"agent-{name[-1]}", raw, TTL_MS, (b'{"delta":{},"action":{}}', 200_000))
    return found


@TO
@EVERY
async def test_a_migration_killed_at_any_step_is_completed_by_the_next(servers: Servers, to: str, every: bool) -> None:
    source, target = servers.between(to)
    for _ in range(2):  # in the second run, the servers have the scripts and indexes
        recorder = Killer()
        before = await put_two(source)
        assert await asyncio.to_thread(servers.migrate, to, recorder) == 0
        assert await sessions_in(target) == before and await sessions_in(source) == {}
        for name in before:
            await target.delete(name, f"agent-{name[-1]}", None)
    assert {"EVALSHA", "find"} <= set(recorder.steps), recorder.steps
    moments = [(step, moment) for step in range(len(recorder.steps)) for moment in Moment]
    if not every:
        moments = [one for one in moments if one[1] is Moment.AFTER and recorder.steps[one[0]] in WRITES][::3]
    kills = 0
    for step, moment in moments:
        before = await put_two(source)
        killer = Killer(step, moment)
        code = await asyncio.to_thread(servers.migrate, to, killer)
        kills += killer.killed
        assert (code == -9) == killer.killed
        here, there = await sessions_in(source), await sessions_in(target)
        for name, raw in before.items():  # in one of them or in both, with these bytes
            assert {here.get(name, raw), there.get(name, raw)} == {raw} and (name in here or name in there), (
                step,
                name,
            )
        assert await asyncio.to_thread(servers.migrate, to) == 0
        assert await sessions_in(target) == before and await sessions_in(source) == {}, (step, moment)
        for name in before:
            mapped = await target.agent_session(f"agent-{name[-1]}")
            assert mapped is not None and mapped.session_id == name, (step, moment)
            await target.delete(name, f"agent-{name[-1]}", None)
    assert kills >= len(moments) * 0.8, "the number of requests differs from run to run"


#: Number of sessions of the long proof, of its agents, and of kills in each direction. A write to SecantusDB takes the
#: longer the more documents a collection has: 10,000 sessions would take hours. For a real MongoDB, set the variable.
SESSIONS, AGENTS, KILLS = int(os.environ.get("AWICTL_SOAK_SESSIONS", "1500")), 6, 6
#: Number of sessions of the proof between two Redis servers, and of kills.
MANY, MANY_KILLS = 10_000, 10


@pytest.mark.soak
async def test_many_sessions_there_and_back_with_kills(servers_in_memory: Servers) -> None:
    """While agents use some of them, at the source, or if it is not there any more, in the target."""
    servers = servers_in_memory
    chance = random.Random(16)
    before = {}
    for number in range(SESSIONS):
        name = f"sess_{number:05}"
        document = session(chance.choice((0, 1, 3, 20, 150)), name, agent_id=f"agent-{number}")
        before[name] = chance.choice((encode, compact))(document)
        await servers.redis_store.put(name, f"agent-{number}", before[name], TTL_MS)
    settings = servers.valkey.settings(mongodb_uri=servers.mongo.uri, timeout=60.0)
    acknowledged: dict[str, list[int]] = {f"sess_agent{number}": [] for number in range(AGENTS)}
    stopped = asyncio.Event()
    async with (
        StateManager.open(settings) as on_redis,
        StateManager.open(replace(settings, use_redis=False)) as on_mongo,
    ):
        managers = [on_redis, on_mongo]
        for name in acknowledged:
            await on_redis.initialize_session(f"agent-of-{name}", "Agent", session_id=name)

        async def agent(name: str) -> None:
            number = 0
            while not stopped.is_set():
                for manager in managers:
                    with suppress(NotFound):
                        await manager.apply(name, {"n": number}, {"op_id": f"op-{number}", "input": number})
                        acknowledged[name].append(number)
                        break
                number += 1
                await asyncio.sleep(chance.uniform(0.2, 1))

        async def migrate(to: str) -> Counter[str]:
            """Run it again and again, killed at random moments, until it completes."""
            seen: Counter[str] = Counter()
            env = servers.env(servers.valkey.port, servers.mongo.port)
            while True:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "awictl", "migrate", "--to", to, "--yes"),
                    env=env, cwd=servers.valkey.folder, stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                )  # fmt: skip
                waiting = asyncio.ensure_future(process.communicate())
                if seen["killed"] < KILLS:
                    await asyncio.wait([waiting], timeout=chance.uniform(0.6, 4))
                    if process.returncode is None:
                        process.send_signal(signal.SIGKILL)
                        seen["killed"] += 1
                out, err = await waiting
                assert b"Traceback" not in err, err
                if process.returncode == 0:
                    print(f"\n{to}: {dict(seen)} {out.decode()}")
                    return seen
                assert process.returncode in (-9, 4), (out, err)
                if process.returncode == 4:  # an agent has found its session in both
                    seen["conflicts"] += 1
                    assert seen["conflicts"] < 100, err

        agents = [asyncio.create_task(agent(name)) for name in acknowledged]
        there = await migrate("mongo")
        found = await sessions_in(servers.mongo_store)
        assert {name: raw for name, raw in found.items() if name in before} == before
        assert not (await sessions_in(servers.redis_store)).keys() & before.keys()
        managers.reverse()
        back = await migrate("redis")
        stopped.set()
        await asyncio.gather(*agents)
        await migrate("redis")
        found = await sessions_in(servers.redis_store)
        assert await sessions_in(servers.mongo_store) == {}
        assert {name: raw for name, raw in found.items() if name in before} == before
        for name, numbers in acknowledged.items():
            document = await on_redis.get_session_state(name)
            assert document is not None, name
            actions = document["history"]["actions"][1:]
            assert [one["input"] for one in actions if one["input"] in set(numbers)] == numbers, name
            assert len({one["op_id"] for one in actions}) == len(actions)
    assert there["killed"] and back["killed"]


_PROGRAM = """
import asyncio, sys
from awictl import Settings
from awictl.sessions.migration.migrate import StoreMigration
from awictl.store.redis.sessions import RedisStore

async def main():
    source, target = (RedisStore.open(Settings(redis_socket=one, timeout=60.0)) for one in sys.argv[1:])
    async def no_ends():
        return {}
    done = await StoreMigration(source, target, lambda: None, no_ends).run()
    assert not done.exceptions, done.exceptions[:3]
    await source.close()
    await target.close()

asyncio.run(main())
"""


@pytest.mark.soak
async def test_ten_thousand_sessions_between_two_servers_with_kills(
    valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer]
) -> None:
    chance = random.Random(17)
    ends = valkey, new_valkey()
    before = {}
    with valkey.raw.pipeline() as pipe:
        for number in range(MANY):
            name = f"sess_{number:05}"
            document = session(chance.choice((0, 1, 3, 20, 150)), name, agent_id=f"agent-{number}")
            before[name] = chance.choice((encode, compact))(document)
            pipe.set(f"AWI:SESSION:{name}", before[name], px=TTL_MS)
            pipe.set(f"AGENT:SESSION:agent-{number}", name, px=TTL_MS)
        pipe.execute()
    for source, target in (ends, ends[::-1]):
        kills, code = 0, -signal.SIGKILL
        while code != 0:
            words = ("-c", _PROGRAM, str(source.socket), str(target.socket))
            process = await asyncio.create_subprocess_exec(sys.executable, *words)
            waiting = asyncio.ensure_future(process.wait())
            if kills < MANY_KILLS:
                await asyncio.wait([waiting], timeout=chance.uniform(0.5, 2.5))
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            code = await waiting
            assert code in (0, -signal.SIGKILL)
            keys = [set(one.raw.scan_iter("AWI:SESSION:*", count=1_000)) for one in (source, target)]
            assert len(keys[0] | keys[1]) == MANY, "lost"
        assert kills > 2 and keys[0] == set()
        names = list(before)
        assert target.raw.mget(f"AWI:SESSION:{name}" for name in names) == list(before.values())
        mapped = target.raw.mget(f"AGENT:SESSION:agent-{number}" for number in range(MANY))
        assert mapped == [name.encode() for name in names] and source.raw.dbsize() == 0
