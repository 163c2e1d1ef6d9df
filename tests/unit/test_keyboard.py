"""Keys in what terminals send."""

from __future__ import annotations

import pytest

from awictl.cli.framework.keyboard import KeyDecoder


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"q g17\r", ["q", " ", "g", "1", "7", "enter"]),
        (b"\x1b[C\x1bOD\x1b[H\x1bOF\x1b[1~\x1b[4~", ["right", "left", "home", "end", "home", "end"]),
        (b"\x1b[A\x1b[B\x1b[5~\x1b[6~\x7f\x08", ["up", "down", "page up", "page down", "backspace", "backspace"]),
        (b"a\x1b[1;5Cb\x1b[200~c\x1b[<0;1;2Md", ["a", "b", "c", "d"]),  # with Ctrl; a paste; a mouse
        (b"\x1bq", ["escape", "q"]),
        (b"\x1b[1\x1b[Cn", ["right", "n"]),
        ("é→\u202e\x04".encode(), ["é", "→"]),
        (b"\xff+", ["+"]),
    ],
)
def test_keys(sent: bytes, keys: list[str]) -> None:
    assert [*KeyDecoder().feed(sent)] == keys
    apart = KeyDecoder()
    assert [key for byte in sent for key in apart.feed(bytes([byte]))] == keys, "however it arrives"
    assert not apart.is_pending and not [*apart.end()]


def test_the_escape_key_is_one_that_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert not [*decoder.feed(b"\x1b")] and decoder.is_pending
    assert [*decoder.end()] == ["escape"] and not decoder.is_pending
    assert not [*decoder.feed(b"\x1b[")] and decoder.is_pending
    assert not [*decoder.end()], "a part of a sequence is no key"
    assert [*decoder.feed(b"n")] == ["n"]
