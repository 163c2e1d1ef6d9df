"""Read and write sessions while Redis is away: in the journal, begun from the newest version that is known."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ..archive.connect import required
from ..document import keys
from ..document.byte_layout import encode
from ..document.json_codec import encodable
from ..document.schema import has_ended, new_document
from ..document.splice import Base, base_from_string
from ..document.timestamps import timestamp
from ..errors import AwiError, NotFound, Unreachable, UpdateConflict
from ..sessions.earlier_sessions import EarlierSessions
from ..sessions.end import SessionEndings
from ..sessions.get_or_create import RateLimitStatus, Visit
from ..sessions.reader import LastDiff, SessionReader
from ..sessions.trimmed import TrimmedActions
from ..sessions.update import Updated, Updater
from ..sessions.writer import Created, SessionWriter
from ..settings import Settings
from ..store.base import HistoryPage, Stored
from ..store.errors import no_session
from ..util.bounded_dict import BoundedDict
from .journal import Entry, Journal
from .known import KnownSessions
from .local_limits import LocalRateLimits
from .newest import NewestVersions
from .progress import is_newer, updated_ms
from .rebase import rebase, renew

if TYPE_CHECKING:
    from ..sessions.find import OpenArchive

log = logging.getLogger("awictl")

T = TypeVar("T")

#: Attempts of a request while other processes begin and end sessions of the same agent.
ATTEMPTS = 8
#: Maximum number of sessions and agents whose records this process knows to be up to date.
MAX_CHECKED = 65_536
#: No action of a journaled session is trimmed: it is trimmed when it is home.
_NO_TRIMMING = 2**53


class DegradedSessions:
    """Reads and writes journaled sessions. Raises Unreachable if MongoDB is away, too."""

    def __init__(self, journal: Journal, known: KnownSessions, settings: Settings, open_archive: OpenArchive) -> None:
        self.journal = journal
        self._store = journal.store
        self._known = known
        ttl = timedelta(milliseconds=settings.session_ttl_ms)
        self._newest = NewestVersions(known, open_archive, ttl)
        self._limits = LocalRateLimits()
        journaled = replace(settings, max_actions=_NO_TRIMMING)
        self._updater = Updater(self._store, journaled, _TrimmedBefore(lambda: required(open_archive())))
        self._reader = SessionReader(self._store, open_archive)
        self._writer = SessionWriter(self._store, self._updater, self._reader, journaled)
        self._endings = SessionEndings(self._store, self._updater, open_archive)
        #: The op_ids of agents' earlier sessions, as far as they are in the archive and in the journal.
        self.earlier = EarlierSessions(self._store, open_archive, settings.session_ttl_ms)
        #: Sessions that were compared with what else is known since Redis went away, with the time when each had been
        #: brought home before; and agents with their sessions.
        self._checked: BoundedDict[str, datetime | None] = BoundedDict(MAX_CHECKED)
        self._agents: BoundedDict[str, str] = BoundedDict(MAX_CHECKED)

    def begin_outage(self) -> None:
        """Compare each session with what else is known of it, once more: Redis has answered in the meantime."""
        self._checked.clear()
        self._agents.clear()

    # -- sessions of agents

    async def visit(
        self,
        agent_id: str,
        agent_name: str,
        *,
        route: str = "/",
        operation: str = "",
        limit: int = 0,
        diff: bool = False,
        create: bool = True,
    ) -> Visit:
        """Like `AgentSessions.get_or_create`; requests are counted by this process. Usually one request."""
        rate_limit = self._limits.count(agent_id, operation, limit)
        for _ in range(ATTEMPTS):
            session_id, base = await self._current(agent_id)
            if (
                session_id is not None
                and base is not None
                and base.document.get("agent_id") == agent_id
                and not (create and has_ended(base.document))
            ):
                raw = (await self._store.diff(session_id))[0] if diff else None
                return Visit(session_id, base, raw, rate_limit, degraded=True)
            if not create:
                raise NotFound(f"agent {agent_id} has no session at {self.journal.where}, where Redis' are journaled")
            new_id = keys.new_session_id()
            document = new_document(new_id, agent_id, encodable(agent_name), encodable(route), timestamp())
            raw = encode(document)
            await self.journal.begin(new_id, raw)
            self._checked[new_id] = None
            if await self._map(agent_id, new_id, session_id) == new_id:
                self._agents[agent_id] = new_id
                return Visit(new_id, base_from_string(raw), None, rate_limit, degraded=True)
            await self.journal.discard(new_id)  # another request was faster
        raise UpdateConflict(
            f"{self.journal.where}: other requests keep creating and ending sessions of agent {agent_id}; try again"
        )

    async def _current(self, agent_id: str) -> tuple[str | None, Base | None]:
        """The current session of an agent and its head; begun if it is known, but not in the journal yet."""
        expected = self._agents.get(agent_id)
        if expected is not None:
            entry, base = await self.journal.read(expected)
            if entry is not None and base is not None and self._is_current(entry) and not has_ended(base.document):
                return expected, base
            if entry is None or self._checked.get(expected) != entry.home_at:
                self._checked.pop(expected, None)  # another process has reached Redis, and brought it home
        mapped = session_id = await self.journal.session_of(agent_id)
        if expected is None or mapped in (expected, None):
            # the first request since Redis went away, for one process: the agent may have gone on there
            session_id = await self._latest(agent_id, mapped)
        if session_id is None or not await self.ensure(session_id):
            session_id = await self._newest.recorded_session_of(agent_id, self.journal)
            if session_id is None or not await self.ensure(session_id):
                return mapped, None
        if session_id != mapped:
            session_id = await self._map(agent_id, session_id, mapped)
            await self.ensure(session_id)
        self._agents[agent_id] = session_id
        return session_id, await self._head(session_id)

    def _is_current(self, entry: Entry) -> bool:
        """Whether a session was compared with what else is known, and its agent goes on with it."""
        checked = self._checked
        return not entry.superseded and checked.get(entry.session_id, entry) == entry.home_at

    async def _map(self, agent_id: str, session_id: str, before: str | None) -> str:
        """Map an agent to another session; see `Journal.map`."""
        if before is not None:
            await self.journal.supersede(before)
        return await self.journal.map(agent_id, session_id, before)

    async def _latest(self, agent_id: str, mapped: str | None) -> str | None:
        """The session that an agent used last. `mapped`: the one that it has in the journal."""
        if mapped is None:
            return await self._newest.session_of(agent_id)
        entry = await self.journal.entry(mapped)
        if entry is None or entry.pending:
            return mapped
        (_, over), base = await self._newest.find(mapped), await self._head(mapped)
        other = await self._newest.session_of(agent_id)
        if other is None or other == mapped:
            return mapped if not over else None
        version, _ = await self._newest.find(other)
        if version is None:
            return mapped if not over else None
        later = base is None or updated_ms(version.head) > updated_ms(base.head)
        return other if over or later else mapped

    async def _head(self, session_id: str) -> Base | None:
        return await self._store.read_base(session_id)

    def count(self, who: str, operation: str, limit: int) -> RateLimitStatus:
        """Count a request without looking for a session. Raises RateLimited."""
        return self._limits.count(who, operation, limit)

    async def unmap(self, agent_id: str, session_id: str) -> None:
        """Remove the mapping of an agent to a session, so that its next request begins another one."""
        self._agents.pop(agent_id, None)
        self._known.forget(session_id, agent_id)
        await self.journal.supersede(session_id)
        await self.journal.unmap(agent_id, session_id)

    # -- sessions by their id

    async def ensure(self, session_id: str) -> bool:
        """Begin to journal a session, from the newest version that is known. Returns whether one is.

        If it is in the journal, and this process knows a newer version of what it began with: it goes on from that.
        """
        if session_id in self._checked:
            return True
        for _ in range(ATTEMPTS):
            entry = await self.journal.entry(session_id)
            if entry is None:
                version, _ = await self._newest.find(session_id)
                if version is None:
                    return False
                if not await self.journal.begin(session_id, version.raw):
                    continue
            elif entry.home is None:
                await self.journal.adopt(session_id)
            elif not await self._renewed(entry):
                continue
            self._checked[session_id] = entry.home_at if entry is not None else None
            return True
        raise UpdateConflict(f"{self.journal.where}: other writers kept changing {session_id}; try again")

    async def _renewed(self, entry: Entry) -> bool:
        """Let a journaled session go on from what this process knows, if that is newer. False: try again."""
        session_id = entry.session_id
        if entry.pending:
            head = self._known.head(session_id)
            if head is None:
                return True
            record = await self._record(entry)
            return record is not None and await rebase(
                self._store, entry, record, head, self._known.actions(session_id)
            )
        version, over = await self._newest.find(session_id)
        if over:
            await self.journal.drop(entry)
            return False
        if version is None:
            return True
        record = await self._record(entry)
        if record is None:
            return False
        return not is_newer(version.head, record.head) or await renew(self._store, entry, record, version.raw)

    async def _record(self, entry: Entry) -> Base | None:
        """A journaled session with its trajectory; None if it has changed since its entry was read."""
        record = await self._store.read_base(entry.session_id, full=True)
        return record if record is not None and record.revision == entry.revision else None

    async def save_known(self, go_on: Callable[[], bool]) -> None:
        """Begin to journal the sessions of which this process wrote actions lately, as long as `go_on()` is true.

        Redis may come back without its data; then these actions, which may not be archived yet, are in the journal.
        """
        for session_id in self._known.written_lately():
            if not go_on():
                return
            try:
                await self.ensure(session_id)
            except Unreachable:
                raise
            except AwiError as error:
                log.warning("what is known of %s cannot be journaled: %s", session_id, error)

    async def _required(self, session_id: str) -> None:
        if not await self.ensure(keys.check_session_id(session_id)):
            raise no_session(session_id, self.journal.where)

    async def _in_journal(self, session_id: str, write: Callable[[], Awaitable[T]]) -> T:
        """Write to a session, which is begun to be journaled if necessary."""
        await self._required(session_id)
        try:
            return await write()
        except NotFound:  # another process brought it home, and deleted it later
            self._checked.pop(session_id, None)
            await self._required(session_id)
            return await write()

    async def _updated(self, session_id: str, write: Callable[[], Awaitable[Updated]]) -> Updated:
        return replace(await self._in_journal(session_id, write), degraded=True)

    async def create(self, agent_id: str, agent_name: str, route: str, *, session_id: str) -> Created:
        """Like `SessionWriter.create`. The TTL of a journaled session begins when it is home."""
        document, previous, _ = await self._writer.create(agent_id, agent_name, route, session_id=session_id)
        if previous is not None:
            await self.journal.supersede(previous)
        await self.journal.adopt(session_id)
        self._checked[session_id] = None
        self._agents[agent_id] = session_id
        return Created(document, previous or self._known.session_of(agent_id), degraded=True)

    async def apply(
        self,
        session_id: str,
        delta: Mapping[str, Any],
        entry: Mapping[str, Any] | None,
        op_id: str,
        base: Base | None = None,
    ) -> Updated:
        """Like `SessionWriter.apply`. `op_id`: that of the update if the entry has none."""
        if base is not None and base.revision:  # as it was just read here: what is cached may be older
            self._updater.forget(session_id)
        else:
            base = None
        return await self._updated(
            session_id, lambda: self._writer.apply(session_id, delta, entry, base=base, fresh_op_id=op_id)
        )

    async def update_page_state(
        self, session_id: str, page: Mapping[str, Any], entry: Mapping[str, Any] | None, op_id: str
    ) -> Updated:
        """Like `SessionWriter.update_page_state`."""
        return await self._updated(
            session_id, lambda: self._writer.update_page_state(session_id, page, entry, fresh_op_id=op_id)
        )

    async def update_pagination(
        self, session_id: str, pagination: Mapping[str, Any], entry: Mapping[str, Any] | None, op_id: str
    ) -> Updated:
        """Like `SessionWriter.update_pagination`."""
        return await self._updated(
            session_id, lambda: self._writer.update_pagination(session_id, pagination, entry, fresh_op_id=op_id)
        )

    async def record_end(self, session_id: str) -> None:
        """Like `SessionEndings.record`. The session is archived when it is home."""
        await self._in_journal(session_id, lambda: self._endings.record(session_id))
        base = await self._head(session_id)
        if base is not None and isinstance(agent_id := base.document.get("agent_id"), str):
            await self.earlier.ended(agent_id, session_id)

    async def history(self, session_id: str, limit: int, offset: int, max_bytes: int | None) -> HistoryPage | None:
        """A page of a journaled trajectory, newest first; None if the journal does not have the session."""
        page = await self._store.history(session_id, limit, offset, max_bytes)
        return page._replace(degraded=True) if page is not None else None

    async def diff(self, session_id: str) -> LastDiff | None:
        """The last delta of a session; None if the journal does not have the session."""
        try:
            return (await self._reader.diff(session_id))._replace(degraded=True)
        except NotFound:
            return None

    async def session_of(self, agent_id: str) -> str | None:
        """The session of an agent: in the journal or, if it has none there, the newest that is known."""
        return await self.journal.session_of(agent_id) or await self._newest.session_of(agent_id)

    async def stored(self, session_id: str) -> Stored | None:
        """The string of a session, if the journal has something of it that Redis may lack."""
        entry = await self.journal.entry(session_id)
        return await self._store.read(session_id) if entry is not None and entry.pending else None


class _TrimmedBefore(TrimmedActions):
    """The actions that were trimmed from a session before it was journaled.

    If the archive lacks some, it is decided when the session is brought home whether they have an op_id: Redis may have
    them.
    """

    async def have(self, session_id: str, base: Base, op_id: str) -> bool:
        """Whether the archive has an action with this op_id."""
        return await super().have(session_id, base, op_id) is True
