"""Embedded deployments, for trying out what runs on several servers: a cluster, and a primary watched by sentinels.

Their servers are embedded servers (`embedded`) that also listen on TCP ports of 127.0.0.1, which clusters and sentinels
need, with a generated password. Everything is decided before the first start: the ports, the slots of each master, and
who knows whom is in the configuration that each server starts with. So a deployment cannot be half set up, and a start
has nothing to do but to start the servers that are not running.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ..errors import AwiError, Refused, Unreachable
from ..settings import Settings
from . import private_socket
from .embedded import EmbeddedServer, Membership, embedded_server

Kind = Literal["cluster", "sentinel"]
#: The servers of each kind, in the order in which they are started.
NAMES: dict[Kind, tuple[str, ...]] = {
    "cluster": ("node1", "node2", "node3"),
    "sentinel": ("server1", "server2", "server3", "sentinel1", "sentinel2", "sentinel3"),
}
#: Name of the primary for the sentinels.
PRIMARY = "mymaster"
#: Seconds until the servers agree after their start.
READY_SECONDS = 30.0
#: Milliseconds of silence after which a node or a primary is suspected to be down.
DOWN_MS = 5000
#: Ports to choose from: below those of outgoing connections, and with the ports of the cluster bus (10,000 more), too.
_PORTS = range(12000, 22000)
_SLOTS = 16384
_POLL_SECONDS = 0.05


class StartCancelled(AwiError):
    """The start was cancelled; the servers that it had started are stopped."""


@dataclass(frozen=True)
class EmbeddedTopology:
    """The embedded cluster or Sentinel deployment of one user. Methods block, as those of `EmbeddedServer`."""

    kind: Kind
    folder: Path

    @property
    def env_file(self) -> Path:
        """The file with the settings for awictl, in the format of `.env`; it contains the password."""
        return self.folder / "redis.env"

    @property
    def shell_line(self) -> str:
        """What makes a shell use it; the secrets are in the file that it names."""
        return f"set -a; . {shlex.quote(str(self.env_file))}; set +a"

    def exists(self) -> bool:
        """Whether it was ever started."""
        return (self.folder / "ports").exists()

    def members(self) -> list[EmbeddedServer]:
        """Its servers; empty if it was never started. Raises Refused if other users can access its folder."""
        if not self.exists():
            return []
        with private_socket.open_folder(self.folder):
            ports = (self.folder / "ports").read_text().split()
            password = (self.folder / "password").read_text()
        return [
            EmbeddedServer(self.folder / name, Membership(int(port), password, name.startswith("sentinel")))
            for name, port in zip(NAMES[self.kind], ports, strict=True)
        ]

    def ready(self) -> bool:
        """Whether all servers run and agree: all slots are served, or the sentinels have a quorum and two replicas."""
        members = self.members()
        if not members:
            return False
        if self.kind == "cluster":
            return all(one.reports(b"CLUSTER INFO", b"cluster_state:ok") for one in members)
        replication = [one for one in members if one.member and not one.member.sentinel]
        primaries = [one.reports(b"INFO replication", b"role:master", b"connected_slaves:2") for one in replication]
        return sum(primaries) == 1 and all(
            one.reports(b"SENTINEL CKQUORUM %s" % PRIMARY.encode(), b"+OK 3 usable") for one in members[3:]
        )

    def start(self, cancelled: Callable[[], bool] = lambda: False) -> int:
        """Start the servers that are not running, and wait until all agree. Returns how many were started.

        `cancelled`: asked again and again; once it is true, what was started is stopped, and StartCancelled raised.
        Raises Refused if another process uses one of its ports, and what `EmbeddedServer.start` raises.
        """
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # also the folder of the embedded server
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with self._locked(cancelled):
            if not self.exists():
                self._plan()
            started: list[EmbeddedServer] = []
            try:
                for member in self.members():
                    _check(cancelled)
                    if not member.running():
                        self._check_ports(member)
                        started.append(member)
                    member.start()
                deadline = time.monotonic() + READY_SECONDS
                while not self.ready():
                    _check(cancelled)
                    if time.monotonic() > deadline:
                        raise Unreachable(
                            f"the servers of the embedded {self.kind} do not agree within {READY_SECONDS:.0f} s; see "
                            f"the logs in {self.folder}/*/valkey.log"
                        )
                    time.sleep(_POLL_SECONDS)
            except BaseException:
                _stop_all(started)
                raise
        return len(started)

    def stop(self) -> int:
        """Stop all servers; their data stays. Returns how many were running. Raises Unreachable, Refused."""
        if not self.exists():
            return 0
        with self._locked(lambda: False):
            # the sentinels first, so that they do not promote a replica meanwhile
            running = [one for one in self.members() if one.running()]
            sentinels = [one for one in running if one.member and one.member.sentinel]
            _stop_all(sentinels)
            _stop_all([one for one in running if one not in sentinels])
        return len(running)

    @contextmanager
    def _locked(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Keep other starts and stops of this deployment waiting."""
        with private_socket.open_folder(self.folder) as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open("lock", flags, 0o600, dir_fd=folder)
        try:
            while True:
                _check(cancelled)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(_POLL_SECONDS)
                else:
                    break
            yield
        finally:
            os.close(descriptor)

    def _plan(self) -> None:
        """Choose ports and a password, and write all configurations; the last file, `ports`, makes them valid."""
        names = NAMES[self.kind]
        ports = _free_ports(len(names))
        password = secrets.token_hex(24)
        configure = _cluster_files if self.kind == "cluster" else _sentinel_files
        for name, files in zip(names, configure(ports, password), strict=True):
            folder = self.folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
            for file, lines in files.items():
                _write(folder / file, "\n".join([*lines, ""]))
        _write(self.folder / "password", password)
        _write(self.env_file, self._env(ports, password))
        _write(self.folder / "ports", " ".join(map(str, ports)))

    def _env(self, ports: list[int], password: str) -> str:
        at = [f"127.0.0.1:{port}" for port in (ports[3:] if self.kind == "sentinel" else ports)]
        end = f"/{PRIMARY}" if self.kind == "sentinel" else ""
        lines = [f"# The embedded {self.kind}. Contains its password: keep it private."]
        lines += [f"REDIS_URL=redis+{self.kind}://:{password}@{','.join(at)}{end}"]
        if self.kind == "sentinel":
            lines += [f"REDIS_SENTINEL_PASSWORD={password}"]
        archive = f"sqlite:///{quote(str(self.folder / 'archive.db'))}"
        return "\n".join([*lines, f"AWI_ARCHIVE_URL={shlex.quote(archive)}", ""])

    def _check_ports(self, member: EmbeddedServer) -> None:
        """Raise Refused if another process has taken a port of a server that does not run."""
        assert member.member is not None  # noqa: S101  # the servers of a deployment are members
        port = member.member.port
        for one in (port, port + 10000) if self.kind == "cluster" else (port,):
            if not _is_free(one):
                raise Refused(
                    f"port {one} of the embedded {self.kind} is in use by another process; stop that process, or "
                    f"delete {self.folder} with its data, so that the next start chooses other ports"
                )


def embedded_topology(settings: Settings, kind: Kind) -> EmbeddedTopology:
    """The embedded cluster or Sentinel deployment in the settings: in a folder inside that of the embedded server."""
    return EmbeddedTopology(kind, embedded_server(settings).folder / kind)


def _cluster_files(ports: list[int], password: str) -> list[dict[str, list[str]]]:
    ids = [secrets.token_hex(20) for _ in ports]
    conf = ["cluster-enabled yes", "cluster-config-file nodes.conf", f"cluster-node-timeout {DOWN_MS}"]
    conf += ["cluster-announce-ip 127.0.0.1", f"requirepass {password}", f"masterauth {password}"]
    files = []
    for myself in ids:
        nodes = []
        for number, (port, node) in enumerate(zip(ports, ids, strict=True)):
            first, last = _SLOTS * number // len(ports), _SLOTS * (number + 1) // len(ports) - 1
            flags = "myself,master" if node == myself else "master"
            nodes.append(f"{node} 127.0.0.1:{port}@{port + 10000} {flags} - 0 0 {number + 1} connected {first}-{last}")
        files.append({"valkey.conf": conf, "nodes.conf": [*nodes, f"vars currentEpoch {len(ports)} lastVoteEpoch 0"]})
    return files


def _sentinel_files(ports: list[int], password: str) -> list[dict[str, list[str]]]:
    servers, sentinels = ports[:3], ports[3:]
    ids = [secrets.token_hex(20) for _ in sentinels]
    conf = [f"requirepass {password}", f"masterauth {password}", "replica-announce-ip 127.0.0.1"]
    conf += ["repl-diskless-sync-delay 0"]
    files = [
        {"valkey.conf": [*conf, *([f"replicaof 127.0.0.1 {servers[0]}"] if number else [])]} for number in range(3)
    ]
    for number, node in enumerate(ids):
        lines = [f"requirepass {password}", f"sentinel sentinel-pass {password}", f"sentinel myid {node}"]
        lines += ["sentinel announce-ip 127.0.0.1", f"sentinel monitor {PRIMARY} 127.0.0.1 {servers[0]} 2"]
        lines += [f"sentinel down-after-milliseconds {PRIMARY} {DOWN_MS}", f"sentinel auth-pass {PRIMARY} {password}"]
        lines += [f"sentinel failover-timeout {PRIMARY} {4 * DOWN_MS}"]
        lines += [f"sentinel known-replica {PRIMARY} 127.0.0.1 {port}" for port in servers[1:]]
        for other, (port, other_id) in enumerate(zip(sentinels, ids, strict=True)):
            if other != number:
                lines += [f"sentinel known-sentinel {PRIMARY} 127.0.0.1 {port} {other_id}"]
        files.append({"valkey.conf": lines})
    return files


def _check(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise StartCancelled


def _stop_all(servers: list[EmbeddedServer]) -> None:
    """Stop servers at the same time. Raises the first error, once all are done."""
    errors: list[AwiError] = []

    def stop(server: EmbeddedServer) -> None:
        try:
            server.stop()
        except AwiError as error:
            errors.append(error)

    threads = [threading.Thread(target=stop, args=(server,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _is_free(port: int) -> bool:
    with socket.socket() as one, suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        return True
    return False


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if _is_free(port) and _is_free(port + 10000):
            found.append(port)
    return found


def _write(path: Path, text: str) -> None:
    """Write a file that only this user can read, as a whole: it is complete, or not there."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)
