"""Read sessions: documents, history pages and diffs, live or from the archive. Nothing here writes or extends a TTL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..document import byte_layout, keys
from ..errors import AwiError, InvalidData, InvalidInput, NoSession, NotFound, Unreachable
from ..store.base import AgentSession, HistoryPage, Listed, SessionStore, Stored
from ..store.errors import no_session

# imported when needed: most commands never read the archive
if TYPE_CHECKING:
    from .find import Found, OpenArchive

T = TypeVar("T")


class LastDiff(NamedTuple):
    """The last delta of a session."""

    #: `{"delta", "last_action"}`; None if there was no update in the last five minutes.
    diff: dict[str, Any] | None
    #: Whether it is what was known when Redis was unreachable.
    degraded: bool = False


class SessionReader:
    """Reads live sessions from a store and, as a fallback, archived ones."""

    def __init__(self, store: SessionStore, open_archive: OpenArchive) -> None:
        self._store = store
        self._open_archive = open_archive

    async def state(self, session_id: str) -> dict[str, Any] | None:
        """The live document; None if there is none. Raises InvalidData. One round trip."""
        stored = await self._store.read(keys.check_session_id(session_id))
        return self.decoded(session_id, stored) if stored is not None else None

    async def stored(self, session_id: str) -> Stored:
        """The stored string of a live session and its TTL. Raises NotFound. One round trip."""
        stored = await self._store.read(keys.check_session_id(session_id))
        if stored is None:
            raise no_session(session_id, self._store.where)
        return stored

    def decoded(self, session_id: str, stored: Stored) -> dict[str, Any]:
        """The document in a stored string. Raises InvalidData, which names the key."""
        try:
            return byte_layout.decode(stored.raw)
        except InvalidData as error:
            raise InvalidData(
                f"{self._store.where}, key {keys.session_key(session_id)}: {error} "
                f"(`awictl session show -o raw {session_id}` prints it as it is)"
            ) from None

    async def find(self, session_id: str) -> Found:
        """A session from Redis; from the archive if it is not live, or Redis is unreachable. Raises NotFound."""
        from . import find

        return await find.find(keys.check_session_id(session_id), self._store, self._open_archive)

    async def history(
        self, session_id: str, limit: int = 20, offset: int = 0, *, max_bytes: int | None = None
    ) -> HistoryPage:
        """A page of a live trajectory, newest first. At most two round trips.

        Raises NotFound, and TooLarge if more than `max_bytes` would have to be read.
        """
        if limit < 0 or offset < 0:
            raise InvalidInput("limit and offset cannot be negative")
        page = await self._store.history(keys.check_session_id(session_id), limit, offset, max_bytes)
        if page is None:
            raise no_session(session_id, self._store.where)
        return page

    async def find_history(self, session_id: str, limit: int = 20, offset: int = 0) -> tuple[HistoryPage, Found | None]:
        """Like `history`, but with the archive as a fallback. Returns the page and what the archive returned."""
        try:
            return await self.history(session_id, limit, offset), None
        except (NotFound, Unreachable) as error:
            from . import find

            found = await find.from_archive(session_id, self._open_archive, error, self._store.name)
            return find.history_of(found.document, limit, offset, degraded=found.degraded), found

    async def diff(self, session_id: str) -> LastDiff:
        """The last delta of a session. Raises NotFound. One round trip."""
        raw, exists = await self._store.diff(keys.check_session_id(session_id))
        if raw is None:
            if not exists:
                raise no_session(session_id, self._store.where)
            return LastDiff(None)
        from ..document.update import decode_diff  # most reads do not need it

        return LastDiff(decode_diff(raw, f"{self._store.where}, key {keys.diff_key(session_id)}"))

    async def agent_session(self, agent_id: str) -> AgentSession | None:
        """The session that an agent is mapped to, even if that is gone; None without a mapping. One round trip."""
        return await self._store.agent_session(keys.check_agent_id(agent_id))

    def list_all(
        self, convert: Callable[[Listed], T], *, rate: float | None = None
    ) -> AsyncGenerator[Sequence[T], None]:
        """All live sessions in batches, converted by `convert`. `rate`: keys to scan per second."""
        return self._store.list_all(convert, rate)

    async def why_missing(self, session_id: str) -> AwiError:
        """The error for writing to a session that is not live: NotFound; Refused if the app archived it."""
        from . import find

        missing = no_session(keys.check_session_id(session_id), self._store.where)
        return await find.why_missing(session_id, self._open_archive, missing)

    async def explain(self, error: NoSession) -> NoSession:
        """The same error with hints: is the id complete, is the session archived, is this the right database?"""
        from .not_found import explained

        return await explained(error, self._store, self._open_archive)
