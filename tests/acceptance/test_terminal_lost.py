"""Commands whose terminal disappears without SIGHUP, as after `setsid`, or takes no output: they end soon."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.documents import SESSION_ID, compact, document, put
from support.valkey import ValkeyServer

#: Each with its exit codes: writing to a lost terminal may fail, or is avoided as for a closed pipe.
COMMANDS = [
    (["top", "--interval", "0.2"], {129}),
    (["session", "watch", SESSION_ID, "--interval", "0.2"], {1, 141}),
    (["session", "history", SESSION_ID, "--follow", "--interval", "0.2"], {1, 141}),
    (["session", "replay", SESSION_ID, "--step"], {1, 129}),
]


@contextmanager
def drawing(user: Cli, words: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command on a terminal that is not its controlling one; yields when it shows a session."""
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "awictl", *words],
        cwd=user.home,
        env=user.env,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        shown = b""
        deadline = time.monotonic() + LIMIT_SECONDS
        while b"session_start" not in shown and SESSION_ID.encode() not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([outside], [], [], 1)[0]:
                shown += os.read(outside, 65_536)
        yield process, outside
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("words", "codes"), COMMANDS, ids=["top", "watch", "follow", "replay"])
def test_it_ends_when_its_terminal_is_lost(
    awictl: Cli, valkey: ValkeyServer, words: list[str], codes: set[int]
) -> None:
    put(valkey, compact(document([0])))
    with drawing(awictl, words) as (process, outside):
        os.close(outside)
        put(valkey, compact(document([0, 0])))
        assert process.wait(LIMIT_SECONDS) in codes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [one for one, _ in COMMANDS[:2]], ids=["top", "watch"])
def test_a_terminal_that_takes_no_output(
    awictl: Cli, valkey: ValkeyServer, words: list[str], number: signal.Signals
) -> None:
    put(valkey, compact(document([0])))
    with drawing(awictl, words) as (process, outside):
        for columns in range(60, 100):  # each time, top draws the whole screen
            termios.tcsetwinsize(outside, (24, columns))
            process.send_signal(signal.SIGWINCH)
            time.sleep(0.03)
        process.send_signal(number)
        assert process.wait(LIMIT_SECONDS) == 128 + number
        os.close(outside)
