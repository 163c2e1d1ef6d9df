"""Time travel: the state of a session at any moment, live or archived. Nothing here writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import keys
from ..document.history.moments import Moment, parse_moment_of
from ..document.history.timeline import StateAt
from ..errors import InvalidData, NotFound
from .find import Found, OpenArchive
from .whole_session import WholeSession, whole_from_archive, whole_from_live

if TYPE_CHECKING:
    from ..document.history.run_comparison import RunComparison
    from ..document.history.state_difference import StateDifference
    from ..store.base import Stored


#: A moment: the ordinal of an action, its text as on the command line (`moments.FORMS`), or parsed.
AnyMoment = Moment | int | str


class BetweenMoments(NamedTuple):
    """A session at two moments."""

    whole: WholeSession
    before: StateAt
    after: StateAt
    difference: StateDifference


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

    async def state_at(self, session_id: str, moment: AnyMoment) -> tuple[WholeSession, StateAt]:
        """A session, and its state at a moment. Raises NotFound if no action is known from until then."""
        whole = await self.whole(session_id)
        return whole, state_of(whole, moment)

    async def difference(
        self, session_id: str, start: AnyMoment | None, stop: AnyMoment | None, ignored: Collection[str] = ()
    ) -> BetweenMoments:
        """How a session differs between two moments; None: the oldest, or the newest, that is known.

        `ignored`: top-level fields that are not compared. Raises NotFound if no action is known from until then.
        """
        from ..document.history.state_difference import compare_states

        whole = await self.whole(session_id)
        before = state_of(whole, start if start is not None else first_of(whole))
        after = state_of(whole, stop)
        return BetweenMoments(whole, before, after, compare_states(whole.timeline, before, after, ignored))

    async def compare(self, first: str | WholeSession, second: str | WholeSession) -> RunComparison:
        """Compare the actions of two sessions, each given by its id or as a whole: where they diverge, and how."""
        from ..document.history.run_comparison import compare_runs

        wholes = [await self.whole(one) if isinstance(one, str) else one for one in (first, second)]
        return compare_runs(wholes[0].timeline, wholes[1].timeline)


def state_of(whole: WholeSession, moment: AnyMoment | None) -> StateAt:
    """The state of a session at a moment; None: the newest. Raises NotFound, which names the session."""
    if isinstance(moment, int):
        moment = Moment(ordinal=moment)
    elif isinstance(moment, str):
        moment = parse_moment_of(moment)
    try:
        timeline = whole.timeline
        return timeline.state_at(moment.in_(timeline, datetime.now(UTC)) if moment is not None else timeline.last)
    except NotFound as error:
        raise NotFound(f"{whole.session_id}: {error}") from None


def first_of(whole: WholeSession) -> int:
    """The ordinal of the oldest action that is known. Raises NotFound, which names the session."""
    try:
        return whole.timeline.first
    except NotFound as error:
        raise NotFound(f"{whole.session_id}: {error}") from None
