"""`awictl serve` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .cli import LIMIT_SECONDS, Cli
from .forking import ForkedProcess

#: For clients that use no TLS: loading the certificates of the authorities takes longer than many requests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Server:
    """A running server: its address, its process and its log."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkedProcess) -> None:
        self.process = process
        self.url = ""
        self.port = 0
        self._log = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id; with several workers, that of their parent."""
        return self.process.pid

    def log(self) -> str:
        """The log so far."""
        return bytes(self._log).decode()

    def rows(self) -> list[dict[str, Any]]:
        """The log so far, one row per line; each line must be JSON."""
        return [json.loads(line) for line in self.log().splitlines()]

    def rss(self) -> int:
        """Resident memory of the process, in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def children(self) -> list[int]:
        """Process ids of its running child processes."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until the process has ended; return its exit code."""
        code = self.process.wait(LIMIT_SECONDS)
        self._reader.join(LIMIT_SECONDS)
        return code

    def stop(self) -> int:
        """Stop the server with SIGTERM; return its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def started(self) -> Server:
        """Wait until the server listens; return self."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not self.url:
            assert time.monotonic() < deadline and self._reader.is_alive(), self.log()
            for line in self.log().splitlines(keepends=True):
                if line.endswith("\n") and line.startswith("{") and "url" in (row := json.loads(line)):
                    self.url = row["url"]
                    self.port = int(self.url.rsplit(":", 1)[1])
            time.sleep(0.01)
        return self

    def _read(self) -> None:
        assert self.process.stderr is not None
        while data := os.read(self.process.stderr.fileno(), 65_536):
            self._log += data


@contextmanager
def serving(
    user: Cli, *options: str, profile: tuple[str, ...] = (), descriptors: int | None = None
) -> Iterator[Server]:
    """Run `awictl PROFILE serve OPTIONS` on a free port until the block ends.

    Redis and the archive are those in the environment of `user`, or in `profile`, the global options. `descriptors`:
    the maximum number of open files. The process is forked, unless it has such a limit or starts others.
    """
    words = [*profile, "serve", "--port", "0", *options]
    process: subprocess.Popen[bytes] | ForkedProcess
    if user.starts_afresh or descriptors is not None or "--workers" in options:
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors is not None else []
        process = subprocess.Popen(
            [*limited, sys.executable, "-m", "awictl", *words],
            cwd=user.home,
            env=user.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    else:
        process = ForkedProcess(words, cwd=user.home, env=user.env)
    server = Server(process)
    try:
        yield server.started()
    finally:
        try:
            server.stop()
        finally:
            process.kill()
            process.wait()
            if isinstance(process, ForkedProcess):
                process.close()
            else:
                assert process.stderr is not None
                process.stderr.close()
