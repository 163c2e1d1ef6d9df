"""What the scan of the keys found: problems with example keys, totals, and repairs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ...document.keys import KeyKind
from ...store.keyspace import Keyspace
from ...store.redis.repairs import Repairable
from .repair import Repair

#: Maximum number of example keys per problem.
MAX_EXAMPLES = 5
#: Maximum number of repairs that are collected in one scan.
MAX_REPAIRS = 100_000


@dataclass
class Finding:
    """Keys with the same problem."""

    count: int = 0
    #: The first MAX_EXAMPLES of them, with details.
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more key."""
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example)


@dataclass
class Findings:
    """Everything that one scan found."""

    #: Number of AWI keys, and of live sessions among them.
    keys: int = 0
    live: int = 0
    #: Size of the largest session document.
    largest_bytes: int = 0
    #: Servers for caches and media that cannot be scanned: their error messages.
    unreachable: Finding = field(default_factory=Finding)
    #: Keys that this user may not read; nothing else is known about them.
    forbidden: Finding = field(default_factory=Finding)
    #: Keys that are no strings, and documents that are invalid or truncated.
    unreadable: Finding = field(default_factory=Finding)
    #: Session documents above the size limit.
    oversized: Finding = field(default_factory=Finding)
    #: Keys without a TTL that should have one, and their number per kind.
    no_ttl: Finding = field(default_factory=Finding)
    no_ttl_kinds: Counter[KeyKind] = field(default_factory=Counter)
    #: Agent mappings and diffs whose session does not exist.
    orphaned_mappings: Finding = field(default_factory=Finding)
    orphaned_diffs: Finding = field(default_factory=Finding)
    #: Missing mappings of agents that have a live session.
    missing_mappings: Finding = field(default_factory=Finding)
    #: Agents with live sessions that they are not mapped to.
    several_sessions: Finding = field(default_factory=Finding)
    #: Documents whose session_id is not that of their key.
    other_ids: Finding = field(default_factory=Finding)
    #: Live sessions that the app's own end would lose; how many were checked for that, and how many were not because
    #: too much would have to be read. Nothing is checked without MongoDB, into which the app saves.
    app_would_lose: Finding = field(default_factory=Finding)
    checked_for_app: int | None = None
    unchecked_for_app: int = 0
    #: Ended sessions that wait for the archive, without a TTL and with one.
    ended: Finding = field(default_factory=Finding)
    ended_expiring: Finding = field(default_factory=Finding)
    #: The ids of ended sessions with a TTL, up to MAX_REPAIRS; some may be archived.
    ended_with_ttl: list[str] = field(default_factory=list)
    #: Live sessions that expire soon.
    expiring: Finding = field(default_factory=Finding)
    repairs: list[Repair] = field(default_factory=list)
    #: Whether there are more repairs than MAX_REPAIRS.
    repairs_truncated: bool = False

    def add_repair(self, keyspace: Keyspace, change: Repairable) -> None:
        """Collect a repair, up to MAX_REPAIRS."""
        if len(self.repairs) < MAX_REPAIRS:
            self.repairs.append(Repair(keyspace, change))
        else:
            self.repairs_truncated = True
