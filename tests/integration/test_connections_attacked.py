"""Connections to servers that break the protocol or the connection, and callers that cancel or close at any moment."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from support.valkey import ValkeyServer

from awictl.store.redis.address import Access, Address
from awictl.store.redis.connection import Connection
from awictl.store.redis.node import MAX_CONNECTIONS, Node
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
    await _no_connection_is_left(valkey)


async def _no_connection_is_left(valkey: ValkeyServer) -> None:
    """Except that of the test."""
    async with asyncio.timeout(LIMIT):
        while await _connected(valkey) > 1:
            await asyncio.sleep(0.01)


async def _connected(valkey: ValkeyServer) -> int:
    return len(valkey.raw.client_list())


async def test_a_node_is_closed_at_any_step_of_its_requests(valkey: ValkeyServer) -> None:
    """What was acknowledged was executed, what was not sent was not, and no caller is cancelled."""
    acknowledged = unknown = 0
    for steps in range(16):
        node = Node(Address(socket=str(valkey.socket)), Access())
        asking = [asyncio.create_task(node.execute([("INCR", "n")], own=own)) for own in (False, True) * 3]
        for _ in range(steps):
            await asyncio.sleep(0)
        await node.close()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(one) for one in outcomes} <= {list, Lost}
        acknowledged += sum(isinstance(one, list) for one in outcomes)
        unknown += sum(isinstance(one, Lost) and one.sent for one in outcomes)
    await _no_connection_is_left(valkey)
    assert acknowledged <= int(valkey.raw.get("n") or 0) <= acknowledged + unknown


async def test_a_stream_is_cancelled_at_any_step(valkey: ValkeyServer) -> None:
    node = Node(Address(socket=str(valkey.socket)), Access())

    async def watch() -> None:
        async for _ in node.stream(("MONITOR",), LIMIT):
            pass

    for steps in range(16):
        watching = asyncio.create_task(watch())
        for _ in range(steps):
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()
    await _no_connection_is_left(valkey)
    assert node._free._value == MAX_CONNECTIONS - 1, "none counts as used"
    await node.close()


async def test_thousands_of_callers_at_once(valkey: ValkeyServer) -> None:
    node = Node(Address(socket=str(valkey.socket)), Access(timeout=LIMIT))
    names = [f"{number}" for number in range(5_000)]
    found = await asyncio.gather(*(node.execute([("ECHO", one)], own=one.endswith("7")) for one in names))
    assert [one.decode() for [one] in found] == names
    assert await _connected(valkey) <= MAX_CONNECTIONS + 1
    await node.close()
    await _no_connection_is_left(valkey)


@pytest.mark.parametrize(
    ("end", "reason"),
    [("silence", "no answer in time"), ("drip", "no answer in time"), ("close", "closed"), ("reset", "reset")],
)
async def test_half_a_reply(end: str, reason: str) -> None:
    """It is none, and the second request of the same connection, which was sent too, has no reply either."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"$1000\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        if end == "reset":
            reset = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        while end in ("silence", "drip"):
            await asyncio.sleep(0.05)
            if end == "drip":
                writer.write(b"x")

    async with served(half, timeout=0.3 if end in ("silence", "drip") else LIMIT) as node:
        asking = (node.execute([("ECHO", "a")]), node.execute([("ECHO", "b"), ("ECHO", "c")]))
        for outcome in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(outcome, Lost) and outcome.sent and reason in outcome.reason, outcome
            assert outcome.timed_out == (reason == "no answer in time")


async def test_opening_is_cancelled_without_a_trace(valkey: ValkeyServer) -> None:
    for steps in range(12):
        opening = asyncio.create_task(Connection.open(Address(socket=str(valkey.socket)), Access(db=1)))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            opening.result().abort()
    await _no_connection_is_left(valkey)
