"""Closed pipes, full disks, closed streams and Ctrl-C: the documented exit code, and no traceback."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import time
from typing import IO

import pytest
from support.cli import Cli, finish, unchanged
from support.documents import SESSION_ID, compact, document, put, session_key
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

CLOSED_PIPE = 141
INTERRUPTED = 130
#: Seconds after which a command has sent its request and only waits for the reply.
WAITING_SECONDS = 0.3


@pytest.fixture(autouse=True)
def long_session(valkey: ValkeyServer) -> ValkeyServer:
    """A session with more actions than fit into a pipe."""
    put(valkey, encode(document([100] * 1000)))
    return valkey


@pytest.fixture
def many_sessions(valkey: ValkeyServer) -> ValkeyServer:
    """More sessions than fit into a pipe."""
    raw = compact(document([0]))
    with valkey.raw.pipeline() as pipe:
        for number in range(1500):
            pipe.set(session_key(f"sess_{number:060}"), raw, ex=1000)
        pipe.execute()
    return valkey


def unread(pipe: IO[bytes]) -> int:
    """Number of unread bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


# -- pipes


@pytest.mark.parametrize("words", ["session list -o json", f"session show {SESSION_ID}", "keys list -o table"])
@pytest.mark.usefixtures("many_sessions")
def test_nothing_is_lost_if_stdout_is_unbuffered(awictl: Cli, words: str) -> None:
    """An interrupted write to a pipe may be partial."""
    unbuffered = awictl.having(PYTHONUNBUFFERED="1")
    whole = len(unbuffered.ok(*words.split()).out)
    process = unbuffered.start(*words.split())
    assert process.stdout is not None
    while unread(process.stdout) < fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ) // 2:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)  # until the pipe is full
    for number in (signal.SIGSTOP, signal.SIGCONT):
        process.send_signal(number)
        time.sleep(0.1)
    result = finish(process)
    assert (result.code, abs(len(result.out) - whole) < 5_000, whole > 70_000) == (0, True, True)
    assert awictl.having(PYTHONUNBUFFERED="1").shell(f"awictl {words} | head -c 10").code == CLOSED_PIPE


@pytest.mark.parametrize(
    "words",
    [
        "session list",
        "session list -o ids",
        "session list -o json",
        "session list -o table",
        "session list --sort id -o jsonl",
        "session verify --all",
        f"session show {SESSION_ID}",
        f"session show {SESSION_ID} -o raw",
        f"session history {SESSION_ID} --limit 1000",
        f"session history {SESSION_ID} --limit 1000 -o json -v",
    ],
)
@pytest.mark.usefixtures("many_sessions")
def test_a_reader_that_closes_the_pipe_is_not_an_error(awictl: Cli, words: str) -> None:
    result = awictl.shell(f"awictl {words} | head -c 1; exit ${{PIPESTATUS[0]}}")
    assert (result.code, len(result.out), result.err) == (CLOSED_PIPE, 1, "")


@pytest.mark.usefixtures("many_sessions")
def test_a_reader_that_reads_one_line(awictl: Cli) -> None:
    result = awictl.shell("awictl session list -o ids | head -1; exit ${PIPESTATUS[0]}")
    assert (result.code, len(result.lines), result.err) == (CLOSED_PIPE, 1, "")
    result = awictl.shell("awictl session list -o ids --limit 1 | head -1; exit ${PIPESTATUS[0]}")
    assert (result.code, len(result.lines), result.err) == (0, 1, "")


@pytest.mark.parametrize(
    "words", ["--help", "--version", "session list --help", "config show", "health", "session list"]
)
def test_a_reader_that_has_already_exited(awictl: Cli, words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe, awictl.start(*words.split(), stdout=pipe) as process:
        result = finish(process)
    assert (result.code, result.err) == (CLOSED_PIPE, "")


WORDS = ["--version", "--help", "session list", "session list -o table", "session list -o ids", "config show", "health"]


@pytest.mark.parametrize("words", WORDS)
def test_a_full_disk_is_reported(awictl: Cli, words: str) -> None:
    awictl.shell(f"awictl {words} > /dev/full").error(1, "No space left on device")


def without_shifted_clock(user: Cli) -> Cli:
    """A user without libfaketime, which opens a file in each process: it would get the number of a closed one."""
    return user.lacking("LD_PRELOAD")


@pytest.mark.parametrize("words", WORDS)
def test_a_closed_stdout_is_reported(awictl: Cli, words: str) -> None:
    line = without_shifted_clock(awictl).shell(f"awictl {words} >&-").error(1, "stdout")
    assert "NoneType" not in line


@pytest.mark.parametrize("words", ["session show -", "session touch -", f"session apply {SESSION_ID} -"])
def test_a_closed_stdin_is_reported(awictl: Cli, valkey: ValkeyServer, words: str) -> None:
    with unchanged(valkey):
        line = without_shifted_clock(awictl).shell(f"awictl {words} <&-").error(2, "stdin")
    assert "NoneType" not in line


def test_a_closed_stderr_does_not_affect_stdout(awictl: Cli) -> None:
    result = awictl.shell("awictl session show sess_missing 2>&-")
    assert (result.code, result.out) == (3, b""), "a message never goes to stdout"
    result = awictl.shell("awictl session diff $1 2>&-", SESSION_ID)
    assert result.code == 0 and result.out == b"null\n", "nor does a notice"
    assert awictl.shell("awictl nonsense 2>&-").code == 2


# -- signals


@pytest.mark.parametrize(
    "words",
    [
        "session list",
        f"session apply {SESSION_ID} {{}}",
        f"session show {SESSION_ID} sess_other",
        "session verify --all",
        "health",
    ],
)
def test_ctrl_c_while_waiting(waiting: Cli, silent_server: socket.socket, words: str) -> None:
    with waiting.start("--timeout", "30", *words.split()) as process:
        connection, _ = silent_server.accept()
        with connection:
            assert connection.recv(10)
            time.sleep(WAITING_SECONDS)
            process.send_signal(signal.SIGINT)
            result = finish(process)
    result.error(INTERRUPTED, "interrupted")
    assert result.out == b"" and result.seconds < 15, "it does not wait for its timeout of 30 s"


def test_ctrl_c_while_reading_stdin(awictl: Cli, valkey: ValkeyServer) -> None:
    """See also `test_stdin.py`."""
    with unchanged(valkey):
        process = subprocess.Popen(
            [sys.executable, "-m", "awictl", "session", "apply", SESSION_ID, "-"],
            cwd=awictl.home,
            env=awictl.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        with process:
            process.stdin.write(b'{"n":1}\n')
            process.stdin.flush()
            while unread(process.stdin):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            finish(process).error(INTERRUPTED, "interrupted")
