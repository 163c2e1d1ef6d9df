"""What private clusters and Sentinel deployments have in common: members that are started and stopped together."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .processes import START_TRIES, Certificates, Member, await_that

#: Options of every data server: nothing is saved, and a replica is synchronized without a delay.
_DATA = ["save ''", "appendonly no", "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-timeout 10"]
_T = TypeVar("_T", bound="Topology")


class Topology(ABC):
    """What both have in common: start members, stop them, and the TLS files."""

    def __init__(self, *, password: str | None, tls: bool) -> None:
        self.password = password
        self.folder = Path(tempfile.mkdtemp(prefix="awi-topology-", dir="/tmp"))
        self.certificates = Certificates.make(self.folder) if tls else None
        self.members: list[Member] = []

    def _data_config(self, min_replicas_to_write: int, options: tuple[str, ...]) -> list[str]:
        lines = [*_DATA, f"min-replicas-to-write {min_replicas_to_write}", *options]
        return [*lines, f"masterauth {self.password}"] if self.password else lines

    def _launch(self, members: list[Member]) -> None:
        for member in members:
            member.launch()
        for member in members:
            await_that(member.ready, f"{member} replies")

    def kill(self, member: Member) -> None:
        """Kill a member."""
        member.kill()

    def pause(self, member: Member) -> None:
        """Suspend a member."""
        member.pause()

    def resume(self, member: Member) -> None:
        """Continue a suspended member."""
        member.resume()

    def start(self, member: Member) -> None:
        """Start a killed member again, and wait until it replies."""
        member.start()

    def raw(self, member: Member) -> Any:
        """A redis-py client to one member."""
        return member.raw

    def stop(self) -> None:
        """Kill all members and remove their folders."""
        for member in self.members:
            member.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tls_settings(self) -> dict[str, Any]:
        return self.certificates.settings() if self.certificates else {}

    def begin(self: _T) -> _T:
        """Start all members; on other ports if another process has taken one."""
        for left in reversed(range(START_TRIES)):
            try:
                self._begin()
                return self
            except RuntimeError:
                for member in self.members:
                    member.stop()
                if not left:
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError

    @abstractmethod
    def _begin(self) -> None:
        """Start all members, once."""

    @abstractmethod
    def healthy(self) -> bool:
        """Whether all members are in service, and agree."""

    @abstractmethod
    def clear(self) -> None:
        """Delete all keys."""

    def settle(self) -> None:
        """Start the dead members, continue the suspended ones, and wait until all are in service, and agree."""
        for member in self.members:
            if member.running:
                member.resume()
            else:
                self._restart(member)
        await_that(self.healthy, f"the {type(self).__name__.lower()} are healthy")

    def _restart(self, member: Member) -> None:
        member.start()

    def emptied(self: _T) -> _T:
        """The same deployment, healthy and without keys."""
        self.settle()
        self.clear()
        return self

    def __enter__(self: _T) -> _T:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()
