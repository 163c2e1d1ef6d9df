"""Parsing lines of MONITOR, and the operations on AWI keys in them."""

from __future__ import annotations

import pytest

from awictl.diagnostics.command_monitor import Operation, operation
from awictl.document.keys import KeyKind
from awictl.store.redis.monitor import MonitoredCommand, parse_line
from awictl.store.redis.server import Script

SESSION = b"AWI:SESSION:sess_a"


def parsed(*words: bytes) -> Operation | None:
    return operation(MonitoredCommand(1_700_000_000_000_001, 0, "127.0.0.1:1", list(words)))


@pytest.mark.parametrize("client", ["127.0.0.1:5", "[::1]:5", "lua", "unix:/tmp/a] b", ""])
def test_lines(client: str) -> None:
    line = f'1700000000.000042 [3 {client}] "set" "a\\"] \\\\" "\\x00\\xff\\n\\r\\t\\a\\b" ""'.encode()
    assert parse_line(line) == MonitoredCommand(
        1_700_000_000_000_042, 3, client, [b"set", b'a"] \\', b"\0\xff\n\r\t\a\b", b""]
    )


#: Lines of a hostile server: more digits than int() takes, and a time that datetime does not have.
HOSTILE = [
    b'%b.000000 [0 lua] "get" "a"' % (b"9" * 5_000),
    b'1.000000 [%b lua] "get" "a"' % (b"9" * 5_000),
    b'999999999999.000000 [0 lua] "get" "a"',
]


@pytest.mark.parametrize("line", [b"", b"OK", b'17 [0 lua] "get"', b"-ERR", b'x.000000 [0 lua] "get" "a"', *HOSTILE])
def test_lines_that_are_not_commands(line: bytes) -> None:
    assert parse_line(line) is None


#: The words of a command, and its operation: kind, keys, arguments.
OPERATIONS: list[tuple[list[bytes], KeyKind, list[str], list[bytes]]] = [
    ([b"get", SESSION], KeyKind.SESSION, ["AWI:SESSION:sess_a"], []),
    ([b"SetEx", b"AGENT:SESSION:x", b"9", b"sess_a"], KeyKind.AGENT, ["AGENT:SESSION:x"], [b"9", b"sess_a"]),
    ([b"DEL", b"other", b"AWI:DIFF:sess_a"], KeyKind.DIFF, ["other", "AWI:DIFF:sess_a"], []),
    ([b"MSET", b"MEDIA:IMG:1", b"{}", b"x", b"y"], KeyKind.IMAGE, ["MEDIA:IMG:1", "x"], [b"{}", b"y"]),
    ([b"EVAL", b"return 1", b"1", SESSION, b"z"], KeyKind.SESSION, ["AWI:SESSION:sess_a"], [b"z"]),
    ([b"OBJECT", b"IDLETIME", SESSION], KeyKind.SESSION, ["AWI:SESSION:sess_a"], [b"IDLETIME"]),
    ([b"RENAME", b"x", SESSION], KeyKind.SESSION, ["x", "AWI:SESSION:sess_a"], []),
    ([b"SCAN", b"0", b"match", b"AWI:S*", b"COUNT", b"9"], KeyKind.SESSION, ["AWI:S*"], [b"0", b"COUNT", b"9"]),
    ([b"KEYS", b"*"], KeyKind.OTHER, ["*"], []),
    ([b"KEYS", b"AWI:*"], KeyKind.OTHER, ["AWI:*"], []),
    ([b"KEYS", b"AWI:SESSION:sess_?"], KeyKind.SESSION, ["AWI:SESSION:sess_?"], []),
    ([b"FLUSHALL", b"ASYNC"], KeyKind.OTHER, [], [b"ASYNC"]),
    ([b"GET", b"AWI:SESSION:\xff\x1b"], KeyKind.SESSION, ["AWI:SESSION:\\xff\x1b"], []),
]


@pytest.mark.parametrize(("words", "kind", "keys", "arguments"), OPERATIONS, ids=lambda value: str(value)[:30])
def test_operations(words: list[bytes], kind: KeyKind, keys: list[str], arguments: list[bytes]) -> None:
    one = parsed(*words)
    assert one is not None and (one.kind, one.keys, one.arguments) == (kind, keys, arguments)
    assert one.command == words[0].decode().upper() and one.at == "2023-11-14T22:13:20.000001Z"


@pytest.mark.parametrize(
    "words",
    [
        [],
        [b"PING"],
        [b"SET", b"other", b"AWI:SESSION:sess_a"],
        [b"AUTH", b"AWI:SESSION:is my password"],
        [b"KEYS", b"user:*"],
        [b"SCAN", b"0"],
        [b"SCAN", b"0", b"MATCH"],
        [b"EVAL", b"AWI:SESSION:x", b"0"],
        [b"EVAL", b"AWI:SESSION:x"],
        [b"EVALSHA", b"x", b"99999999999999999999999", SESSION],
        [b"CONFIG", b"SET", b"requirepass", b"AWI:SESSION:x"],
    ],
)
def test_commands_that_do_not_concern_awi(words: list[bytes]) -> None:
    assert parsed(*words) is None


def test_script_names() -> None:
    def script(*words: bytes) -> str | None:
        one = parsed(*words, b"1", SESSION)
        return one.script if one is not None else None

    touch = Script("touch")
    assert script(b"EVALSHA", touch.sha.encode().upper()) == script(b"EVAL", touch.source) == "touch"
    assert script(b"EVAL", b"return 1") == "a script of 8 bytes"
    assert script(b"EVALSHA", b"f" * 40) == "f" * 40
    assert script(b"FCALL", b"mine") == "mine"


def test_long_arguments_are_truncated_between_characters() -> None:
    one = parsed(b"SET", SESSION, "é".encode() * 100, b"\xff")
    assert one is not None
    assert list(one.shown(5)) == ["éé… (200 bytes)", "\\xff"]
    assert next(one.shown(None)) == "é" * 100
    assert one.row()["id"] == "sess_a" and "named" not in one.row()
