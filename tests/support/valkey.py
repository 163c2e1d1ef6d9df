"""Private Valkey servers, each in a separate folder. No test connects to any other server."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from awictl import Settings

from .processes import server_program
from .waiting import suspend

#: Maximum time until a started server responds, in seconds.
START_SECONDS = 20.0
#: Maximum number of starts, each on another port, if another process takes the port first.
START_TRIES = 10


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which no process listens at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class ValkeyServer:
    """A valkey-server process on a Unix socket and a TCP port, without persistence."""

    def __init__(self, *options: str, password: str | None = None) -> None:
        self._options = (*options, "--requirepass", password) if password else options
        # not tmp_path: the path of a Unix socket must be shorter than 108 bytes
        self.folder = Path(tempfile.mkdtemp(prefix="awi-", dir="/tmp"))
        self.socket = self.folder / "valkey.sock"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        #: A client for the tests, to read and change the data directly.
        self.raw = redis.Redis(
            unix_socket_path=str(self.socket),
            password=password,
            socket_timeout=START_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def start(self) -> ValkeyServer:
        """Start the process and wait until it responds on its socket."""
        for _ in range(START_TRIES):
            self.port = free_port()
            command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
            command += ["--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", "", "--appendonly", "no"]
            command += ["--logfile", str(self.folder / "log"), "--repl-diskless-sync-delay", "0"]
            command += self._options
            self._process = subprocess.Popen(
                command, executable=server_program(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            if self._answers(self._process):
                return self
            self._process.wait()
        raise RuntimeError(f"valkey-server does not start: {(self.folder / 'log').read_text()[-2000:]}")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until the server responds. Return False if it has exited because its port was taken."""
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            try:
                self.raw.ping()
            except AuthenticationError:
                self.kill()
                raise
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise
                time.sleep(0.005)
            else:
                return True
        return False

    def kill(self) -> None:
        """Kill the process, which has the effect of a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Suspend the process: it keeps its connections, but does not respond."""
        assert self._process is not None
        suspend(self._process.pid)

    def resume(self) -> None:
        """Continue the process after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill the process and remove its folder."""
        self.raw.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> ValkeyServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def settings(self, **others: Any) -> Settings:
        """Return settings for this server over its Unix socket."""
        return Settings(**{"redis_socket": str(self.socket), **others})

    def tcp_settings(self, **others: Any) -> Settings:
        """Return settings for this server over TCP."""
        return Settings(**{"redis_host": "127.0.0.1", "redis_port": self.port, **others})
