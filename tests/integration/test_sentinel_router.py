"""Requests to the primary of Sentinel, under a lease, with fake Sentinels and a clock that the tests set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from support.fake_sentinels import FakeDeployment, fake_deployment

from awictl import AccessDenied, Refused
from awictl.store.redis.keyspace import scan
from awictl.store.redis.replies import Lost
from awictl.store.redis.sentinel import SentinelRouter
from awictl.store.redis.sentinel_answers import LEASE_SECONDS
from awictl.store.redis.server import Server

WRITE = ("SET", "key", "value")


@pytest.fixture
async def fakes() -> AsyncIterator[FakeDeployment]:
    """Three Sentinels that name `old`."""
    async with fake_deployment() as deployment:
        yield deployment


async def write(router: SentinelRouter, *, idempotent: bool = False) -> str:
    """Write; returns the name of the server that did."""
    [reply] = await router.execute([WRITE], idempotent=idempotent)
    name: str = reply.decode()
    return name


async def until(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def test_the_primary_is_asked_and_the_sentinels_only_once(fakes: FakeDeployment) -> None:
    async with fakes.router() as router:
        assert [await write(router) for _ in range(3)] == ["old"] * 3
        # MYID, MASTER, GET-MASTER-ADDR-BY-NAME and SENTINELS, to each
        assert [len(one.commands) for one in fakes.sentinels] == [4, 4, 4]
    assert fakes.new.commands == []


async def test_the_highest_epoch_wins(fakes: FakeDeployment) -> None:
    fakes.sentinels[2].name(fakes.new, 2)
    async with fakes.router() as router:
        assert await write(router) == "new"
    assert fakes.old.commands == []


async def test_a_frozen_sentinel_is_not_waited_for(fakes: FakeDeployment) -> None:
    fakes.sentinels[0].thawed.clear()
    async with fakes.router() as router:
        task = asyncio.create_task(write(router))
        await until(lambda: all(len(one.commands) == 4 for one in fakes.sentinels[1:]))
        while not task.done():  # the clock goes on, but not by as much as a Sentinel may take
            fakes.now += 0.01
            await asyncio.sleep(0.01)
        assert await task == "old"


async def test_a_minority_is_not_believed(fakes: FakeDeployment) -> None:
    for sentinel in fakes.sentinels[1:]:
        sentinel.close()
    async with fakes.router() as router:
        with pytest.raises(Lost, match="only 1 of 3 Sentinels answer") as caught:
            await write(router)
        assert not caught.value.sent
    assert fakes.old.commands == []


async def test_sentinels_that_do_not_answer_in_time_are_asked_again(fakes: FakeDeployment) -> None:
    fakes.sentinels[0].close()
    for slow in fakes.sentinels[1:]:
        slow.thawed.clear()
    async with fakes.router(answer_timeout=0.2) as router:
        task = asyncio.create_task(write(router))
        await until(lambda: task.done() or len(fakes.sentinels[1].connections) > 1)
        for slow in fakes.sentinels[1:]:
            slow.thawed.set()
        assert await task == "old"


async def test_the_others_are_found_if_one_is_configured(fakes: FakeDeployment) -> None:
    async with fakes.router(count=1) as router:
        assert await write(router) == "old"
        assert all(one.commands for one in fakes.sentinels)


async def test_an_idle_client_asks_before_it_writes(fakes: FakeDeployment) -> None:
    async with fakes.router() as router:
        assert await write(router) == "old"
        fakes.now += LEASE_SECONDS + 0.1
        fakes.promote()
        assert await write(router) == "new"
    assert fakes.old.commands == [list(WRITE)]


async def test_nothing_is_asked_while_nothing_is_in_use(fakes: FakeDeployment) -> None:
    async with fakes.router() as router:
        await write(router)
        fakes.now += LEASE_SECONDS
        await until(lambda: not [one for one in asyncio.all_tasks() if "SentinelLease" in repr(one)])
        assert [len(one.commands) for one in fakes.sentinels] == [4, 4, 4]
        assert await write(router) == "old"


async def test_a_request_in_progress_is_given_up_when_another_is_promoted(fakes: FakeDeployment) -> None:
    async with fakes.router() as router:
        fakes.old.thawed.clear()  # its greeting is not answered either: nothing is sent
        task = asyncio.create_task(write(router))
        await asyncio.sleep(0.05)
        fakes.promote()
        assert await task == "new"
    assert fakes.old.commands == []


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_write_that_was_sent_is_repeated_only_if_idempotent(fakes: FakeDeployment, idempotent: bool) -> None:
    async with fakes.router() as router:
        await write(router)
        fakes.old.thawed.clear()
        task = asyncio.create_task(write(router, idempotent=idempotent))
        await until(lambda: len(fakes.old.commands) == 2)
        fakes.promote()
        if idempotent:
            assert await task == "new"
        else:
            with pytest.raises(Lost) as caught:
                await task
            assert caught.value.sent
            assert fakes.new.commands == []


@pytest.mark.parametrize("promoted", [False, True])
async def test_a_late_reply_counts_only_if_the_primary_is_still_one(fakes: FakeDeployment, promoted: bool) -> None:
    async with fakes.router() as router:
        await write(router)
        for sentinel in fakes.sentinels:
            sentinel.thawed.clear()
        fakes.old.thawed.clear()
        task = asyncio.create_task(write(router))
        await until(lambda: len(fakes.old.commands) == 2)
        fakes.now += LEASE_SECONDS + 0.1
        fakes.old.thawed.set()  # it executes the request, and replies
        await asyncio.sleep(0.05)
        assert not task.done()
        if promoted:
            fakes.promote()
        for sentinel in fakes.sentinels:
            sentinel.thawed.set()
        if not promoted:
            assert await task == "old"
            return
        with pytest.raises(Lost, match="it was replaced as the primary before it replied") as caught:
            await task
        assert caught.value.sent


async def test_a_failing_primary_is_not_used(fakes: FakeDeployment) -> None:
    fakes.sentinels[1].flags = "s_down,o_down,master"
    async with fakes.router() as router:
        task = asyncio.create_task(write(router))
        await until(lambda: all(one.commands for one in fakes.sentinels))
        await asyncio.sleep(0.05)
        assert not task.done() and fakes.old.commands == []
        fakes.promote()
        assert await task == "new"


@pytest.mark.parametrize("text", ["READONLY You can't write against a read only replica.", "LOADING Redis is loading"])
async def test_a_refused_request_is_repeated(fakes: FakeDeployment, text: str) -> None:
    fakes.old.next = [ValueError(text)]
    async with fakes.router() as router:
        assert await write(router) == "old"
    assert len(fakes.old.commands) == 2


async def test_wait_is_repeated_with_its_write(fakes: FakeDeployment) -> None:
    fakes.old.next = [ValueError("READONLY replica"), ValueError("ERR WAIT cannot be used with replica instances")]
    async with fakes.router() as router:
        replies = await router.execute([WRITE, ("WAIT", "1", "10")], idempotent=False, own=True)
    assert replies == [b"old", b"old"]


async def test_closing_ends_requests_and_leaves_no_task(fakes: FakeDeployment) -> None:
    before = asyncio.all_tasks()
    async with fakes.router() as router:
        await write(router)
        fakes.old.thawed.clear()
        sent = asyncio.create_task(write(router, idempotent=True))
        await until(lambda: len(fakes.old.commands) == 2)
        fakes.sentinels[1].flags = fakes.sentinels[2].flags = "o_down"
        fakes.now += LEASE_SECONDS + 0.1
        waiting = asyncio.create_task(write(router))
        await asyncio.sleep(0.05)
    with pytest.raises(Lost, match="closed"):
        await sent
    with pytest.raises(Lost, match="closed") as caught:
        await waiting
    assert not caught.value.sent
    ours = {task for task in asyncio.all_tasks() - before if "FakeServer" not in repr(task)}
    assert ours == set()


async def test_a_scan_starts_again_on_a_new_primary(fakes: FakeDeployment) -> None:
    fakes.old.next = [["7", ["AWI:a"]]]
    fakes.new.next = [["0", ["AWI:c"]], ["3", ["AWI:a"]], ["0", ["AWI:b"]]]
    async with fakes.router() as router:
        batches = scan(Server(router), None)
        assert await anext(batches) == [b"AWI:a"]
        fakes.now += LEASE_SECONDS + 0.1
        fakes.promote()
        # the cursor 7 means nothing to the new one, whatever it replies
        assert [names async for names in batches] == [[b"AWI:a"], [b"AWI:b"]]
    assert [command[1] for command in fakes.new.commands] == ["7", "0", "3"]


async def test_a_replica_is_never_written(fakes: FakeDeployment) -> None:
    fakes.old.role = "slave"
    async with fakes.router(timeout=LEASE_SECONDS / 2) as router:
        task = asyncio.create_task(write(router))
        await asyncio.sleep(0.2)
        assert not task.done()
        fakes.now += LEASE_SECONDS / 2
        with pytest.raises(Lost, match="it is not the primary now") as caught:
            await task
        assert not caught.value.sent
    assert fakes.old.commands == []


@pytest.mark.parametrize(
    ("text", "error", "setting"),
    [
        ("NOAUTH Authentication required.", AccessDenied, "REDIS_SENTINEL_PASSWORD"),
        ("ERR No such master with that name", Refused, "REDIS_SENTINEL_MASTER"),
    ],
)
async def test_a_wrong_setting_is_named_at_once(
    fakes: FakeDeployment, text: str, error: type[Exception], setting: str
) -> None:
    for sentinel in fakes.sentinels:
        sentinel.error = ValueError(text)
    async with fakes.router() as router:
        with pytest.raises(error, match=setting):
            await write(router)
