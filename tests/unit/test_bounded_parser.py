"""The limits of replies, before hiredis gets to see them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from awictl.store.redis.bounded_parser import EXTRA_BYTES, BoundedParser, ReplyTooLarge

MAX_BYTES = 1_000_000


def fed(*chunks: bytes) -> BoundedParser:
    """A parser whose connection delivers these chunks one by one, and is then closed."""
    waiting = list(chunks)

    async def read(size: int) -> bytes:
        return waiting.pop(0) if waiting else b""

    parser = BoundedParser(MAX_BYTES, 65_536)
    parser.on_connect(
        SimpleNamespace(_reader=SimpleNamespace(read=read), encoder=SimpleNamespace(decode_responses=False))
    )
    return parser


@pytest.mark.parametrize(
    "chunks",
    [
        [b"*1000000000\r\n"],
        [b"*1\r\n*1000000000\r\n"],
        [b"$3\r\nabc\r\n*1000000000\r\n"],
        [b"*1\r\n*1\r\n*1000000\r\n:1\r\n"],
        [b"*1\r\n*10000", b"00000\r\n"],
        [b"*2\r\n$5000\r\n" + b"x" * 5000 + b"\r", b"\n*1000000\r\n"],
        [b"$1099511627776\r\n"],
        [b"*1\r\n$10995116", b"27776\r", b"\n"],
        [b"$%d\r\n" % (MAX_BYTES + EXTRA_BYTES + 1)],
    ],
)
async def test_a_reply_that_announces_too_much_never_reaches_hiredis(chunks: list[bytes]) -> None:
    parser = fed(*chunks)
    with pytest.raises(ReplyTooLarge, match="it announced"):
        await parser.read_response(disable_decoding=True)
        await parser.read_response(disable_decoding=True)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"$7\r\n*999999\r\n"], b"*999999"),
        ([b"*2\r\n:1\r\n", b"$3\r\nabc\r\n"], [1, b"abc"]),
        ([b"$9\r\n$12345678", b"\r\n"], b"$12345678"),
        ([b"$14\r\n\r\n*999999999", b"\r\n\r\n"], b"\r\n*999999999\r\n"),
        ([b"*2\r\n$16\r\n\r\n$99999999999\r\n\r\n", b":1\r\n"], [b"\r\n$99999999999\r\n", 1]),
        ([b"$1000000\r\n" + b"x" * 1_000_000 + b"\r\n"], b"x" * 1_000_000),
    ],
)
async def test_other_replies_are_parsed(chunks: list[bytes], expected: object) -> None:
    assert await fed(*chunks).read_response(disable_decoding=True) == expected


async def test_a_closed_connection_is_reported() -> None:
    with pytest.raises(RedisConnectionError):
        async with asyncio.timeout(60):
            await fed(b"*1\r\n").read_response(disable_decoding=True)
