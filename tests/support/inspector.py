"""`awictl ui` in a process of its own, and a user who is signed in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from . import forking
from .cli import LIMIT_SECONDS, Cli
from .serving import NO_TLS

#: The link that `awictl ui` prints, with the one-time token.
_LINK = re.compile(r"(https?://[^\s/\"]+)(/\S*?\?[^\s\"]+)")


class Inspector:
    """A running web inspector."""

    def __init__(self, user: Cli, *options: str) -> None:
        self.user = user
        ours, theirs = os.pipe()
        with open(os.devnull, "r+b") as null:  # noqa: PTH123  # not a path of the file system
            fds = (null.fileno(), theirs, theirs)
            port = [] if "--port" in options else ["--port", "0"]
            self._process = forking.start(["ui", *port, *options], cwd=user.home, env=user.env, fds=fds)
        os.close(theirs)
        self._output = os.fdopen(ours, "rb", buffering=0)
        self._printed = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        #: Its address, such as `http://127.0.0.1:4711`.
        self.url = ""
        #: The link that it printed, which signs in once.
        self.link = ""
        self._cookies: dict[str, str] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def printed(self) -> str:
        """What it has printed so far, on stdout and on stderr."""
        return bytes(self._printed).decode()

    @property
    def cookies(self) -> dict[str, str]:
        """The cookie of a user who has followed the link: name and value."""
        if self._cookies is None:
            with httpx.Client(verify=NO_TLS, timeout=LIMIT_SECONDS, trust_env=False) as client:
                assert not client.get(self.link).is_error
                self._cookies = dict(client.cookies)
            assert len(self._cookies) == 1, self._cookies
        return self._cookies

    def client(self, *, signed_in: bool = True) -> httpx.Client:
        """An HTTP client of it, which has the cookie unless told otherwise. Close it."""
        cookies = self.cookies if signed_in else {}
        return httpx.Client(base_url=self.url, cookies=cookies, verify=NO_TLS, timeout=LIMIT_SECONDS, trust_env=False)

    def rss(self) -> int:
        """Resident memory of the process, in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def started(self) -> Inspector:
        """Wait until it has printed its link, which it does when it listens; return self."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while (found := _LINK.search(self.printed)) is None:
            assert time.monotonic() < deadline and self._reader.is_alive(), self.printed
            time.sleep(0.01)
        self.url, self.link = found[1], found[0]
        return self

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = LIMIT_SECONDS) -> int:
        """Wait until the process has ended; return its exit code."""
        code = self._process.wait(timeout)
        self._reader.join(LIMIT_SECONDS)
        return code

    def stop(self) -> int:
        """Stop it with SIGTERM; return its exit code."""
        try:
            self._process.wait(0)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            raise
        finally:
            self._process.close()
            self._output.close()

    def _read(self) -> None:
        while data := self._output.read(65_536):
            self._printed += data


@contextmanager
def inspecting(user: Cli, *options: str) -> Iterator[Inspector]:
    """Run `awictl ui OPTIONS` on a free port until the block ends; Redis and archive are those of the user."""
    inspector = Inspector(user, *options)
    try:
        yield inspector.started()
    finally:
        inspector.stop()
