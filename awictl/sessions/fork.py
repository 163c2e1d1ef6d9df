"""Fork sessions: make a new live session of a state that a session has gone through. The original is only read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..document import keys
from ..document.byte_layout import encode
from ..document.history.fork import before_end, fork, unknown_in_fork
from ..document.history.timeline import StateAt
from ..document.schema import as_text
from ..errors import NotFound, Refused, TooLarge
from ..settings import Settings
from ..store.base import SessionStore
from ..util.humanize import fields
from .find import OpenArchive
from .time_travel import AnyMoment, TimeTravel, state_of
from .whole_session import WholeSession


@dataclass(frozen=True)
class Forked:
    """A new session, and what it was made of."""

    document: dict[str, Any]
    whole: WholeSession
    #: The state that the new session has.
    state: StateAt
    #: JSON pointers to what was unknown then, and is missing from it.
    unknown: Sequence[str]
    #: The session that its agent was mapped to before, if it is now mapped to the new one.
    previous: str | None
    #: Number of its earlier actions that are in the archive, and of those that are nowhere.
    archived: int
    lost: int


class SessionForks:
    """Forks sessions. Raises ReadOnly if the settings say so."""

    def __init__(
        self, store: SessionStore, time_travel: TimeTravel, open_archive: OpenArchive, settings: Settings
    ) -> None:
        self._store = store
        self._time_travel = time_travel
        self._open_archive = open_archive
        self._settings = settings

    async def fork(
        self,
        session_id: str,
        moment: AnyMoment | None = None,
        *,
        agent_id: str | None = None,
        ttl_ms: int | None = None,
        allow_unknown: bool = False,
        dry_run: bool = False,
    ) -> Forked:
        """Make a new live session with the state and the history of a session at a moment; None: the newest.

        The end of a session is left out, so that the new one can go on. `agent_id`: an agent that the new session is
        for, and that is mapped to it; by default, it has the id of the same agent, which stays mapped to where it is.
        `ttl_ms`: its first TTL in milliseconds, instead of SESSION_TTL_MINUTES. `allow_unknown`: leave out what is
        unknown. `dry_run`: write nothing.

        Raises NotFound if the session, or an action until then, is not known; Refused if a part of the state is
        unknown; TooLarge.
        """
        if not dry_run:
            self._settings.check_writable()
        keys.check_ttl(ttl_ms)
        if agent_id is not None:
            keys.check_agent_id(agent_id)
        whole = await self._time_travel.whole(session_id)
        state = before_end(whole.timeline, state_of(whole, moment))
        if state is None:
            raise NotFound(f"{session_id}: what was before its end is not known")
        unknown = unknown_in_fork(state)
        if unknown and not allow_unknown:
            raise Refused(_unknown(whole, state, unknown))
        new_id = keys.new_session_id()
        limit = self._settings.max_actions
        made = fork(session_id, _as_stored(whole), whole.timeline, state, new_id, agent_id, limit)
        raw = encode(made.document)
        if len(raw) > self._settings.max_document_bytes:
            raise TooLarge(
                f"the fork of {session_id} would have {len(raw):,} bytes, more than AWI_MAX_DOCUMENT_BYTES "
                f"({self._settings.max_document_bytes:,}); fork at an earlier action, or with a lower "
                "AWI_MAX_ACTIONS_PER_SESSION, so that more of its actions are only in the archive"
            )
        archive = self._open_archive()
        previous = None
        if not dry_run:
            if archive is not None:
                from ..archive.chunks import chunks_of

                for chunk in chunks_of(enumerate(made.earlier)):
                    await archive.save_trimmed_actions(new_id, as_text(made.document.get("agent_id")), chunk)
            if agent_id is None:
                await self._store.put(new_id, None, raw, ttl_ms or self._settings.session_ttl_ms)
            else:
                previous = await self._store.create(new_id, agent_id, raw, ttl_ms)
        known = len(whole.timeline.steps_until(state.ordinal)) - len(made.document["history"]["actions"])
        archived = len(made.earlier) if archive is not None else 0
        return Forked(made.document, whole, state, unknown, previous, archived, known - archived)


def _as_stored(whole: WholeSession) -> dict[str, Any]:
    """The document without the actions that only the archive has."""
    if whole.stored is None and whole.archived is not None and whole.archived.snapshot is not None:
        return whole.archived.snapshot.document
    return whole.document


def _unknown(whole: WholeSession, state: StateAt, unknown: Sequence[str]) -> str:
    """Why a session cannot be forked at a moment of which not everything is known."""
    known = next((one.ordinal for one in whole.timeline.states(state.ordinal) if not unknown_in_fork(one)), None)
    return (
        f"{whole.session_id}: unknown after action {state.ordinal}, {whole.timeline.why_unknown}: "
        f"{fields(unknown)}; leave that out with --allow-unknown"
        + (f", or fork at action {known}, of which all is known" if known is not None else "")
    )
