"""Private Sentinel deployments from real processes on 127.0.0.1."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

from awictl import Settings

from .processes import Member, await_that
from .topology import Topology

#: Flags of servers and sentinels during a failover and until all links are up.
_UNSETTLED = (b"s_down", b"o_down", b"disconnected", b"failover")


class Sentinels(Topology):
    """A primary with replicas, watched by sentinels, of which a majority decides.

    `down_after_ms`: silence after which a sentinel finds the primary down. `failover_timeout_ms`: see sentinel.conf; a
    failed attempt is repeated after twice that. `fast`: sentinels look at the servers, and talk to each other, more
    often than in production, so that a former primary becomes a replica after 2 s, not 10 s. `options`: further lines
    of the configuration of every data server.
    """

    master_name = "mymaster"

    def __init__(
        self,
        replicas: int = 2,
        sentinels: int = 3,
        *,
        down_after_ms: int = 1000,
        failover_timeout_ms: int = 5000,
        min_replicas_to_write: int = 0,
        password: str | None = None,
        sentinel_password: str | None = None,
        tls: bool = False,
        fast: bool = True,
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__(password=password, tls=tls)
        self.down_after_ms = down_after_ms
        self.failover_timeout_ms = failover_timeout_ms
        self.sentinel_password = sentinel_password
        self.fast = fast
        self._counts = replicas + 1, sentinels
        self._config = self._data_config(min_replicas_to_write, options)
        self.servers: list[Member] = []
        self.sentinels: list[Member] = []

    def _begin(self) -> None:
        servers, sentinels = self._counts
        options = {"tls": self.certificates}
        self.servers = [
            Member(f"server{number}", [*self._config], password=self.password, **options) for number in range(servers)
        ]
        self.sentinels = [
            Member(f"sentinel{number}", [], sentinel=True, password=self.sentinel_password, **options)
            for number in range(sentinels)
        ]
        self.members = [*self.servers, *self.sentinels]
        first, *others = self.servers
        for replica in others:
            replica.configure(f"replicaof 127.0.0.1 {first.port}", "replica-announce-ip 127.0.0.1")
        for number, sentinel in enumerate(self.sentinels):
            sentinel.configure(*self._sentinel_config(number, first, others))
        self._launch(self.members)
        for sentinel in self.sentinels:
            self._tune(sentinel)
        await_that(self.healthy, "the sentinels know all servers")

    def _sentinel_config(self, number: int, first: Member, replicas: list[Member]) -> list[str]:
        """What sentinels otherwise find out within some seconds: each other, and the replicas."""
        name, ids = self.master_name, [f"{one.port:040x}" for one in self.sentinels]
        lines = [f"sentinel myid {ids[number]}", "sentinel announce-ip 127.0.0.1"]
        if self.sentinel_password:
            lines += [f"sentinel sentinel-pass {self.sentinel_password}"]
        if self.certificates:
            lines += ["tls-replication yes"]
        lines += [f"sentinel monitor {name} 127.0.0.1 {first.port} {len(self.sentinels) // 2 + 1}"]
        lines += [f"sentinel down-after-milliseconds {name} {self.down_after_ms}"]
        lines += [f"sentinel failover-timeout {name} {self.failover_timeout_ms}"]
        lines += [f"sentinel parallel-syncs {name} 10"]
        if self.password:
            lines += [f"sentinel auth-pass {name} {self.password}"]
        lines += [f"sentinel known-replica {name} 127.0.0.1 {replica.port}" for replica in replicas]
        others = [(one.port, ids[place]) for place, one in enumerate(self.sentinels) if place != number]
        return [*lines, *(f"sentinel known-sentinel {name} 127.0.0.1 {port} {node}" for port, node in others)]

    def _tune(self, sentinel: Member) -> None:
        # after a pause of 2 s, a sentinel stands still for 30 s, which a busy machine could cause
        periods = {"TILT-PERIOD": 1000, **({"INFO-PERIOD": 1000, "PUBLISH-PERIOD": 300} if self.fast else {})}
        with suppress(ResponseError):  # Redis 6.2 has no such command
            for name, value in periods.items():
                sentinel.raw.execute_command("SENTINEL", "DEBUG", name, value)

    def primary_port(self, sentinel: Member) -> int:
        """The port of the primary, as a sentinel says."""
        return int(sentinel.raw.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.master_name)[1])

    @property
    def primary(self) -> Member:
        """The primary on which the most live sentinels agree."""
        ports = [self.primary_port(one) for one in self.sentinels if one.running and not one.suspended]
        chosen = max(set(ports), key=ports.count)
        return next(server for server in self.servers if server.port == chosen)

    @property
    def replicas(self) -> list[Member]:
        """The other live servers."""
        primary = self.primary
        return [one for one in self.servers if one is not primary and one.running and not one.suspended]

    def healthy(self) -> bool:
        """Whether all sentinels agree, find no server down, and all replicas are synchronized with the primary."""
        primary = self.primary
        if primary.raw.execute_command("ROLE")[0] != b"master":
            return False
        for server in self.servers:
            replication = server.info("replication")
            if server is not primary and (
                replication["role"] != "slave"
                or replication["master_port"] != primary.port
                or replication["master_link_status"] != "up"
            ):
                return False
        if primary.info("replication")["connected_slaves"] != len(self.servers) - 1:
            return False
        return all(self._agrees(sentinel, primary) for sentinel in self.sentinels)

    def _agrees(self, sentinel: Member, primary: Member) -> bool:
        def rows(*command: str) -> list[dict[bytes, bytes]]:
            found = sentinel.raw.execute_command("SENTINEL", *command, self.master_name)
            found = [found] if command == ("MASTER",) else found
            return [dict(zip(row[::2], row[1::2], strict=True)) for row in found]

        replicas, others = rows("REPLICAS"), rows("SENTINELS")
        known = [*rows("MASTER"), *replicas, *others]
        return (
            self.primary_port(sentinel) == primary.port
            and len(replicas) == len(self.servers) - 1
            and len(others) == len(self.sentinels) - 1
            and not any(
                state in row[b"flags"] for row in known for state in (b"s_down", b"o_down", b"discon", b"failover")
            )
            and all(row[b"master-link-status"] == b"ok" for row in replicas)
        )

    def _restart(self, member: Member) -> None:
        super()._restart(member)
        if member in self.sentinels:
            self._tune(member)

    def failed_over(self, old: Member) -> Member:
        """Wait until another server is the primary, and says so. Returns it."""
        await_that(lambda: self._promoted(old), f"a replica of {old} is promoted")
        return self.primary

    def _promoted(self, old: Member) -> bool:
        primary = self.primary
        return primary is not old and bool(primary.raw.execute_command("ROLE")[0] == b"master")

    def failover(self) -> Member:
        """Let a sentinel make a replica the primary, as an operator does (`SENTINEL FAILOVER`). Returns it."""
        old = self.primary
        self.sentinels[0].raw.execute_command("SENTINEL", "FAILOVER", self.master_name)
        return self.failed_over(old)

    def clear(self) -> None:
        """Delete all keys."""
        self.primary.raw.flushall()

    @property
    def addresses(self) -> str:
        """The sentinels as `host:port,host:port`."""
        return ",".join(sentinel.address for sentinel in self.sentinels)

    def url(self) -> str:
        """The URL of this deployment, with the password of the servers."""
        secret = f":{self.password}@" if self.password else ""
        scheme = "rediss" if self.certificates else "redis"
        return f"{scheme}+sentinel://{secret}{self.addresses}/{self.master_name}"

    def settings(self, **others: Any) -> Settings:
        """Settings for this deployment."""
        given = {"redis_sentinels": self.addresses, "redis_sentinel_master": self.master_name}
        given |= {"redis_password": self.password, "redis_sentinel_password": self.sentinel_password}
        return Settings(**{**given, **self._tls_settings(), **others})
