"""A session with its whole trajectory: what Redis has of it, and the earlier actions that only the archive has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..document.action_numbers import actions_of, first_ordinal, required_actions
from ..document.history.timeline import Step, Timeline, steps_of
from ..document.schema import ARCHIVED_BY_APP, as_text
from ..errors import AwiError, InvalidData, NotFound

if TYPE_CHECKING:
    from ..archive.base import Archive, Archived
    from ..store.base import Stored
    from .export.reader import ReadSession
    from .find import Found, OpenArchive


@dataclass(frozen=True)
class WholeSession:
    """A session, live or archived, with every action of it that is known."""

    session_id: str
    #: The document as it was found; the trajectory in it may lack actions that are in `steps`.
    document: dict[str, Any]
    #: The whole trajectory, oldest action first.
    steps: Sequence[Step]
    #: Ordinal of the first action that a live session itself has.
    first: int = 0
    #: Ordinals before which an unknown number of actions is missing.
    breaks: frozenset[int] = frozenset()
    #: Its string in Redis; None if it is not live.
    stored: Stored | None = None
    #: What the archive has of it; None if it has nothing, or was not asked.
    archived: Archived | None = None
    #: Where it is from and why, for a notice; empty if it is live.
    origin: str = ""
    #: Whether Redis is unreachable, and may have a newer state.
    degraded: bool = False
    #: What could not be read, for notices.
    notices: Sequence[str] = ()
    #: Why it could not be.
    unread: AwiError | None = None

    @cached_property
    def timeline(self) -> Timeline:
        """The states that it went through."""
        return Timeline(self.document, self.steps, self.breaks, partial=self.is_partial)

    @property
    def is_partial(self) -> bool:
        """Whether only the app archived it, which keeps a part."""
        by_app = self.stored is None and self.archived is not None and self.archived.snapshot is None
        return by_app or self.document.get(ARCHIVED_BY_APP) is True


def whole_from_document(document: dict[str, Any]) -> WholeSession:
    """A session from a document alone, as `awictl session show` prints it. Raises InvalidData if it is not one."""
    required_actions(document)
    session_id = as_text(document.get("session_id"))
    if session_id is None:
        raise InvalidData("not a session document: it has no session_id")
    return WholeSession(session_id, document, steps_of(document), first_ordinal(document))


def whole_from_export(read: ReadSession) -> WholeSession:
    """A session from a file of `session export`."""
    breaks = frozenset(first for first, last in read.line.gaps if last is None)
    steps = [step for step, _ in read.steps]
    return WholeSession(read.line.session, read.line.document, steps, first=read.line.first, breaks=breaks)


def whole_from_archive(archived: Archived, found: Found | None = None) -> WholeSession:
    """An archived session. `found`: how it was found, if Redis was asked first."""
    return WholeSession(
        archived.summary.session_id,
        archived.document,
        _archived_steps(archived),
        archived.first,
        _breaks(archived),
        archived=archived,
        origin=found.origin if found is not None else "",
        degraded=found is not None and found.degraded,
    )


async def whole_from_live(
    session_id: str, document: dict[str, Any], found: Found, open_archive: OpenArchive
) -> WholeSession:
    """A live session, `found` and decoded. The archive is asked only if the session lacks its beginning.

    Raises InvalidData if it is not a session document. If the archive cannot be read, that is a notice.
    """
    own = WholeSession(
        session_id,
        document,
        steps_of(document),
        first_ordinal(document),
        stored=found.stored,
        origin=found.origin,
        degraded=found.degraded,
    )
    if not own.first and "trimmed_actions" not in document["history"]:
        return own
    try:
        archive = open_archive()
        if archive is None:
            return own
        await archive.check_exists()
        return await _completed(own, archive)
    except NotFound:  # an archive file that does not exist yet
        return own
    except AwiError as error:
        notice = f"{session_id}: its earlier actions may be in the archive, which cannot be read: {error}"
        return replace(own, notices=(notice,), unread=error)


async def _completed(own: WholeSession, archive: Archive) -> WholeSession:
    """A live session with what the archive has of its trajectory."""
    from ..archive.chunks import Chunk
    from ..archive.merge import merge
    from ..archive.trajectory import arranged

    actions = actions_of(own.document) or []
    agent_id = as_text(own.document.get("agent_id"))
    archived = await archive.load(own.session_id)
    if archived is None or archived.snapshot is None or not _same_agent(archived, agent_id):
        chunks = await archive.load_trimmed_actions(own.session_id, agent_id)
        return replace(own, steps=arranged(actions, own.first, chunks))
    snapshot = Chunk(archived.first, actions_of(archived.snapshot.document) or [])
    merged = merge(actions, own.first, snapshot, archived.chunks)
    steps = arranged(actions, merged.first, [*archived.chunks, *merged.chunks])
    breaks = _breaks(archived) | ({merged.first} if merged.unknown_gap else frozenset())
    return replace(own, steps=steps, first=merged.first, breaks=breaks, archived=archived)


def _same_agent(archived: Archived, agent_id: str | None) -> bool:
    from ..archive.chunks import agent_key

    return archived.snapshot is not None and agent_key(archived.snapshot.agent_id) == agent_key(agent_id)


def _archived_steps(archived: Archived) -> Sequence[Step]:
    if archived.snapshot is None:
        return steps_of(archived.document)
    from ..archive.trajectory import arranged

    return arranged(actions_of(archived.snapshot.document) or [], archived.first, archived.chunks)


def _breaks(archived: Archived) -> frozenset[int]:
    return frozenset(gap.first for gap in archived.summary.gaps if gap.last is None)
