"""A Redis server that sends too much, or never ends: one line, exit code 6, and bounded memory."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable, Iterator

import pytest
from support.cli import Cli
from support.documents import SESSION_ID, compact, document, plain, put, stored
from support.hostile import Answer, hostile_server, measure, send_forever
from support.valkey import ValkeyServer

#: Maximum resident memory of a command in MiB: its limit for the replies to one request is 80 MiB by default.
MAX_MEMORY = 260
COMMANDS = {
    "get": ["session", "show", SESSION_ID],
    "scan": ["session", "list", "-o", "ids"],
    "info": ["health"],
    "scripts": ["session", "touch", SESSION_ID],
}


def reply(data: bytes) -> Answer:
    """Answer every request with the same bytes."""
    return lambda request, connection: connection.sendall(data)


def forever(start: bytes, chunk: bytes) -> Answer:
    """Answer every request with bytes without end."""
    return lambda request, connection: send_forever(connection, start, chunk * ((1 << 20) // len(chunk)))


ANSWERS = {
    "a string of 2^40 bytes": reply(b"$1099511627776\r\n"),
    "a string of 2^40 bytes in an array": reply(b"*2\r\n$1\r\n0\r\n*1\r\n$1099511627776\r\nx"),
    "an array of 10^9 elements": reply(b"*1000000000\r\n"),
    "an array of 10^9 elements in an array": reply(b"*2\r\n:1\r\n*1000000000\r\n"),
    "arrays in arrays": forever(b"", b"*1\r\n"),
    "a line without an end": forever(b"+", b"x"),
    "an error without an end": forever(b"-", b"x"),
    "a string without an end": forever(b"$60000000\r\n", b"x"),
    "strings without an end": forever(b"*100000\r\n", b"$1000\r\n" + b"x" * 1000 + b"\r\n"),
    "errors without an end": forever(b"*1000000\r\n", b"-E\r\n"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_reply_that_never_ends_is_cut_off(user: Cli, answer: str) -> None:
    family = list(COMMANDS)[list(ANSWERS).index(answer) % len(COMMANDS)]
    patient = user.having(AWI_TIMEOUT="60")
    with hostile_server(ANSWERS[answer]) as server:
        measured = measure(patient, ["--redis", f"redis://127.0.0.1:{server.port}", *COMMANDS[family]])
    measured.result.error(6, f"127.0.0.1:{server.port}", "not behave like a Redis server")
    assert measured.result.out == b"" and measured.memory < MAX_MEMORY


@pytest.mark.parametrize("family", COMMANDS)
def test_a_gigabyte_at_once_is_cut_off(user: Cli, family: str) -> None:
    patient = user.having(AWI_TIMEOUT="60")
    with hostile_server(forever(b"$1073741824\r\n", b"x")) as server:
        measured = measure(patient, ["--redis", f"redis://127.0.0.1:{server.port}", *COMMANDS[family]])
    measured.result.error(6, f"127.0.0.1:{server.port}")
    assert measured.memory < MAX_MEMORY


def test_a_write_whose_reply_is_cut_off_is_applied_once(user: Cli, valkey: ValkeyServer) -> None:
    """The server has executed it; the retry finds that out."""
    put(valkey, compact(document([0])))

    def answer(request: bytes, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", valkey.port)) as real:
            real.sendall(request)
            said = real.recv(1 << 20)
        applied = b"AWI:DIFF:" in request and not said.startswith(b"-NOSCRIPT")
        connection.sendall(b"$1099511627776\r\n" if applied else said)

    with hostile_server(answer) as server:
        there = ["--redis", f"redis://127.0.0.1:{server.port}"]
        result = user.ok(*there, "session", "apply", SESSION_ID, '{"n":1}')
        assert "already applied" in result.err
    now = plain(stored(valkey))
    assert now["n"] == 1 and len(now["history"]["actions"]) == 2


def answer_scan(cursors: Iterator[int], names: int = 0) -> Answer:
    """Answer SCAN with these cursors, one after the other, and `names` names that are all new."""
    numbers = itertools.count()

    def answer(request: bytes, connection: socket.socket) -> None:
        if b"SCAN" not in request:
            connection.sendall(b":3\r\n" if b"DBSIZE" in request else b"-ERR unknown\r\n" * request.count(b"*"))
            return
        cursor = b"%d" % next(cursors)
        found = [b"AWI:SESSION:sess_%032d" % next(numbers) for _ in range(names)]
        strings = b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in found)
        connection.sendall(b"*2\r\n$%d\r\n%b\r\n*%d\r\n%b" % (len(cursor), cursor, names, strings))

    return answer


CURSORS: dict[str, Callable[[], Iterator[int]]] = {
    "the same cursor": lambda: itertools.cycle([7]),
    "a cycle of cursors": lambda: itertools.cycle(range(1, 100)),
    "another cursor each time": lambda: itertools.count(1),
}


@pytest.mark.parametrize("cursors", CURSORS)
@pytest.mark.parametrize("words", [["session", "list", "-o", "ids"], ["keys", "stats"]], ids=" ".join)
def test_an_endless_scan_is_ended(user: Cli, cursors: str, words: list[str]) -> None:
    with hostile_server(answer_scan(CURSORS[cursors]())) as server:
        result = user("--redis", f"redis://127.0.0.1:{server.port}", *words)
    result.error(6, "SCAN does not end")


def test_an_endless_scan_of_other_names_is_ended(user: Cli) -> None:
    with hostile_server(answer_scan(itertools.count(1), names=20_000)) as server:
        measured = measure(user, ["--redis", f"redis://127.0.0.1:{server.port}", "session", "list", "-o", "ids"])
    assert measured.result.code == 6 and "SCAN does not end" in measured.result.err
    assert measured.memory < MAX_MEMORY


ARCHIVE = ["--archive", "sqlite:///archive.db"]
EVERY_FAMILY = [
    ["session", "list"],
    ["session", "show", SESSION_ID],
    ["session", "create", "--agent", "a"],
    ["session", "history", SESSION_ID],
    ["session", "touch", SESSION_ID],
    ["session", "end", SESSION_ID, "--discard", "--yes"],
    [*ARCHIVE, "session", "end", SESSION_ID],
    [*ARCHIVE, "archive", "sweep"],
    ["session", "watch", SESSION_ID, "--seconds", "0.2"],
    ["cache", "list"],
    ["cache", "show", "0" * 32],
    ["cache", "diagnose", "--filters", "{}"],
    ["media", "show", "x"],
    ["keys", "stats"],
    ["monitor", "-q", "--seconds", "0.2"],
]
COMMAND_START = re.compile(rb"(?:^|\n)\*\d+\r\n\$")
SHAPES = {
    "a number": b":1\r\n",
    "nil": b"$-1\r\n",
    "an empty array": b"*0\r\n",
    "a string": b"$3\r\nabc\r\n",
    "errors in an array": b"*2\r\n-ERR x\r\n-ERR y\r\n",
    "a scan with numbers": b"*2\r\n$1\r\n0\r\n*1\r\n:5\r\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_replies_of_another_type_are_reported(user: Cli, shape: str) -> None:
    """Whatever the command: either it can make sense of such a reply, or it names the server."""

    def answer(request: bytes, connection: socket.socket) -> None:
        connection.sendall(SHAPES[shape] * len(COMMAND_START.findall(request)))

    codes = []
    with hostile_server(answer) as server:
        for words in EVERY_FAMILY:
            result = user("--redis", f"redis://127.0.0.1:{server.port}", "--timeout", "1", *words)
            assert result.code != 1, (words, result)
            assert "Traceback" not in result.err and "unexpected" not in result.err, (words, result)
            codes.append(result.code)
    assert codes.count(6) > len(EVERY_FAMILY) // 2, codes
