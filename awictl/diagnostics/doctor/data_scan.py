"""Scan of all AWI keys for problems. Nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from ...document import keys
from ...document.json_codec import encodable
from ...document.keys import KeyKind, decode_key
from ...document.schema import FORKED_FROM, as_object, as_text, has_ended
from ...errors import AwiError
from ...store.base import Listed, SessionStore, Stored
from ...store.keyspace import KeyInfo, Keyspace, StepCallback
from ...store.redis.repairs import MissingMapping, MissingTtl, Orphan
from ...util.batched import batched_by_bytes
from ...util.humanize import duration
from ..inventory import Inventory
from . import app_end
from .findings import MAX_EXAMPLES, MAX_REPAIRS, Finding, Findings

if TYPE_CHECKING:
    from ...settings import Settings

#: Documents of this size or more are reported: every request of an agent transfers a good part of them.
OVERSIZED_BYTES = 1_048_576
#: Sessions with less time to live are reported: by default, a sweep archives sessions this long before they expire.
EXPIRING_MS = 120_000
#: Derived keys with less time to live are not reported: they are gone before anybody could repair them.
_IGNORED_TTL_MS = 5_000
#: Bytes of an agent mapping that are read. A session ID is shorter.
_MAPPING_BYTES = 100


class DataScan:
    """One scan of all AWI keys on all servers in use."""

    def __init__(self, store: SessionStore, inventory: Inventory, settings: Settings) -> None:
        self._store = store
        self._inventory = inventory
        self._settings = settings
        self._sessions = store.keyspace
        #: For each agent without a mapping: last activity and ID of its most recently active live session.
        self._unmapped: dict[str, tuple[str, str]] = {}
        #: For each agent, some of the live sessions that it is not mapped to.
        self._unreached: dict[str, list[str]] = {}
        #: How many bytes of trajectories may still be read; None: no check needs them, as the app does not end these.
        self._bytes_left = app_end.MAX_BYTES if settings.mongodb_uri is not None and settings.use_redis else None
        self.found = Findings()

    async def run(self, rate: float | None, on_step: StepCallback) -> None:
        """Scan the keys into `found`.

        `rate`: maximum number of keys per second on each server. `on_step`: see `keyspace.scan`. Raises the errors of
        the server with the sessions; the errors of other servers are findings.
        """
        for inventory in self._inventory.each():
            try:
                await self._scan(inventory, rate, on_step)
            except AwiError as error:
                if inventory.holds(self._sessions):
                    raise
                self.found.unreachable.add(str(error))
        for session_id in await self._store.endings.ids():
            self.found.ended.add(f"{keys.ENDING_KEY}: {session_id}")  # in MongoDB, a mark in the session's document
        for agent_id, session_ids in self._unreached.items():
            mapped = self._unmapped.get(agent_id)
            others = [one for one in session_ids if mapped is None or one != mapped[1]]
            if others:
                self.found.several_sessions.add(f"{agent_id}: {', '.join(others)}")
        for agent_id, (_, session_id) in self._unmapped.items():
            mapping = keys.agent_key(agent_id)
            self.found.missing_mappings.add(mapping)
            self.found.add_repair(self._sessions, MissingMapping(mapping.encode(), session_id))

    async def _scan(self, inventory: Inventory, rate: float | None, on_step: StepCallback) -> None:
        async with aclosing(inventory.scan(rate=rate, on_step=on_step)) as batches:
            async for keyspace, names in batches:
                self.found.keys += len(names)
                by_kind: dict[KeyKind, list[bytes]] = defaultdict(list)
                for name in names:
                    by_kind[keys.kind_of(name)].append(name)
                sessions = by_kind.pop(KeyKind.SESSION, [])
                if sessions and keyspace is self._sessions:
                    await self._check_sessions(sessions)
                for kind, names_of_kind in by_kind.items():
                    await self._check_keys(keyspace, kind, names_of_kind)

    # -- sessions

    async def _check_sessions(self, names: Sequence[bytes]) -> None:
        session_ids = keys.session_ids_of(names)
        for name in {decode_key(name) for name in names} - {keys.session_key(one) for one in session_ids}:
            self.found.unreadable.add(f"{name}: the part after the prefix is not a session ID")
        live: dict[str, list[Listed]] = defaultdict(list)
        session_keys = [keys.session_key(one).encode() for one in session_ids]
        last_bytes = dict(
            zip(session_ids, await self._sessions.last_bytes(session_keys) if session_keys else [], strict=True)
        )
        sessions = await self._store.list(session_ids)
        for listed in sessions:
            # a head can be valid although the rest is damaged; damaged documents are usually truncated
            if listed.error is None and last_bytes[listed.session_id] not in (b"}", None):
                listed = listed._replace(error="the document is truncated")
            agent_id = self._check_session(listed)
            if agent_id is not None:
                live[keys.agent_key(agent_id)].append(listed)
        mappings = [mapping.encode() for mapping in live]
        infos = await self._sessions.key_info(mappings, _MAPPING_BYTES) if mappings else []
        for mapping, info in zip(live, infos, strict=True):
            for listed in live[mapping]:
                if info is None:
                    self._mapping_is_missing(listed)
                elif info.error is None and info.start != listed.session_id.encode():
                    self._is_not_reached(listed)

        await self._check_for_app([one for one in sessions if one.error is None and not has_ended(one.head)])

    async def _check_for_app(self, sessions: Sequence[Listed]) -> None:
        """Find the sessions that the app's own end would lose."""
        if self._bytes_left is None:
            return
        for batch in batched_by_bytes(sessions, lambda one: one.bytes, app_end.BATCH_BYTES, len(sessions) or 1):
            size = sum(one.bytes for one in batch)
            if size > self._bytes_left:
                self.found.unchecked_for_app += len(batch)
                continue
            self._bytes_left -= size
            strings = await self._store.read_many([one.session_id for one in batch])
            for listed in batch:
                stored = strings.get(listed.session_id)
                if isinstance(stored, Stored):
                    self.found.checked_for_app = (self.found.checked_for_app or 0) + 1
                    if why := app_end.why_lost(listed.head.get("agent_id"), stored.raw):
                        self.found.app_would_lose.add(f"{listed.session_id}: {why}")

    def _check_session(self, listed: Listed) -> str | None:
        """Check one session. Returns the ID of the agent that must have a mapping, because this session is live."""
        key = keys.session_key(listed.session_id)
        self.found.largest_bytes = max(self.found.largest_bytes, listed.bytes)
        if listed.error is not None:
            self.found.unreadable.add(f"{key}: {listed.error}")
            return None
        if (stored_id := listed.head.get("session_id", listed.session_id)) != listed.session_id:
            self.found.other_ids.add(f"{key}: {ascii(stored_id)[:80]}")
        if listed.bytes >= OVERSIZED_BYTES:
            self.found.oversized.add(f"{key}: {listed.bytes:,} bytes")
        if has_ended(listed.head):
            if listed.ttl_ms is None:
                self.found.ended.add(key)
            elif len(self.found.ended_with_ttl) < MAX_REPAIRS:
                self.found.ended_with_ttl.append(listed.session_id)
            return None
        self.found.live += 1
        if listed.ttl_ms is None:
            self._has_no_ttl(self._sessions, KeyKind.SESSION, key.encode(), listed.bytes)
        elif listed.ttl_ms < EXPIRING_MS:
            self.found.expiring.add(f"{key}: {duration(listed.ttl_ms)}")
        agent_id = as_text(listed.head.get("agent_id"))
        # a fork has the id of an agent that goes on in another session; the repair copies the session's TTL, so a
        # session without one is repaired first
        is_fork = FORKED_FROM in listed.head
        needs_mapping = not is_fork and listed.ttl_ms is not None and listed.ttl_ms > _IGNORED_TTL_MS
        return agent_id if needs_mapping and agent_id and agent_id == encodable(agent_id) else None

    def _mapping_is_missing(self, listed: Listed) -> None:
        agent_id = str(listed.head["agent_id"])
        activity = as_text(as_object(listed.head.get("statistics")).get("last_activity")) or ""
        if agent_id in self._unmapped:
            self._is_not_reached(listed)
            self._is_not_reached(listed._replace(session_id=self._unmapped[agent_id][1]))
        self._unmapped[agent_id] = max(self._unmapped.get(agent_id, ("", "")), (activity, listed.session_id))

    def _is_not_reached(self, listed: Listed) -> None:
        """Note a live session that its agent is not, or not only, mapped to."""
        agent_id = str(listed.head["agent_id"])
        session_ids = self._unreached.setdefault(agent_id, []) if len(self._unreached) < MAX_REPAIRS else []
        if len(session_ids) < MAX_EXAMPLES and listed.session_id not in session_ids:
            session_ids.append(listed.session_id)

    # -- other keys

    async def _check_keys(self, keyspace: Keyspace, kind: KeyKind, names: Sequence[bytes]) -> None:
        """Check keys of one kind other than sessions."""
        readable: dict[bytes, KeyInfo] = {}
        size = _MAPPING_BYTES if kind is KeyKind.AGENT else 0
        for name, info in zip(names, await keyspace.key_info(names, size), strict=True):
            if info is None:
                continue
            if info.forbidden:
                self.found.forbidden.add(decode_key(name))
                continue
            if info.error is not None:
                self.found.unreadable.add(keyspace.describe_error(info, decode_key(name)) or decode_key(name))
            else:
                readable[name] = info
            if info.ttl_ms is None:
                self._has_no_ttl(keyspace, kind, name, info.length if info.error is None else None)
        if keyspace is not self._sessions:
            return
        if kind is KeyKind.AGENT:
            owners = {name: keys.as_session_id(info.start) for name, info in readable.items()}
            # delete a mapping only if it still has the same value
            await self._find_orphans(
                self.found.orphaned_mappings, readable, owners, lambda info: (info.start, info.length)
            )
        elif kind is KeyKind.DIFF:
            prefix = keys.DIFF_PREFIX.encode()
            owners = {name: keys.as_session_id(name.removeprefix(prefix)) for name in readable}
            await self._find_orphans(self.found.orphaned_diffs, readable, owners, lambda _: (b"", None))

    async def _find_orphans(
        self,
        finding: Finding,
        readable: dict[bytes, KeyInfo],
        owners: dict[bytes, str | None],
        expected: Callable[[KeyInfo], tuple[bytes, int | None]],
    ) -> None:
        """Find the keys whose session does not exist.

        `owners`: the session ID that each key belongs to, None if it names none. `expected`: the beginning and the
        length that the value must still have when the key is deleted.
        """
        lasting = [name for name, info in readable.items() if info.ttl_ms is None or info.ttl_ms > _IGNORED_TTL_MS]
        session_ids = list(dict.fromkeys(owner for name in lasting if (owner := owners[name]) is not None))
        session_keys = [keys.session_key(one).encode() for one in session_ids]
        infos = await self._sessions.key_info(session_keys) if session_keys else []
        existing = {one for one, info in zip(session_ids, infos, strict=True) if info is not None}
        for name in lasting:
            owner = owners[name]
            if owner not in existing:
                finding.add(f"{decode_key(name)}: {owner or 'not a session ID'}")
                self.found.add_repair(self._sessions, Orphan(name, owner, *expected(readable[name])))

    def _has_no_ttl(self, keyspace: Keyspace, kind: KeyKind, name: bytes, length: int | None) -> None:
        """Record a key without a TTL. `length`: of the string in bytes; None if it is not a string: not repaired."""
        self.found.no_ttl.add(decode_key(name))
        self.found.no_ttl_kinds[kind] += 1
        if length is not None:
            ttl_ms = default_ttl_ms(kind, self._settings)
            self.found.add_repair(keyspace, MissingTtl(name, length, ttl_ms))


def default_ttl_ms(kind: KeyKind, settings: Settings) -> int:
    """Return the TTL that a new key of this kind gets, in milliseconds (DESIGN, section 2)."""
    return {
        KeyKind.DIFF: keys.DIFF_TTL_SECONDS * 1000,
        KeyKind.CACHE: settings.list_cache_ttl_ms,
        KeyKind.IMAGE: settings.media_cache_ttl_ms,
        KeyKind.EMBEDDING: settings.media_cache_ttl_ms,
        KeyKind.LOCK: keys.LOCK_TTL_SECONDS * 1000,
        KeyKind.RATE_LIMIT: keys.RATE_LIMIT_WINDOW_MS,
    }.get(kind, settings.session_ttl_ms)
