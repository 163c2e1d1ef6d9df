"""What the state manager does with an archive: sessions end, come back, and are swept; agents' keys are kept there."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..document import keys
from ..document.schema import Change
from ..errors import AwiError, NoSession, ReadOnly, Refused
from ..settings import Settings
from ..store.base import SessionStore, no_session
from .update import Updater

# what only some commands need is imported by them: most never meet the archive
if TYPE_CHECKING:
    from ..agents.registry import AgentRegistry
    from ..archive.base import Archive, Archived
    from ..archive.sweep import Sweeper
    from ..store.redis.strings import Strings
    from .end import Ended, Endings


class Archiving:
    """The half of a `StateManager` that has to do with its archive."""

    def __init__(self, store: SessionStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        #: Servers of their own by their URLs, to be closed with the rest.
        self._further: dict[str, Strings] = {}
        archives = settings.archive is not None or settings.embedded
        self._updater = Updater(store, settings, self._archive_dropped if archives else None)

    @cached_property
    def archive(self) -> Archive | None:
        """The archive that the settings name, opened when it is first needed; None where they name none."""
        from ..archive.connect import open_archive

        return open_archive(self.settings)

    async def why_missing(self, session_id: str) -> AwiError:
        """The error for writing to a session that is not live: NotFound; Refused for one that the app archived."""
        from . import fallback

        missing = no_session(keys.check_session_id(session_id), self.store.where)
        return await fallback.why_missing(session_id, lambda: self.archive, missing)

    async def explained(self, error: NoSession) -> NoSession:
        """The same error with what else can be told of the session: was it archived, is this the right database, …"""
        from .not_found import explained

        return await explained(error, self.store, lambda: self.archive)

    async def end_session(self, session_id: str) -> Ended:
        """Record the end of a session, archive it, read it back, and delete it. It may be repeated at any time.

        Raises NotFound, Refused where there is no archive or where that holds something else under this id, and
        Unreachable where it does not answer: then the session stays, marked as ended, and does not expire.
        """
        self.check_writable()
        return await self._endings().end(keys.check_session_id(session_id))

    async def record_end(self, session_id: str) -> None:
        """Record the end of a session, which stays: `end_session` or a sweep archives it. May be repeated.

        Where there is no archive it expires as others do. Raises NotFound, Unreachable, InvalidData.
        """
        self.check_writable()
        from .end import record_end

        keep = self.archive is not None
        await record_end(self.store, self._updater, keys.check_session_id(session_id), keep=keep)

    async def discard_session(self, session_id: str) -> Ended:
        """Delete a session for good, without archiving it. Raises NotFound."""
        self.check_writable()
        from .end import discard

        return await discard(self.store, keys.check_session_id(session_id))

    async def restore_session(self, session_id: str, *, dry_run: bool = False) -> tuple[Archived, str | None]:
        """Put an archived session back as a live one, JSON-equal to what it was; it stays in the archive too.

        Returns it, and the session that its agent is in now: another one where the agent has gone on since. Raises
        NotFound, and Refused where a session lives under this id or where the app archived it (it kept too little).
        `dry_run`: only find out whether that would work.
        """
        if not dry_run:
            self.check_writable()
        return await self._endings().restore(keys.check_session_id(session_id), dry_run=dry_run)

    def _endings(self) -> Endings:
        from .end import Endings

        return Endings(self.store, self._updater, self.required_archive())

    def required_archive(
        self,
        otherwise: str = "; to end a session and lose it for good, `awictl session end --discard --yes`",
    ) -> Archive:
        """The archive. Raises Refused where there is none, saying what one can do `otherwise`."""
        if self.archive is None:
            raise Refused(
                "no archive is configured, so nothing was done: set MONGODB_URI or AWI_ARCHIVE_URL, or give "
                f"--archive URL (mongodb://HOST/DATABASE or sqlite:///FILE){otherwise}"
            )
        return self.archive

    @cached_property
    def agents(self) -> AgentRegistry:
        """The agents that have an API key; their keys are kept beside the archive. Raises Refused without one."""
        from ..agents.connect import open_key_store
        from ..agents.registry import AgentRegistry

        archive = self.required_archive("; the keys of agents are kept there")
        return AgentRegistry(open_key_store(archive), self.check_writable)

    def sweeper(
        self, margin_ms: int, *, rate: float | None = None, scan_rate: float | None = None, dry_run: bool = False
    ) -> Sweeper:
        """What archives sessions that expire within `margin_ms` milliseconds or have ended. See `Sweeper`.

        `rate`: sessions to archive in a second at the most; `scan_rate`: keys that Redis visits in a second for it.
        """
        from ..archive.sweep import Sweeper

        if not dry_run:
            self.check_writable()
        return Sweeper(self.store, self.required_archive(), margin_ms, rate=rate, scan_rate=scan_rate)

    async def get_archived_session(self, session_id: str) -> Archived | None:
        """A session from the archive, its trajectory complete; None where it is not there, or there is no archive."""
        keys.check_session_id(session_id)
        return await self.archive.load(session_id) if self.archive is not None else None

    async def _archive_dropped(self, session_id: str, change: Change) -> None:
        """Archive the actions that leave a session, before they do."""
        from ..archive.trajectory import Chunk

        chunk = Chunk(change.head["history"]["trimmed_actions"] - len(change.dropped), change.dropped)
        agent_id = change.head.get("agent_id")
        await self.required_archive().save_trimmed_actions(
            session_id, agent_id if isinstance(agent_id, str) else None, chunk
        )

    def check_writable(self) -> None:
        """Raises ReadOnly where the settings refuse all that writes."""
        if self.settings.read_only:
            which = f"profile {self.settings.profile}" if self.settings.profile else "AWI_READ_ONLY"
            raise ReadOnly(f"nothing was written: {which} is read-only")
