"""Commands whose terminal disappears without SIGHUP, as after `nohup` or `setsid`: they end soon."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.documents import SESSION_ID, compact, document, put
from support.valkey import ValkeyServer

#: Each with its exit codes: writing to a lost terminal may fail, or is avoided as for a closed pipe.
COMMANDS = [
    (["top", "--interval", "0.2"], {129}),
    (["session", "watch", SESSION_ID, "--interval", "0.2"], {1, 141}),
    (["session", "history", SESSION_ID, "--follow", "--interval", "0.2"], {1, 141}),
]


@pytest.mark.parametrize(("words", "codes"), COMMANDS, ids=["top", "watch", "follow"])
def test_it_ends_when_its_terminal_is_lost(
    awictl: Cli, valkey: ValkeyServer, words: list[str], codes: set[int]
) -> None:
    put(valkey, compact(document([0])))
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "awictl", *words],
        cwd=awictl.home,
        env=awictl.env,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        shown = b""
        deadline = time.monotonic() + LIMIT_SECONDS
        while b"next_page" not in shown and SESSION_ID.encode() not in shown:
            assert time.monotonic() < deadline
            shown += os.read(outside, 65_536)
    finally:
        os.close(outside)
    try:
        put(valkey, compact(document([0, 0])))
        assert process.wait(LIMIT_SECONDS) in codes
    finally:
        process.kill()
        process.wait()
