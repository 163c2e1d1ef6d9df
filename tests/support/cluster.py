"""Private Redis clusters from real processes on 127.0.0.1."""

from __future__ import annotations

from typing import Any, NamedTuple

from awictl import Settings

from .processes import Member, await_that
from .topology import Topology

SLOTS = 16384


class NodeRow(NamedTuple):
    """A line of CLUSTER NODES."""

    id: str
    port: int
    flags: set[str]
    master: str
    #: First and last slot of each range, without those that are moving.
    slots: list[tuple[int, int]]

    @classmethod
    def parse(cls, line: str) -> NodeRow:
        """Parse a line."""
        name, address, flags, master, _, _, _, _, *slots = line.split()
        port = int(address.partition("@")[0].rpartition(":")[2])
        ranges = [slot.partition("-")[::2] for slot in slots if not slot.startswith("[")]
        return cls(name, port, set(flags.split(",")), master, [(int(low), int(high or low)) for low, high in ranges])

    @property
    def myself(self) -> bool:
        """Whether it is the node that was asked."""
        return "myself" in self.flags


class Cluster(Topology):
    """A cluster: `masters` masters that share the slots, each with `replicas` replicas.

    `node_timeout`: milliseconds after which a node that does not reply is suspected; a failover takes about twice that.
    `options`: further lines of the configuration of every node.
    """

    def __init__(
        self,
        masters: int = 3,
        replicas: int = 1,
        *,
        node_timeout: int = 1000,
        min_replicas_to_write: int = 0,
        password: str | None = None,
        tls: bool = False,
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__(password=password, tls=tls)
        self.node_timeout = node_timeout
        self._counts = masters, replicas
        self._config = [
            *self._data_config(min_replicas_to_write, options),
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            f"cluster-node-timeout {node_timeout}",
            "cluster-announce-ip 127.0.0.1",
            "cluster-replica-validity-factor 0",
            # every member stays in its shard
            "cluster-migration-barrier 1000",
            "cluster-allow-replica-migration no",
            *(["tls-cluster yes"] if tls else []),
        ]

    def _begin(self) -> None:
        count, each = self._counts
        self.members = [
            Member(f"node{number}", [*self._config], password=self.password, tls=self.certificates)
            for number in range(count * (each + 1))
        ]
        self._launch(self.members)
        masters, replicas = self.members[:count], self.members[count:]
        for number, master in enumerate(masters):
            first, last = SLOTS * number // count, SLOTS * (number + 1) // count
            master.raw.execute_command("CLUSTER", "ADDSLOTS", *range(first, last))
        for number, member in enumerate(self.members, 1):
            member.raw.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number)
        for member in self.members[1:]:
            member.raw.execute_command("CLUSTER", "MEET", "127.0.0.1", self.members[0].port)
        await_that(self._all_know_all, "all nodes know each other")
        for replica in replicas:
            replica.raw.execute_command("CLUSTER", "REPLICATE", self.node_id(self.shard(replica)[0]))
        await_that(self.healthy, "the cluster is healthy")

    def _all_know_all(self) -> bool:
        return all(len(self.nodes(member)) == len(self.members) for member in self.members)

    def nodes(self, member: Member) -> list[NodeRow]:
        """The nodes that a member knows, without those that it is only just meeting."""
        text = member.raw.execute_command("CLUSTER", "NODES").decode()
        rows = [NodeRow.parse(line) for line in text.splitlines()]
        return [row for row in rows if not {"handshake", "noaddr"} & row.flags]

    def node_id(self, member: Member) -> str:
        """The id of a node of the cluster."""
        return str(member.raw.execute_command("CLUSTER", "MYID").decode())

    def shard(self, member: Member) -> list[Member]:
        """The members that share the slots of a member, with itself; the first was the master at the start."""
        count = self._counts[0]
        return self.members[self.members.index(member) % count :: count]

    def primary_of(self, shard: list[Member], *others: Member) -> Member | None:
        """The member of a shard that says it is the master, with the highest epoch; `others` are left out."""
        found = []
        for member in shard:
            if member.running and not member.suspended and member not in others:
                info = member.raw.execute_command("CLUSTER", "INFO").decode()
                if member.raw.execute_command("ROLE")[0] == b"master":
                    found.append((int(info.partition("cluster_my_epoch:")[2].split()[0]), member.port, member))
        return max(found)[2] if found else None

    @property
    def masters(self) -> list[Member]:
        """The master of each shard; a shard whose master is dead or suspended is left out."""
        found = [self.primary_of(self.members[number :: self._counts[0]]) for number in range(self._counts[0])]
        return [member for member in found if member is not None]

    @property
    def replicas(self) -> list[Member]:
        """All replicas that are alive."""
        masters = self.masters
        return [one for one in self.members if one.running and not one.suspended and one not in masters]

    def replicas_of(self, master: Member) -> list[Member]:
        """The other live members of the shard of a master."""
        return [one for one in self.shard(master) if one is not master and one.running and not one.suspended]

    def slot(self, key: str) -> int:
        """The slot of a key, as a server computes it."""
        return int(self.masters[0].raw.execute_command("CLUSTER", "KEYSLOT", key))

    def owner(self, slot: int) -> Member:
        """The master that owns a slot, as it says itself."""
        for member in self.masters:
            if any(low <= slot <= high for low, high in next(row for row in self.nodes(member) if row.myself).slots):
                return member
        raise LookupError(f"no live master owns slot {slot}")

    def healthy(self) -> bool:
        """Whether each member finds the cluster complete, and each replica is synchronized with its master."""
        for member in self.members:
            info = member.raw.execute_command("CLUSTER", "INFO").decode().split("\r\n")
            if not {"cluster_state:ok", f"cluster_slots_ok:{SLOTS}"} <= set(info):
                return False
            rows = self.nodes(member)
            if len(rows) != len(self.members) or any({"fail", "fail?"} & row.flags for row in rows):
                return False
            if sum("master" in row.flags for row in rows) != self._counts[0]:
                return False
            replication = member.info("replication")
            if replication["role"] == "master" and replication["connected_slaves"] != self._counts[1]:
                return False
            if replication.get("master_link_status", "up") != "up":
                return False
        return True

    def failed_over(self, old: Member) -> Member:
        """Wait until another member of the shard of a killed or suspended master has been promoted. Returns it."""
        found: list[Member | None] = [None]

        def promoted() -> bool:
            found[0] = self.primary_of(self.shard(old), old)
            return found[0] is not None

        await_that(promoted, f"a replica of {old} is promoted")
        assert found[0] is not None
        return found[0]

    def failover(self, master: Member, how: str = "") -> Member:
        """Let a replica of a living master take over (`how`: "", FORCE or TAKEOVER). Returns the new master."""
        replica = self.replicas_of(master)[0]
        replica.raw.execute_command("CLUSTER", "FAILOVER", *([how] if how else []))
        await_that(lambda: self.primary_of(self.shard(master), master) is replica, f"{replica} takes over")
        await_that(lambda: master.raw.execute_command("ROLE")[0] == b"slave", f"{master} becomes a replica")
        return replica

    def begin_move(self, slot: int, target: Member) -> Member:
        """Mark a slot as moving from its owner, which is returned, to another master."""
        source = self.owner(slot)
        target.raw.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.node_id(source))
        source.raw.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.node_id(target))
        return source

    def move_keys(self, slot: int, source: Member, target: Member, *, count: int = 100) -> int:
        """Move up to `count` keys of a moving slot. Returns their number."""
        keys = source.raw.execute_command("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            auth = ["AUTH", self.password] if self.password else []
            where = ["127.0.0.1", target.port, "", 0, 5000, *auth]
            source.raw.execute_command("MIGRATE", *where, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, source: Member, target: Member) -> None:
        """Give a moving slot, all of whose keys were moved, to its new owner."""
        for member in (target, source, *(one for one in self.masters if one not in (source, target))):
            member.raw.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.node_id(target))

    def move_slot(self, slot: int, target: Member) -> None:
        """Move a slot with its keys to another master, as `redis-cli --cluster reshard` does."""
        source = self.begin_move(slot, target)
        while self.move_keys(slot, source, target):
            pass
        self.end_move(slot, source, target)

    def migrate_slots(self, first: int, last: int, target: Member) -> None:
        """Move slots of one owner to another master, atomically (Valkey 9)."""
        source = self.owner(first)
        where = ("SLOTSRANGE", first, last, "NODE", self.node_id(target))
        source.raw.execute_command("CLUSTER", "MIGRATESLOTS", *where)
        await_that(lambda: self.owner(first) is target, f"the slots {first} to {last} have moved to {target}")

    def key(self, master: Member, prefix: str = "key") -> str:
        """A key that is in a slot of a master."""
        return next(key for number in range(SLOTS * 10) if self.owner(self.slot(key := f"{prefix}{number}")) is master)

    def clear(self) -> None:
        """Delete all keys."""
        for master in self.masters:
            master.raw.flushall()

    @property
    def seeds(self) -> str:
        """All members as `host:port,host:port`."""
        return ",".join(member.address for member in self.members)

    def url(self) -> str:
        """The URL of this cluster, with its password."""
        secret = f":{self.password}@" if self.password else ""
        return f"{'rediss' if self.certificates else 'redis'}+cluster://{secret}{self.seeds}"

    def settings(self, **others: Any) -> Settings:
        """Settings for this cluster."""
        given = {"redis_cluster": True, "redis_host": self.seeds, "redis_password": self.password}
        return Settings(**{**given, **self._tls_settings(), **others})
