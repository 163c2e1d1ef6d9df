"""Updates of live sessions in MongoDB at the same time, with lost replies, and killed: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import forking
from support.documents import AGENT_ID, SESSION_ID, document
from support.killing import Killer, Moment
from support.mongo import DATABASE, MongoServer
from support.mongo_live import settings_for
from support.proxy import Cut, Proxy, once, proxied
from support.writer import Order, assert_nothing_lost, run_writers

from awictl import OutcomeUnknown, Settings, StateManager, Unreachable, Updated
from awictl.document.byte_layout import decode, encode
from awictl.sessions import update
from awictl.store.mongo.commit import Commits
from awictl.store.mongo.sessions import MongoStore

pytestmark = pytest.mark.usefixtures("mongo_sockets")

DAY = 86_400_000
#: Number of actions with which the next update moves lines to a part.
FULL = 128


async def put(mongo: MongoServer, actions: int, size: int = 1) -> None:
    """Store the session without awictl's manager."""
    store = MongoStore.open(Settings(mongodb_uri=mongo.uri))
    await store.put(SESSION_ID, AGENT_ID, encode(document([size] * actions)), DAY)
    await store.close()


async def stored(mongo: MongoServer) -> dict[str, Any]:
    store = MongoStore.open(Settings(mongodb_uri=mongo.uri))
    found = await store.read(SESSION_ID)
    await store.close()
    assert found is not None
    return decode(found.raw)


def parts(mongo: MongoServer) -> list[dict[str, Any]]:
    return list(mongo.raw["awi_live_parts"].find())


def op_ids(document: dict[str, Any]) -> list[str]:
    return [one["op_id"] for one in document["history"]["actions"] if "op_id" in one]


@pytest.fixture
async def manager(mongo: MongoServer) -> AsyncIterator[StateManager]:
    async with StateManager.open(settings_for(mongo.uri)) as opened:
        yield opened


# -- at the same time


@pytest.mark.parametrize("load", [(2, 2, 20), pytest.param((4, 8, 100), marks=pytest.mark.soak)], ids=str)
async def test_updates_of_several_processes_are_all_applied_once(
    manager: StateManager, mongo: MongoServer, load: tuple[int, int, int]
) -> None:
    processes, writers, deltas = load
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    fields = {"use_redis": False, "mongodb_uri": mongo.uri, "max_actions": 20_000}
    orders = [Order(fields, SESSION_ID, f"p{index}", writers, deltas) for index in range(processes)]
    results = await run_writers(orders)
    found = assert_nothing_lost(await stored(mongo), results)
    assert len(results) == processes * writers * deltas and len(found) > len(results) // 2


async def test_two_writers_move_lines_at_the_same_time(mongo: MongoServer) -> None:
    """Both find the document full, and both write a part: only one of them becomes part of the session."""
    await put(mongo, FULL)
    async with (
        StateManager.open(settings_for(mongo.uri)) as one,
        StateManager.open(settings_for(mongo.uri)) as other,
    ):
        await asyncio.gather(*(manager.apply(SESSION_ID, {"n": n}) for n in range(3) for manager in (one, other)))
    actions = (await stored(mongo))["history"]["actions"]
    assert [action["t"] for action in actions] == list(range(FULL + 6))
    assert len(parts(mongo)) == 1, "that of the other was deleted"


# -- interrupted


class _Crash(BaseException):
    """The process ends here."""


async def test_a_crash_between_a_part_and_the_update_leaves_the_session_as_it_was(
    mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(mongo, FULL, size=7_000)
    before = await stored(mongo)
    op_id = "op-huge"
    with monkeypatch.context() as patch:

        async def crash(commits: Commits, write: Any, condition: Any, change: Any) -> bool:
            if "$push" in change:
                return False
            raise _Crash

        patch.setattr(Commits, "_update", crash)
        async with StateManager.open(settings_for(mongo.uri)) as manager:
            with pytest.raises(_Crash):  # the new action is so large that it is in the part, too
                await manager.apply(SESSION_ID, {"n": 1}, {"op_id": op_id, "observation": "x" * 600_000})
    assert await stored(mongo) == before
    orphans = parts(mongo)
    assert any(op_id in one["op_ids"] for one in orphans), "it was written"
    assert all(one["expires_at"] is not None for one in orphans), "the TTL index deletes it"
    async with StateManager.open(settings_for(mongo.uri)) as manager:
        updated = await manager.apply(SESSION_ID, {"n": 1}, {"op_id": op_id})
        assert updated.action is not None, "an action in a part to which no session refers was not applied"
        assert (await manager.apply(SESSION_ID, {"n": 1}, {"op_id": op_id})).action is None
    assert op_ids(await stored(mongo)) == [op_id]


APPLY = ("session", "apply", SESSION_ID, '{"n":1}', "--op-id")


def run_killed(mongo: MongoServer, folder: Path, killer: Killer, *words: str) -> None:
    """Run a command through the proxy of `killer`."""
    port = killer.mongo(mongo.port)
    env = {
        **os.environ,
        "AWI_USE_REDIS": "false",
        "MONGODB_URI": f"mongodb://127.0.0.1:{port}/{DATABASE}?directConnection=true&retryWrites=false",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    with tempfile.TemporaryFile() as output, Path(os.devnull).open("rb") as empty:
        fds = (empty.fileno(), output.fileno(), output.fileno())
        with forking.start(words, env=env, cwd=folder, fds=fds) as process:
            killer.pid = process.pid
            code = process.wait(60)
        killer.close()
        output.seek(0)
        assert code in (0, -9), output.read()


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["one", "all"])
async def test_a_process_is_killed_while_it_moves_lines(mongo: MongoServer, tmp_path: Path, every: bool) -> None:
    await put(mongo, FULL)
    killer = Killer()
    run_killed(mongo, tmp_path, killer, *APPLY, "op-0")
    steps = killer.steps
    last = max(number for number, name in enumerate(steps) if name == "update")
    assert "find" in steps and steps.count("update") >= 2, "the usual update, a part, and the whole list"
    cases = [(step, moment) for step in range(len(steps)) for moment in Moment] if every else [(last, Moment.BEFORE)]
    for number, (step, moment) in enumerate(cases):
        mongo.clear()
        await put(mongo, FULL)
        op_id = f"op-{number + 1}"
        killer = Killer(step, moment)
        run_killed(mongo, tmp_path, killer, *APPLY, op_id)
        assert killer.killed or every
        found = await stored(mongo)
        assert op_ids(found) in ([], [op_id]), (step, moment)
        async with StateManager.open(settings_for(mongo.uri)) as manager:
            await manager.apply(SESSION_ID, {"n": 1}, {"op_id": op_id})
        found = await stored(mongo)
        assert op_ids(found) == [op_id], (step, moment)
        assert [action["t"] for action in found["history"]["actions"]] == list(range(FULL + 1))


@pytest.mark.soak
async def test_a_process_is_killed_while_it_deletes_a_session(mongo: MongoServer, tmp_path: Path) -> None:
    words = ("session", "end", "--discard", "--yes", SESSION_ID)
    await put(mongo, 300)
    killer = Killer()
    run_killed(mongo, tmp_path, killer, *words)
    for step, moment in ((step, moment) for step in range(len(killer.steps)) for moment in Moment):
        mongo.clear()
        await put(mongo, 300)
        run_killed(mongo, tmp_path, Killer(step, moment), *words)
        if mongo.raw["awi_live_sessions"].count_documents({}):
            assert len((await stored(mongo))["history"]["actions"]) == 300, (step, moment)
        assert all(one["expires_at"] is not None for one in parts(mongo)), "the TTL index deletes what is left"


# -- lost replies


@pytest.mark.parametrize(("actions", "mark"), [(5, b"$push"), (FULL, b"skip")], ids=["usual", "moves lines"])
@pytest.mark.parametrize("cut", Cut)
async def test_a_lost_reply_applies_nothing_twice(mongo: MongoServer, cut: Cut, actions: int, mark: bytes) -> None:
    """The driver does not repeat the write; the next attempt finds the op_id, or does not."""
    await put(mongo, actions)
    async with proxied(mongo) as proxy, StateManager.open(proxy.settings()) as manager:
        await manager.store.ping()
        proxy.rule = once(cut, b"update\x00", mark, b"mine")
        updated = await manager.apply(SESSION_ID, {"mine": 1})
        assert proxy.cuts[cut] == proxy.all_cuts == 1
    found = await stored(mongo)
    assert op_ids(found) == [updated.op_id] and found["mine"] == 1
    assert (updated.action is None) == (cut is Cut.REPLY)


@pytest.mark.parametrize("cut", [Cut.REPLY, Cut.REQUEST])
async def test_a_write_that_the_driver_repeats_is_applied_once(mongo: MongoServer, cut: Cut) -> None:
    await put(mongo, 5)
    async with proxied(mongo) as proxy:
        uri = str(proxy.settings().mongodb_uri).replace("&retryWrites=false", "")
        async with StateManager.open(settings_for(uri)) as manager:
            await manager.store.ping()
            proxy.rule = once(cut, b"update\x00", b"$push", b"mine")
            updated = await manager.apply(SESSION_ID, {"mine": 1})
            assert proxy.all_cuts == 1
    assert op_ids(await stored(mongo)) == [updated.op_id]


async def test_others_write_before_a_lost_update_is_repeated(mongo: MongoServer, manager: StateManager) -> None:
    """So many that its action is in a part by then."""
    await put(mongo, 5)
    async with proxied(mongo) as proxy, StateManager.open(proxy.settings()) as cut_off:
        await cut_off.store.ping()

        async def others() -> None:
            for _ in range(4):
                await manager.apply(SESSION_ID, {"other": 1}, {"observation": "x" * 500_000})

        proxy.before_cut = others
        proxy.rule = once(Cut.REPLY, b"update\x00", b"$push", b"mine")
        updated = await cut_off.apply(SESSION_ID, {"mine": 1})
        assert updated.action is None and updated.head["other"] == 1
    found = await stored(mongo)
    assert op_ids(found).count(updated.op_id) == 1 and len(op_ids(found)) == 5
    assert any(updated.op_id in one["op_ids"] for one in parts(mongo))


async def test_an_update_while_the_server_is_killed(
    new_mongo: Callable[[], MongoServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is unknown; the same op_id applies it once when the server is back."""
    monkeypatch.setattr(update, "RETRY_SECONDS", 0.5)
    server = new_mongo()
    await put(server, 5)
    async with proxied(server) as proxy, StateManager.open(proxy.settings(timeout=2)) as manager:
        await manager.store.ping()

        async def kill() -> None:
            server.kill()

        proxy.before_cut = kill
        proxy.rule = once(Cut.REPLY, b"update\x00", b"$push", b"mine")
        with pytest.raises(OutcomeUnknown) as raised:
            await manager.apply(SESSION_ID, {"mine": 1})
        proxy.before_cut = _nothing
        server.disconnect()
        server.start()
        updated: Updated | None = None
        for _ in range(20):
            with suppress(Unreachable, OutcomeUnknown):
                updated = await manager.apply(SESSION_ID, {"mine": 1}, {"op_id": raised.value.op_id})
                break
        assert updated is not None
    assert op_ids(await stored(server)) == [raised.value.op_id]


async def test_a_server_that_hangs_is_unreachable_in_time(
    new_mongo: Callable[[], MongoServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen, not dead: its connections stay open."""
    monkeypatch.setattr(update, "RETRY_SECONDS", 0.1)
    server = new_mongo()
    await put(server, 5)
    async with StateManager.open(settings_for(server.uri, timeout=1.0)) as manager:
        await manager.apply(SESSION_ID, {"n": 0})
        server.pause()
        with pytest.raises(Unreachable):
            await asyncio.wait_for(manager.get_session_state(SESSION_ID), 20)
        with pytest.raises((OutcomeUnknown, Unreachable)) as raised:
            await asyncio.wait_for(manager.apply(SESSION_ID, {"mine": 1}, {"op_id": "mine"}), 30)
        server.resume()
        assert isinstance(raised.value, (OutcomeUnknown, Unreachable))
        for _ in range(20):
            with suppress(Unreachable, OutcomeUnknown):
                await manager.apply(SESSION_ID, {"mine": 1}, {"op_id": "mine"})
                break
    assert op_ids(await stored(server)).count("mine") == 1


async def _nothing() -> None:
    """Before a cut."""


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with StateManager.open(settings_for("mongodb://127.0.0.1:1/awi", timeout=0.5)) as manager:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await manager.apply(SESSION_ID, {"n": 1})


# -- cost


async def cost(proxy: Proxy, manager: StateManager, updates: int) -> tuple[int, int]:
    """Requests and bytes of further updates, of which the first reads the head."""
    requests, size = proxy.round_trips, proxy.bytes
    for n in range(updates):
        await manager.update_state_with_delta(SESSION_ID, {"n": n})
    return proxy.round_trips - requests, proxy.bytes - size


async def test_an_update_costs_the_same_at_any_length(mongo: MongoServer) -> None:
    """Counted, not timed: requests and bytes in both directions, also of a page and of an update with an own op_id."""
    costs: dict[int, tuple[int, int]] = {}
    async with proxied(mongo) as proxy:
        for actions in (6, 5_000):
            mongo.clear()
            await put(mongo, actions, size=200)
            async with StateManager.open(proxy.settings(max_actions=100_000)) as manager:
                await manager.update_state_with_delta(SESSION_ID, {"n": 0})
                total = await cost(proxy, manager, 10)
                requests, size = proxy.round_trips, proxy.bytes
                await manager.apply(SESSION_ID, {"n": 0}, {"op_id": "mine"})
                await manager.get_action_history(SESSION_ID, 5)
                costs[actions] = (
                    total[0] + proxy.round_trips - requests,
                    total[1] + proxy.bytes - size,
                )
    (few_requests, few_bytes), (many_requests, many_bytes) = costs[6], costs[5_000]
    # the driver's own monitoring may fall into either
    assert abs(many_requests - few_requests) <= 6
    # the page's document lists its parts
    assert many_bytes < few_bytes + 12_000 < 100_000


async def test_moving_lines_is_rare(mongo: MongoServer) -> None:
    await put(mongo, FULL)
    async with StateManager.open(settings_for(mongo.uri)) as manager:
        for n in range(62):
            await manager.update_state_with_delta(SESSION_ID, {"n": n})
    assert len(parts(mongo)) == 1
