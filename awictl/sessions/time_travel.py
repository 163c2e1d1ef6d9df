"""Time travel: the state of a session at any moment, live or archived. Nothing here writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..document import keys
from ..document.moments import Moment
from ..document.timeline import StateAt
from ..errors import InvalidData
from .find import Found, OpenArchive
from .whole_session import WholeSession, whole_from_archive, whole_from_live

if TYPE_CHECKING:
    from ..document.run_comparison import RunComparison
    from ..store.base import Stored


class TimeTravel:
    """Finds sessions with their whole trajectories. Raises NotFound, Unreachable, InvalidData.

    `find`: finds a session in Redis, in the journal, or in the archive. `decode`: decodes the string of a live one.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[Found]],
        decode: Callable[[str, Stored], dict[str, Any]],
        open_archive: OpenArchive,
    ) -> None:
        self._find = find
        self._decode = decode
        self._open_archive = open_archive

    async def whole(self, session_id: str) -> WholeSession:
        """A session with every action of it that is known: those that Redis no longer has are from the archive."""
        found = await self._find(keys.check_session_id(session_id))
        if found.archived is not None:
            return whole_from_archive(found.archived, found)
        assert found.stored is not None  # noqa: S101  # what is not archived is live
        document = self._decode(session_id, found.stored)
        try:
            return await whole_from_live(session_id, document, found, self._open_archive)
        except InvalidData as error:
            raise InvalidData(f"session {session_id}: {error}") from None

    async def state_at(self, session_id: str, moment: Moment) -> tuple[WholeSession, StateAt]:
        """A session, and its state at a moment. Raises NotFound if no action is known from until then."""
        whole = await self.whole(session_id)
        return whole, whole.timeline.state_at(moment.in_(whole.timeline, datetime.now(UTC)))

    async def compare(self, first: str | WholeSession, second: str | WholeSession) -> RunComparison:
        """Compare the actions of two sessions, each given by its id or as a whole: where they part, and how."""
        from ..document.run_comparison import compare_runs

        wholes = [await self.whole(one) if isinstance(one, str) else one for one in (first, second)]
        return compare_runs(wholes[0].timeline, wholes[1].timeline)
