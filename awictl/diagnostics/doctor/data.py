"""Checks of what is stored, in one walk through all keys of AWI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...document import keys
from ...document.json_codec import encodable
from ...document.keys import KeyKind
from ...document.schema import as_object, as_text, has_ended
from ...errors import AwiError
from ...store.base import Listed
from ...store.redis.keyspace import Keyspace, Peek, Stepped
from ...store.redis.repairs import MissingMapping, MissingTtl, Orphan
from ...util.humanize import duration, plural
from ..inventory import Inventory, shown
from .repair import Repair
from .report import Check, failed, passed, warned

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...settings import Settings

#: Documents from this length on are large: every request of an agent moves a good part of them.
BLOATED_BYTES = 1_048_576
#: What a sweep archives ahead of its time, unless told otherwise: who expires sooner needs a sweep at once.
MARGIN_MS = 120_000
#: Something that expires within this time is not worth telling.
_PASSING_MS = 5_000
#: Keys that are named in each check, and repairs that are remembered.
_EXAMPLES = 5
MOST_REPAIRS = 100_000
_FIX = "`awictl doctor --fix` puts it right"


@dataclass
class Problem:
    """Keys with something in common."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        """Count a key."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(key)


class DataWalk:
    """What is found in one walk, and what of it can be put right."""

    def __init__(self, manager: StateManager) -> None:
        self._manager = manager
        self._sessions = manager.store.keyspace
        self.repairs: list[Repair] = []
        self.keys = 0
        self.live = 0
        self.problems: dict[str, Problem] = defaultdict(Problem)
        #: Kinds of keys that never expire, and how many of each.
        self.everlasting: dict[KeyKind, int] = defaultdict(int)
        #: For agents that are in no session, the latest of their live ones, and when something happened there.
        self._unmapped: dict[str, tuple[str, str]] = {}
        self.largest = 0
        #: Whether there are more repairs than are remembered.
        self.more_repairs = False

    async def walk(self, rate: float | None, stepped: Stepped) -> None:
        """Look at all keys. Raises what the sessions' server says; of others that is a problem among others."""
        for inventory in self._manager.inventory.each():
            try:
                await self._walk(inventory, rate, stepped)
            except AwiError as error:
                if inventory.holds(self._sessions):
                    raise
                self.problems["away"].add(str(error))
        for agent_id, (_, session_id) in self._unmapped.items():
            mapping = keys.agent_key(agent_id)
            self.problems["unmapped"].add(mapping)
            self._repair(self._sessions, MissingMapping(mapping.encode(), session_id))

    async def _walk(self, inventory: Inventory, rate: float | None, stepped: Stepped) -> None:
        async with aclosing(inventory.found(rate=rate, stepped=stepped)) as batches:
            async for keyspace, names in batches:
                self.keys += len(names)
                kinds: dict[KeyKind, list[bytes]] = defaultdict(list)
                for name in names:
                    kinds[keys.kind_of(name)].append(name)
                sessions = kinds.pop(KeyKind.SESSION, [])
                if sessions and keyspace is self._sessions:
                    await self._look_at_sessions(sessions)
                for kind, some in kinds.items():
                    await self._look_at(keyspace, kind, some)

    # -- sessions

    async def _look_at_sessions(self, names: Sequence[bytes]) -> None:
        ids = keys.session_ids_of(names)
        for odd in {shown(name) for name in names} - {keys.session_key(one) for one in ids}:
            self.problems["unreadable"].add(f"{odd}: what follows the prefix is no session id")
        agents: dict[str, list[Listed]] = defaultdict(list)
        places = [keys.session_key(one).encode() for one in ids]
        ends = dict(zip(ids, await self._sessions.ends(places) if places else [], strict=True))
        for listed in await self._manager.store.list(ids):
            # a head that can be read says nothing of what follows it: that is cut off, most often, where it is damaged
            cut = listed.error is None and ends[listed.session_id] not in (b"}", None)
            agent_id = self._look_at_session(listed._replace(error="it is cut off") if cut else listed)
            if agent_id is not None:
                agents[keys.agent_key(agent_id)].append(listed)
        mappings = [mapping.encode() for mapping in agents]
        for mapping, peek in zip(agents, await self._sessions.peek(mappings) if mappings else [], strict=True):
            if peek is None:
                for listed in agents[mapping]:
                    self._without_mapping(listed)

    def _look_at_session(self, listed: Listed) -> str | None:
        """Look at one session. Returns the agent that should be in a session, as this one is alive."""
        key = keys.session_key(listed.session_id)
        self.largest = max(self.largest, listed.bytes)
        if listed.error is not None:
            self.problems["unreadable"].add(f"{key}: {listed.error}")
            return None
        if listed.bytes >= BLOATED_BYTES:
            self.problems["bloated"].add(f"{key}: {listed.bytes:,} bytes")
        if has_ended(listed.head):
            self.problems["ended" if listed.ttl_ms is None else "ended_expiring"].add(key)
            return None
        self.live += 1
        if listed.ttl_ms is None:
            self._never_expires(self._sessions, KeyKind.SESSION, key.encode(), listed.bytes)
        elif listed.ttl_ms < MARGIN_MS:
            self.problems["expiring"].add(f"{key}: {duration(listed.ttl_ms)}")
        agent_id = as_text(listed.head.get("agent_id"))
        lasting = listed.ttl_ms is not None and listed.ttl_ms > _PASSING_MS
        return agent_id if lasting and agent_id and agent_id == encodable(agent_id) else None

    def _without_mapping(self, listed: Listed) -> None:
        agent_id = str(listed.head["agent_id"])
        activity = as_text(as_object(listed.head.get("statistics")).get("last_activity")) or ""
        self._unmapped[agent_id] = max(self._unmapped.get(agent_id, ("", "")), (activity, listed.session_id))

    # -- what belongs to them

    async def _look_at(self, keyspace: Keyspace, kind: KeyKind, names: Sequence[bytes]) -> None:
        """Look at keys of one kind, other than sessions."""
        size = 100 if kind is KeyKind.AGENT else 0
        seen: dict[bytes, Peek] = {}
        for name, peek in zip(names, await keyspace.peek(names, size), strict=True):
            if peek is None:
                continue
            if peek.forbidden:
                self.problems["forbidden"].add(shown(name))
                continue
            if peek.fault is not None:
                self.problems["unreadable"].add(keyspace.fault(peek, shown(name)) or shown(name))
                if peek.ttl_ms is None:
                    self._never_expires(keyspace, kind, name, None)
                continue
            seen[name] = peek
            if peek.ttl_ms is None:
                self._never_expires(keyspace, kind, name, peek.length)
        if keyspace is self._sessions and kind is KeyKind.AGENT:
            owners = {name: keys.as_session_id(peek.start) for name, peek in seen.items()}
            await self._look_for_orphans("orphans", seen, owners, lambda peek: (peek.start, peek.length))
        elif keyspace is self._sessions and kind is KeyKind.DIFF:
            prefix = keys.DIFF_PREFIX.encode()
            owners = {name: keys.as_session_id(name.removeprefix(prefix)) for name in seen}
            await self._look_for_orphans("diffs", seen, owners, lambda _: (b"", None))

    async def _look_for_orphans(
        self,
        problem: str,
        seen: dict[bytes, Peek],
        owners: dict[bytes, str | None],
        held: Callable[[Peek], tuple[bytes, int | None]],
    ) -> None:
        """Find those among these keys that belong to no session that is there.

        `held`: what a key must still hold to be deleted: its beginning, and its length.
        """
        lasting = [name for name, peek in seen.items() if peek.ttl_ms is None or peek.ttl_ms > _PASSING_MS]
        sessions = {name: owner for name in lasting if (owner := owners[name]) is not None}
        there: dict[str, bool] = {}
        if sessions:
            wanted = list(dict.fromkeys(sessions.values()))
            peeks = await self._sessions.peek([keys.session_key(one).encode() for one in wanted])
            there = {one: peek is not None for one, peek in zip(wanted, peeks, strict=True)}
        for name in lasting:
            owner = owners[name]
            if owner is None or not there[owner]:
                self.problems[problem].add(f"{shown(name)}: {owner or 'no session id'}")
                self._repair(self._sessions, Orphan(name, owner, *held(seen[name])))

    def _never_expires(self, keyspace: Keyspace, kind: KeyKind, name: bytes, length: int | None) -> None:
        """`length`: None for what is no string, which is nothing of AWI's to let expire."""
        self.problems["everlasting"].add(shown(name))
        self.everlasting[kind] += 1
        if length is not None:
            self._repair(keyspace, MissingTtl(name, length, expiry_of(kind, self._manager.settings)))

    def _repair(self, keyspace: Keyspace, what: Orphan | MissingTtl | MissingMapping) -> None:
        if len(self.repairs) < MOST_REPAIRS:
            self.repairs.append(Repair(keyspace, what))
        else:
            self.more_repairs = True

    # -- what it comes to

    def checks(self, *, archive: bool) -> list[Check]:
        """What the walk found. `archive`: whether the settings name one."""
        return [
            *self._not_seen(),
            self._documents(),
            self._sizes(),
            self._expiries(),
            self._derived("agent mappings", "orphans", "that point to no live session"),
            self._derived("agents in a session", "unmapped", "of agents with a live session are missing"),
            self._derived("diffs", "diffs", "of sessions that are gone"),
            self._ended(archive),
            self._expiring(archive),
        ]

    def _not_seen(self) -> list[Check]:
        """What was not looked at, so that the other checks say nothing of it."""
        checks = []
        if away := self.problems["away"].count:
            remedy = "put that right first: nothing is known of the keys there"
            checks.append(
                failed("other servers", f"{away} could not be looked at", remedy, self.problems["away"].examples)
            )
        forbidden = self.problems["forbidden"]
        if forbidden.count:
            evidence = f"not permitted to look at {plural(forbidden.count, 'key')}, of which nothing is told below"
            remedy = "allow this user to read them (`ACL SETUSER … ~AWI:* ~AGENT:SESSION:* ~MEDIA:*`)"
            checks.append(warned("permissions", evidence, remedy, forbidden.examples))
        return checks

    def _documents(self) -> Check:
        problem = self.problems["unreadable"]
        if not problem.count:
            return passed(
                "documents",
                f"{plural(self.live, 'live session')} among {plural(self.keys, 'key')}, all readable, none cut off",
            )
        remedy = (
            "see what is stored (`redis-cli TYPE`, `awictl session show -o raw ID`), then restore it from the archive, "
            "or delete it"
        )
        return failed("documents", f"{plural(problem.count, 'key')} cannot be read", remedy, problem.examples)

    def _sizes(self) -> Check:
        problem = self.problems["bloated"]
        if not problem.count:
            return passed("document sizes", f"the largest has {self.largest:,} bytes")
        remedy = (
            "look at what is in them (`awictl session show ID | jq 'map_values(tojson | length)'`); "
            "AWI_MAX_ACTIONS_PER_SESSION bounds the trajectory"
        )
        evidence = (
            f"{plural(problem.count, 'document')} of {BLOATED_BYTES:,} bytes or more, the largest {self.largest:,}"
        )
        return warned("document sizes", evidence, remedy, problem.examples)

    def _expiries(self) -> Check:
        problem = self.problems["everlasting"]
        if not problem.count:
            return passed("expiries", "every key that should expire does")
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.everlasting.items())
        return warned("expiries", f"{problem.count:,} that never expire ({kinds})", _FIX, problem.examples)

    def _derived(self, name: str, problem_name: str, words: str) -> Check:
        problem = self.problems[problem_name]
        if not problem.count:
            return passed(name, f"none {words}")
        return warned(name, f"{problem.count:,} {words}", _FIX, problem.examples)

    def _ended(self, archive: bool) -> Check:
        waiting, expiring = self.problems["ended"], self.problems["ended_expiring"]
        remedy = "`awictl archive sweep` archives and deletes them"
        if not archive:
            remedy = f"configure the archive (AWI_ARCHIVE_URL or MONGODB_URI), then {remedy}"
        if expiring.count:
            evidence = f"{plural(expiring.count, 'ended session')} will expire without having been archived"
            return (failed if archive else warned)("ended sessions", evidence, remedy, expiring.examples)
        if waiting.count:
            evidence = f"{plural(waiting.count, 'ended session')} wait to be archived"
            return warned("ended sessions", evidence, remedy, waiting.examples)
        return passed("ended sessions", "none waits to be archived")

    def _expiring(self, archive: bool) -> Check:
        problem = self.problems["expiring"]
        within = duration(MARGIN_MS)
        if not problem.count:
            return passed("expiring sessions", f"none expires within {within}")
        evidence = f"{plural(problem.count, 'session')} expire within {within}"
        remedy = "make sure that `awictl archive sweep --watch` is running, or run a sweep now"
        if not archive:
            remedy = "configure an archive to keep them: without one they are gone then"
        return warned("expiring sessions", evidence, remedy, problem.examples)


def expiry_of(kind: KeyKind, settings: Settings) -> int:
    """How long a key of this kind stays, in milliseconds (DESIGN, section 2)."""
    return {
        KeyKind.DIFF: keys.DIFF_TTL_SECONDS * 1000,
        KeyKind.CACHE: settings.list_cache_ttl_ms,
        KeyKind.IMAGE: settings.media_cache_ttl_ms,
        KeyKind.EMBEDDING: settings.media_cache_ttl_ms,
        KeyKind.LOCK: keys.LOCK_TTL_SECONDS * 1000,
        KeyKind.RATE_LIMIT: keys.RATE_LIMIT_WINDOW_MS,
    }.get(kind, settings.session_ttl_ms)
