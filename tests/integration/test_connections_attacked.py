"""Connections to servers that break the protocol or the connection, and callers that cancel or close at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from support.valkey import ValkeyServer

from awictl.store.redis.address import Access, Address
from awictl.store.redis.connection import Connection
from awictl.store.redis.node import Node
from awictl.store.redis.replies import Lost

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
#: Seconds after which a test fails that waits for something; its own timeouts are shorter.
LIMIT = 20.0
ECHO = b"*2\r\n$4\r\nECHO\r\n"


@asynccontextmanager
async def served(handle: Handler, *, timeout: float = 5.0, max_bytes: int = 1 << 24) -> AsyncIterator[Node]:
    """A node whose server is a function."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    node = Node(Address("127.0.0.1", port), Access(timeout=timeout, max_bytes=max_bytes))
    try:
        async with asyncio.timeout(LIMIT):
            yield node
    finally:
        await node.close()
        server.close()
        await server.wait_closed()


async def commands_of(reader: asyncio.StreamReader) -> AsyncIterator[list[bytes]]:
    """The commands that arrive on a connection."""
    while line := await reader.readline():
        words = []
        for _ in range(int(line[1:])):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
        yield words


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that repeats the argument of ECHO, and answers SCAN with what it is asked for."""
    async for words in commands_of(reader):
        writer.write(bulk(words[-1]))
        await writer.drain()


async def test_an_empty_request_returns_at_once_and_takes_no_reply() -> None:
    async with served(echo) as node:
        requests: list[list[tuple[str, str]]] = [[], [("ECHO", "a")], [], [("ECHO", "b")]]
        assert await asyncio.gather(*map(node.execute, requests)) == [[], [b"a"], [], [b"b"]]
        assert await node.execute([], own=True) == []


@pytest.mark.parametrize("own", [False, True])
async def test_a_reply_before_the_request_was_sent_completely(own: bool) -> None:
    """The server does not read the rest. The next request must not wait for that for ever."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"+OK\r\n")
        await asyncio.sleep(LIMIT)

    async with served(early, timeout=0.2) as node:
        big = [("SET", "k", bytes(10_000_000))] if own else [("ECHO", bytes(60_000))] * 49
        outcomes = await asyncio.gather(*(node.execute(big, own=own) for _ in range(3)), return_exceptions=True)
        assert own or all(isinstance(one, Lost) and one.timed_out for one in outcomes)
        for _ in range(2):
            with suppress(Lost):
                await node.execute(big, own=own)
        with pytest.raises(Lost):
            await node.execute([("ECHO", "next"), ("ECHO", "one")], own=own)


@pytest.mark.parametrize("own", [False, True])
async def test_closing_a_node_while_it_connects_cancels_no_caller(own: bool) -> None:
    """The greeting is never answered."""
    sent = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.read(100))
        await asyncio.sleep(LIMIT)

    async with served(silent) as node:
        node = Node(node.address, Access(db=1))
        asking = [asyncio.create_task(node.execute([("ECHO", "a")], own=own)) for _ in range(3)]
        while len(sent) < (3 if own else 1):
            await asyncio.sleep(0.01)
        await node.close()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert [(type(one), getattr(one, "sent", None)) for one in outcomes] == [(Lost, False)] * 3
        with pytest.raises(Lost):
            await node.execute([("ECHO", "b")], own=own)


@pytest.mark.parametrize(
    "odd",
    [
        b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n",
        b"%1\r\n*0\r\n+a\r\n",
        b"%1\r\n%1\r\n+a\r\n+b\r\n+c\r\n",
        b"*-7\r\n",
        b"garbage\r\n",
        b"+extra\r\n+extra\r\n",
    ],
)
async def test_what_is_not_a_reply_ends_the_connection(odd: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def breaking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for words in commands_of(reader):
            writer.write(odd if words[1] == b"odd" else bulk(words[1]))

    async with served(breaking) as node:
        assert await node.execute([("ECHO", "a")]) == [b"a"]
        if odd.startswith(b"+"):
            assert await node.execute([("ECHO", "odd")]) == [b"extra"]
        else:
            with pytest.raises(Lost) as raised:
                await node.execute([("ECHO", "odd")])
            assert raised.value.sent and not raised.value.timed_out
        assert await node.execute([("ECHO", "b")]) == [b"b"], "on a new connection"
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_large_replies_among_many_that_never_end_with_a_packet() -> None:
    """The limits hold for each request, not for all that share the connection."""
    sizes = [70_001] * 120 + [1_500_001] + [70_001] * 10

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = b""
        async for _, number, _ in commands_of(reader):
            whole += bulk(bytes(sizes[int(number)]))
            if int(number) == len(sizes) - 1:
                break
        for at in range(0, len(whole), 65_536):
            writer.write(whole[at : at + 65_536])
            await writer.drain()
            await asyncio.sleep(0)
        await asyncio.sleep(LIMIT)

    async with served(answer, max_bytes=2_000_000) as node:
        await node._open_shared()
        found = await asyncio.gather(*(node.execute([("ECHO", number, "x")]) for number in range(len(sizes))))
        assert [len(one) for [one] in found] == sizes


@pytest.mark.parametrize("kind", [b"*1000000", b"*99999999999", b"%1000000"])
async def test_an_array_that_is_announced_within_replies_that_are_too_many_to_keep(kind: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"*2\r\n" + bulk(bytes(6_000_000)))
        await writer.drain()
        writer.write(kind + b"\r\n")
        await asyncio.sleep(LIMIT)

    async with served(answer) as node:
        with pytest.raises(Lost, match=r"elements|announced"):
            await node.execute([("ECHO", "x")])


async def test_a_cancelled_caller_at_every_step_takes_no_reply_of_others(valkey: ValkeyServer) -> None:
    node = Node(Address(socket=str(valkey.socket)), Access())
    try:
        for own in (False, True):
            for steps in range(12):
                victim = asyncio.create_task(node.execute([("ECHO", f"victim {steps}")], own=own))
                other = asyncio.create_task(node.execute([("ECHO", f"other {steps}")], own=own))
                for _ in range(steps):
                    await asyncio.sleep(0)
                victim.cancel()
                assert await other == [b"other %d" % steps]
                assert await node.execute([("ECHO", f"next {steps}")], own=own) == [b"next %d" % steps]
                assert (await asyncio.gather(victim, return_exceptions=True))[0] in ([b"victim %d" % steps],) or (
                    victim.cancelled()
                )
        assert await _connected(valkey) <= 4
    finally:
        await node.close()
    async with asyncio.timeout(LIMIT):
        while await _connected(valkey) > 1:  # the one of the test
            await asyncio.sleep(0.01)


async def _connected(valkey: ValkeyServer) -> int:
    return len(valkey.raw.client_list())


async def test_a_connection_of_a_closed_node_is_not_used(valkey: ValkeyServer) -> None:
    node = Node(Address(socket=str(valkey.socket)), Access())
    asking: list[asyncio.Task[list[Any]]] = [
        asyncio.create_task(node.execute([("INCR", "n")], own=own)) for own in (False, True) * 3
    ]
    for _ in range(2):
        await asyncio.sleep(0)
    await node.close()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    acknowledged = sum(isinstance(one, list) for one in outcomes)
    unknown = sum(isinstance(one, Lost) and one.sent for one in outcomes)
    assert acknowledged <= int(valkey.raw.get("n") or 0) <= acknowledged + unknown
    assert not any(isinstance(one, asyncio.CancelledError) for one in outcomes)


async def test_opening_is_cancelled_without_a_trace(valkey: ValkeyServer) -> None:
    for steps in range(12):
        opening = asyncio.create_task(Connection.open(Address(socket=str(valkey.socket)), Access(db=1)))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            opening.result().abort()
    async with asyncio.timeout(LIMIT):
        while await _connected(valkey) > 1:
            await asyncio.sleep(0.01)
