"""Sixteen writers through the whole state manager while masters of a cluster die, freeze, and hand over their slots."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from support.cluster import Cluster
from support.processes import Member

from awictl import Settings, StateManager
from awictl.document import keys
from awictl.errors import AwiError, OutcomeUnknown, Unreachable
from awictl.store.redis.cluster_watch import IDLE_SECONDS
from awictl.store.redis.server import connect
from awictl.store.redis.slots import key_slot

#: Number of faults of each kind.
FAULTS = 20
WRITERS = 16
#: Number of masters that thaw while a client was idle.
THAWED = 10
#: Maximum seconds until every writer goes on after a fault.
PATIENCE = 60.0
#: Milliseconds without an answer after which the cluster suspects a master.
NODE_TIMEOUT = 2500


@dataclass
class Writer:
    """A task that updates a session of its own without pause, each time with a new op_id."""

    session_id: str
    #: The op_ids of updates by outcome.
    acknowledged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    #: When an update was sent whose outcome is known, and when that was known, of the latest.
    sent_at: float = 0.0
    acknowledged_at: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    async def run(self, manager: StateManager, pause: float) -> None:
        """Write until cancelled."""
        for number in range(10_000_000):
            op_id = f"{self.session_id}-{number}"
            sent_at = time.monotonic()
            try:
                await manager.update_state_with_delta(self.session_id, {"n": number}, {"op_id": op_id})
            except OutcomeUnknown as error:
                self.unknown.append(op_id)
                self.errors[str(error)[:200]] += 1
            except AwiError as error:
                self.failed.append(op_id)
                self.errors[str(error)[:200]] += 1
                if not isinstance(error, Unreachable):
                    self.unexpected.append(f"{type(error).__name__}: {error}"[:300])
            else:
                self.acknowledged.append(op_id)
                self.sent_at, self.acknowledged_at = sent_at, time.monotonic()
            await asyncio.sleep(pause)


@asynccontextmanager
async def writing(settings: Settings, pause: float = 0.005) -> AsyncIterator[list[Writer]]:
    """Sixteen writers of one process, each with a session of its own."""
    async with StateManager.open(settings) as manager:
        writers = [Writer(f"sess_writer{number}") for number in range(WRITERS)]
        for one in writers:
            await manager.initialize_session(f"agent-{one.session_id}", "Agent", session_id=one.session_id)
        tasks = [asyncio.create_task(one.run(manager, pause)) for one in writers]
        try:
            yield writers
        finally:
            await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def check(cluster: Cluster, settings: Settings, writers: list[Writer]) -> tuple[int, list[str]]:
    """Read all sessions. Returns how many updates were acknowledged, and which of those are not in the trajectories.

    Fails if one was applied twice, or is there although it was reported as not applied.
    """
    missing = []
    async with StateManager.open(settings) as manager:
        for one in writers:
            stored = await manager.store.read_base(one.session_id, full=True)
            assert stored is not None, f"{one.session_id} is gone"
            applied = Counter(action.get("op_id") for action in stored.document["history"]["actions"])
            twice = {op_id: times for op_id, times in applied.items() if times > 1 and op_id is not None}
            assert not twice, f"applied twice: {twice}"
            contradicted = [op_id for op_id in one.failed if op_id in applied]
            assert not contradicted, f"reported as not applied, but applied: {contradicted}"
            missing += [op_id for op_id in one.acknowledged if op_id not in applied]
    return sum(len(one.acknowledged) for one in writers), missing


def masters_of(cluster: Cluster, writers: list[Writer]) -> dict[Member, list[Writer]]:
    """The writers by the master of their session."""
    found: dict[Member, list[Writer]] = {}
    for one in writers:
        found.setdefault(cluster.owner(key_slot(keys.session_key(one.session_id))), []).append(one)
    return found


async def resumed(writers: list[Writer], since: float) -> list[float]:
    """Wait until each writer had an update acknowledged that was sent after a time. Returns the seconds until then."""
    times: dict[str, float] = {}
    while len(times) < len(writers):
        if time.monotonic() > since + PATIENCE:
            raise TimeoutError([one for one in writers if one.session_id not in times])
        for one in writers:
            if one.acknowledged_at > since and one.session_id not in times:
                times[one.session_id] = one.acknowledged_at - since
        await asyncio.sleep(0.005)
    return sorted(times.values())


@pytest.mark.soak
@pytest.mark.parametrize("wait_replicas", [0, 1], ids=["no WAIT", "WAIT for all replicas"])
@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_faults(fault: str, wait_replicas: int, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(11)
    with Cluster(masters=3, replicas=1, node_timeout=NODE_TIMEOUT) as cluster:
        settings = cluster.settings(wait_replicas=wait_replicas, max_actions=1_000_000)
        seconds = []
        async with writing(settings, 0.02) as writers:
            for number in range(FAULTS):
                await asyncio.sleep(chance.uniform(0.3, 1.5))
                master, affected = chance.choice(list((await asyncio.to_thread(masters_of, cluster, writers)).items()))
                (cluster.kill if fault == "kill" else cluster.pause)(master)
                await asyncio.to_thread(cluster.failed_over, master)
                since = time.monotonic()
                if fault == "freeze" and number % 2:
                    cluster.resume(master)  # while it does not know yet that it was replaced
                if not wait_replicas:
                    seconds += (await resumed(affected, since))[:1]
                await asyncio.sleep(chance.uniform(0, 0.5))
                await asyncio.to_thread(cluster.settle)
                if wait_replicas:
                    await resumed(affected, time.monotonic())
        acknowledged, missing = await check(cluster, settings, writers)
        errors: Counter[str] = sum((one.errors for one in writers), Counter())
        unknown = sum(len(one.unknown) for one in writers)
        with capsys.disabled():
            print(f"\n{FAULTS} x {fault}, WAIT {wait_replicas}: {acknowledged:,} acknowledged, {len(missing)} missing")
            print(f"{unknown} unknown, {sum(len(one.failed) for one in writers)} failed; resumed {rounded(seconds)}")
            for text, times in errors.most_common(12):
                print(f"  {times} x {text}")
        assert not [text for one in writers for text in one.unexpected]
        if wait_replicas or fault == "freeze":
            assert not missing
        assert not seconds or max(seconds) < 10


def rounded(seconds: list[float]) -> str:
    """Percentiles, for the report."""
    if not seconds:
        return "-"
    ordered = sorted(seconds)
    return f"p50 {ordered[len(ordered) // 2]:.2f} s, max {ordered[-1]:.2f} s"


@pytest.mark.soak
async def test_an_idle_client_and_a_thawed_master(capsys: pytest.CaptureFixture[str]) -> None:
    """The client knows nothing of the failover: it was idle while the master was frozen, and writes when it thaws."""
    written = 0
    with Cluster(masters=3, replicas=1, node_timeout=NODE_TIMEOUT) as cluster:
        for number in range(THAWED):
            master = cluster.masters[0]
            key = cluster.key(master)
            server = connect(cluster.settings(timeout=30))
            await server.execute(("SET", key, 0))
            await asyncio.sleep(IDLE_SECONDS * 1.5)  # until it does not ask any more
            cluster.pause(master)
            promoted = await asyncio.to_thread(cluster.failed_over, master)
            names = [f"{{{key}}}{number}-{i}" for i in range(2_000)]
            # without a lease, these would be executed by the frozen master as soon as it thaws
            writes = [asyncio.create_task(server.execute(("SET", name, 1))) for name in names]
            await asyncio.sleep(0.1)
            cluster.resume(master)
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            await server.close()
            done = [name for name, outcome in zip(names, outcomes, strict=True) if outcome == [b"OK"]]
            await asyncio.to_thread(cluster.settle)
            lost = len(done) - promoted.raw.exists(*done) if done else 0
            assert not lost, f"{lost} acknowledged writes are lost"
            written += len(done)
            cluster.clear()
    with capsys.disabled():
        print(f"\n{THAWED} thawed masters: {written:,} acknowledged, 0 lost")
    assert written


#: Sessions that nobody changes, for the scans, and the seconds during which slots move.
UNCHANGED = 3_000
MOVING_SECONDS = 60.0


def supports_atomic(member: Member) -> bool:
    """Whether a server can migrate slots at once (Valkey 9)."""
    return int(str(member.info("server").get("valkey_version", "0")).partition(".")[0]) >= 9


def move_some(cluster: Cluster, chance: random.Random, atomic: bool) -> None:
    """Move some slots to another master: key by key, or atomically."""
    source, target = chance.sample(cluster.masters, 2)
    low, high = chance.choice(next(row for row in cluster.nodes(source) if row.myself).slots)
    first = chance.randint(low, high)
    if atomic:
        cluster.migrate_slots(first, min(high, first + 200), target)
    else:
        for slot in range(first, min(high, first + 5) + 1):
            cluster.move_slot(slot, target)


@pytest.mark.soak
@pytest.mark.parametrize("atomic", [False, True], ids=["key by key", "atomic"])
async def test_resharding(atomic: bool, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(13)
    with Cluster(masters=3, replicas=0) as cluster:
        if atomic and not supports_atomic(cluster.masters[0]):
            pytest.skip("this server cannot migrate slots at once")
        settings = cluster.settings(max_actions=1_000_000)
        moves = complete = warned = 0
        async with StateManager.open(settings) as lister, writing(settings, 0.01) as writers:
            ids = {f"sess_unchanged{number}" for number in range(UNCHANGED)}
            commands = [("SET", keys.session_key(one), "{}") for one in ids]
            for i in range(0, UNCHANGED, 500):
                await lister.store.keyspace._server.execute(*commands[i : i + 500])  # type: ignore[attr-defined]
            wanted = ids | {one.session_id for one in writers}
            end = time.monotonic() + MOVING_SECONDS

            async def reshard() -> None:
                nonlocal moves
                while time.monotonic() < end:
                    await asyncio.to_thread(move_some, cluster, chance, atomic)
                    moves += 1
                    await asyncio.sleep(chance.uniform(0, 1.0))

            moving = asyncio.create_task(reshard())
            while not moving.done():
                caplog.clear()
                batches = lister.list_session_ids(rate=chance.choice([None, 20_000]))
                found = [one async for batch in batches for one in batch]
                assert len(found) == len(set(found)), "listed twice"
                if "slots kept moving" in caplog.text:
                    warned += 1
                else:
                    complete += 1
                    assert wanted <= set(found), f"missed without a warning: {len(wanted - set(found))}"
            await moving
        acknowledged, missing = await check(cluster, settings, writers)
        unknown = sum(len(one.unknown) for one in writers)
        failed = sum(len(one.failed) for one in writers)
        with capsys.disabled():
            print(f"\n{moves} moves, atomic: {atomic}; {acknowledged:,} acknowledged, {len(missing)} missing,")
            print(f"{unknown} unknown, {failed} failed; {complete} complete scans, {warned} with a warning")
            for text, times in sum((one.errors for one in writers), Counter()).most_common(8):
                print(f"  {times} x {text}")
        assert not missing and moves and complete
        assert not [text for one in writers for text in one.unexpected]
