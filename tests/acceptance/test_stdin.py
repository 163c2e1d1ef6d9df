"""Commands that read stdin: ids are handled as they arrive, input on a terminal is announced, and Ctrl-C ends them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.cli import LIMIT_SECONDS, Cli, Result, finish, unchanged
from support.documents import compact, document, put, session_key
from support.proxy import Proxy
from support.terminal import CTRL_C, on_terminal
from support.valkey import ValkeyServer
from support.waiting import eventually

INTERRUPTED = 130
CTRL_D = "\x04"
#: Seconds within which Ctrl-C ends a command (DESIGN, promise 12), and those that a busy machine may take in addition.
AT_ONCE = 1.0 + 9.0
#: Seconds for which a command that was sent something has certainly read it.
READ_SECONDS = 0.5


def interrupted(process: subprocess.Popen[bytes]) -> Result:
    """Press Ctrl-C; return the result of a command, which must end at once, with its stdin still open."""
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    try:
        process.wait(AT_ONCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    seconds = time.monotonic() - started
    assert process.stderr is not None and process.stdout is not None
    return Result(process.returncode, process.stdout.read(), process.stderr.read().decode(), seconds)


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to the stdin of a command, and wait until it has read that."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()
    deadline = time.monotonic() + LIMIT_SECONDS
    while any(fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


#: One command for each way in which stdin is read.
READERS = [
    "session touch -",
    "session end --discard -",
    "session apply sess_a -",
    "media put image --embedding -",
]
OTHER_READERS = [
    "session show -",
    "session end -",
    "session end --discard --yes -",
    "session end --dry-run --discard -",
    "session apply sess_a {} --action a --input -",
    "archive show -",
    "archive export -",
    "archive restore -",
    "cache put -",
    "cache key --filters -",
    "cache show -",
    "cache delete -",
    "media similar -",
    "media show -",
    "media delete -",
]


@pytest.mark.parametrize("readers", [READERS, pytest.param(OTHER_READERS, marks=pytest.mark.soak)], ids=["some", "all"])
def test_ctrl_c_while_stdin_is_open(awictl: Cli, valkey: ValkeyServer, tmp_path: Path, readers: list[str]) -> None:
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{tmp_path}/archive.db")
    with unchanged(valkey):
        for first in range(0, len(readers), 4):  # some at a time, since most of it is the start of Python
            words = readers[first : first + 4]
            processes = [user.start(*one.split(), stdin=subprocess.PIPE) for one in words]
            with ExitStack() as stack:
                for process in processes:
                    stack.enter_context(process)
                    stack.callback(process.kill)
                for one, process in zip(words, processes, strict=True):
                    send(process, b"[0")
                    time.sleep(0.05)
                    result = interrupted(process)
                    assert result.out == b"", one
                    result.error(INTERRUPTED, "interrupted")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("session touch -", "ids"),
        ("session apply sess_a -", "the delta"),
        ("media put image --embedding -", "an embedding"),
    ],
)
def test_input_on_a_terminal_is_announced_once_and_interrupted(awictl: Cli, words: str, what: str) -> None:
    with on_terminal(awictl, *words.split()) as terminal:
        terminal.until(f"reading {what} from the terminal; end with Ctrl-D")
        terminal.press("[0\r")
        time.sleep(READ_SECONDS)
        started = time.monotonic()
        terminal.press(CTRL_C)
        assert terminal.end() == INTERRUPTED
    assert time.monotonic() - started < AT_ONCE + 1  # the terminal itself waits up to a second
    assert terminal.sent.count(b"end with Ctrl-D") == 1 and b"interrupted" in terminal.sent
    assert b"Traceback" not in terminal.sent


def test_ids_on_a_terminal_are_handled_line_by_line_with_progress(awictl: Cli, valkey: ValkeyServer) -> None:
    for name in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], session_id=name)), name, seconds=10)
    with on_terminal(awictl, "session", "touch", "-", "-o", "json") as terminal:
        terminal.until("end with Ctrl-D")
        terminal.press("sess_a\r")
        eventually(lambda: valkey.raw.ttl(session_key("sess_a")) > 1000)
        time.sleep(READ_SECONDS + 0.2)  # after half a second, the next step shows the progress
        terminal.press("sess_b\r")
        terminal.until("2/?")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
        assert "sess_a" in terminal.text and "sess_b" in terminal.text and "2/?" not in terminal.text


def test_ids_on_a_terminal_are_answered_line_by_line(awictl: Cli, valkey: ValkeyServer) -> None:
    """A table needs no progress bar: its rows are printed as they are done."""
    for name in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], session_id=name)), name, seconds=10)
    with on_terminal(awictl, "session", "touch", "-") as terminal:
        terminal.until("end with Ctrl-D")
        for name in ("sess_a", "sess_b"):
            terminal.press(f"{name}\r")
            terminal.until(lambda text, name=name: any(line.split() == [name, "30m"] for line in text.splitlines()))
        terminal.press(CTRL_D)
        assert terminal.end() == 0
        assert terminal.text.count("TTL") == 1 and "2/?" not in terminal.text


def test_ids_are_typed_before_the_confirmation(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0], session_id="sess_a")), "sess_a")
    with on_terminal(awictl, "session", "end", "--discard", "-") as terminal:
        terminal.until("end with Ctrl-D")
        terminal.press("sess_a\r", CTRL_D)
        terminal.until("Delete 1 session without archiving from ")
        terminal.press("y\r")
        assert terminal.end() == 0
    assert not valkey.raw.exists(session_key("sess_a"))


def test_no_announcement_with_quiet_or_in_a_pipe(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0], session_id="sess_a")), "sess_a")
    assert awictl.ok("session", "touch", "-", stdin=b"sess_a").err == ""
    with on_terminal(awictl, "-q", "session", "touch", "-") as terminal:
        terminal.press("sess_a\r")
        eventually(lambda: valkey.raw.ttl(session_key("sess_a")) > 1000)
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert b"Ctrl-D" not in terminal.sent


@pytest.mark.parametrize("words", ["session touch -", "session apply sess_a -"])
def test_stdin_may_be_non_blocking(awictl: Cli, valkey: ValkeyServer, words: str) -> None:
    """The other end of a pipe or terminal may make it so, as Node.js does."""
    put(valkey, compact(document([0], session_id="sess_a")), "sess_a")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with (
        os.fdopen(reading, "rb") as theirs,
        os.fdopen(writing, "wb") as ours,
        awictl.start(*words.split(), stdin=theirs.fileno()) as process,
    ):
        time.sleep(READ_SECONDS)
        ours.write(b"sess_a\n" if "touch" in words else b"{}")
        ours.close()
        assert finish(process).code == 0


# -- ids as they arrive


def test_ids_are_handled_while_stdin_is_open(awictl: Cli, valkey: ValkeyServer) -> None:
    for name in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], session_id=name)), name, seconds=10)
    with awictl.start("session", "touch", "-", stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        send(process, b"sess_a sess_missing bad! sess_")
        rows = [json.loads(process.stdout.readline())]
        time.sleep(0.2)  # rows that follow sooner are printed together
        send(process, b"b sess_a\n")
        rows.append(json.loads(process.stdout.readline()))
        result = interrupted(process)
    assert result.code == INTERRUPTED and result.out == b""
    assert [row["session_id"] for row in rows] == ["sess_a", "sess_b"]
    assert all(valkey.raw.ttl(session_key(name)) > 1000 for name in ("sess_a", "sess_b"))
    first, second, last = result.err.splitlines()
    assert "sess_missing" in first and "bad!" in second
    assert last == "awictl: interrupted: 2 done, 2 failed"


def test_ids_from_arguments_and_stdin(awictl: Cli, valkey: ValkeyServer) -> None:
    for name in ("sess_a", "sess_b", "sess_c", "sess_d"):
        put(valkey, compact(document([0], session_id=name)), name)
    for ids in (b"sess_a\r\nsess_b\n\nsess_a", b"\tsess_a  sess_b \n", b"sess_a sess_b sess_d"):
        result = awictl.ok("session", "touch", "sess_d", "-", "sess_c", "-", "sess_a", stdin=ids)
        assert [row["session_id"] for row in result.rows] == ["sess_d", "sess_a", "sess_b", "sess_c"]
    for nothing in (b"", b" \n\n"):
        awictl("session", "touch", "-", stdin=nothing).error(2, "no ids were given")
    awictl("session", "touch", "-", stdin=b"x" * 200_000).error(2, "stdin does not contain ids")


def test_an_unreadable_session_does_not_stop_the_others(awictl: Cli, valkey: ValkeyServer) -> None:
    for name in ("sess_a", "sess_c"):
        put(valkey, compact(document([0], session_id=name)), name, seconds=10)
    valkey.raw.rpush(session_key("sess_b"), "x")
    result = awictl("session", "touch", "sess_a", "sess_b", "not-an-id", "sess_c")
    assert (result.code, [row["session_id"] for row in result.rows]) == (6, ["sess_a", "sess_c"])
    assert ["sess_b" in line or "not-an-id" in line for line in result.err.splitlines()] == [True, True]
    assert valkey.raw.ttl(session_key("sess_c")) > 1000
    result = awictl("session", "end", "--discard", "--dry-run", "sess_a", "not-an-id", "sess_missing", "sess_c")
    assert (result.code, [row["session_id"] for row in result.rows]) == (2, ["sess_a", "sess_c"])


async def test_many_ids_are_touched_in_few_round_trips(awictl: Cli, valkey: ValkeyServer, proxy: Proxy) -> None:
    ids = [f"sess_{number:032x}" for number in range(5_000)]
    raw = compact(document([0], session_id=ids[0]))
    with valkey.raw.pipeline() as pipe:
        for one in ids:
            pipe.set(session_key(one), raw, ex=100)
        pipe.execute()
    behind = awictl.having(REDIS_PORT=str(proxy.port))
    result = await asyncio.to_thread(behind.ok, "session", "touch", "-", stdin="\n".join(ids * 2).encode())
    assert [row["session_id"] for row in result.rows] == ids
    assert proxy.round_trips <= 30
    assert min(map(valkey.raw.ttl, map(session_key, (ids[0], ids[1_000], ids[-1])))) > 1000


# -- Ctrl-C in the middle


@pytest.mark.parametrize("words", ["session touch", "session end --discard --yes"])
def test_ctrl_c_names_the_ids_whose_outcome_is_unknown(waiting: Cli, silent_server: socket.socket, words: str) -> None:
    with waiting.start("--timeout", "30", *words.split(), "sess_a", "sess_b") as process:
        connection, _ = silent_server.accept()
        with connection:
            assert connection.recv(10)
            time.sleep(READ_SECONDS)
            result = interrupted(process)
    result.error(INTERRUPTED, "awictl: interrupted: 0 done; outcome unknown (sent, no reply): sess_a sess_b\n")


async def test_ctrl_c_counts_what_was_done(awictl: Cli, valkey: ValkeyServer, proxy: Proxy) -> None:
    for name in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], session_id=name)), name, seconds=10)
    behind = awictl.having(REDIS_PORT=str(proxy.port))
    with behind.start("--timeout", "30", "session", "touch", "-", stdin=subprocess.PIPE) as process:
        await asyncio.to_thread(send, process, b"sess_a\n")
        assert process.stdout is not None
        row = json.loads(await asyncio.to_thread(process.stdout.readline))
        assert row["session_id"] == "sess_a" and valkey.raw.ttl(session_key("sess_a")) > 1000
        proxy.stop_forwarding()
        before = proxy.bytes
        await asyncio.to_thread(send, process, b"sess_b\n")
        await asyncio.to_thread(eventually, lambda: proxy.bytes > before)  # it has sent its request
        result = await asyncio.to_thread(interrupted, process)
    assert result.out == b""
    result.error(INTERRUPTED, "interrupted: 1 done; outcome unknown (sent, no reply): sess_b\n")


def test_ctrl_c_while_a_full_pipe_blocks(awictl: Cli, valkey: ValkeyServer) -> None:
    raw = compact(document([0]))
    with valkey.raw.pipeline() as pipe:
        for number in range(2_000):
            pipe.set(session_key(f"sess_{number:060}"), raw, ex=1000)
        pipe.execute()
    with awictl.start("session", "list") as process:
        assert process.stdout is not None
        size = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        waiting_bytes = lambda: int.from_bytes(  # noqa: E731
            fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder
        )
        eventually(lambda: waiting_bytes() > size // 2)
        time.sleep(READ_SECONDS)
        result = interrupted(process)
    result.error(INTERRUPTED, "interrupted")


def test_ctrl_c_while_a_thread_blocks(awictl: Cli, valkey: ValkeyServer, tmp_path: Path) -> None:
    """The archive's file is locked by another process."""
    import sqlite3

    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{tmp_path}/archive.db")
    session_id = user.ok("session", "create", "--agent", "agent").json["session_id"]
    user.ok("session", "end", session_id)
    other = user.ok("session", "create", "--agent", "agent").json["session_id"]
    with sqlite3.connect(tmp_path / "archive.db", isolation_level=None) as db:
        db.execute("BEGIN EXCLUSIVE")
        with user.start("--timeout", "50", "session", "end", other) as process:
            eventually(lambda: valkey.raw.pttl(session_key(other)) < 0)  # its end is recorded
            time.sleep(READ_SECONDS)
            result = interrupted(process)
        db.execute("ROLLBACK")
    result.error(INTERRUPTED, f"outcome unknown (sent, no reply): {other}")


# -- the embedded server


@contextmanager
def fake_server(home: Path, last: bytes, reply: bytes) -> Iterator[threading.Event]:
    """A server that has the lock, and sends `reply` to all requests but `last`; yields an event for that request."""
    folder = home / "data" / "awictl" / "embedded"
    folder.mkdir(mode=0o700, parents=True)
    asked = threading.Event()
    with (folder / "lock").open("wb") as lock, socket.socket(socket.AF_UNIX) as listener:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listener.bind(str(folder / "valkey.sock"))
        listener.listen()
        connections = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(connection)
                request = connection.recv(64)
                if last in request:
                    asked.set()
                with suppress(OSError):  # the command has ended
                    if last not in request or b"LOADING" in reply:
                        connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()


@pytest.mark.parametrize(
    ("words", "last", "reply"),
    [
        ("embedded start", b"PING", b"-LOADING\r\n"),
        ("embedded stop", b"SHUTDOWN", b"+PONG\r\n"),
        ("--embedded session list", b"PING", b"-LOADING\r\n"),
    ],
)
def test_ctrl_c_while_the_embedded_server_starts_or_stops(laptop: Cli, words: str, last: bytes, reply: bytes) -> None:
    with fake_server(laptop.home, last, reply) as asked, laptop.start(*words.split()) as process:
        assert asked.wait(LIMIT_SECONDS)
        result = interrupted(process)
    result.error(INTERRUPTED, "interrupted")
