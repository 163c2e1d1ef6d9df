"""The limits of replies, before hiredis gets to see them."""

from __future__ import annotations

import pytest

from awictl.store.redis.replies import EXTRA_BYTES, PARTIAL, ReplyReader, ReplyTooLarge

MAX_BYTES = 1_000_000


def replies(*chunks: bytes) -> list[object]:
    """The replies in these chunks, which arrive one by one."""
    reader = ReplyReader(MAX_BYTES)
    found = []
    for chunk in chunks:
        reader.feed(chunk)
        while (reply := reader.gets()) is not PARTIAL:
            found.append(reply)
        reader.rest()
    return found


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
def test_a_reply_that_announces_too_much_never_reaches_hiredis(chunks: list[bytes]) -> None:
    with pytest.raises(ReplyTooLarge, match="it announced"):
        replies(*chunks)


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
def test_other_replies_are_parsed(chunks: list[bytes], expected: object) -> None:
    assert replies(*chunks) == [expected]
