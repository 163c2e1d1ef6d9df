"""Export sessions, live and archived, with all that is known of each, in the format of `file_format`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...document import keys
from ...document.action_numbers import required_actions
from ...document.history.timeline import Step
from ...document.json_codec import json_equal, loads
from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction, parse_redaction
from ...document.schema import ARCHIVED_BY_APP, as_object, as_text
from ...document.timestamps import optional_timestamp
from ...errors import InvalidData, InvalidInput, Unreachable
from ...util.daemon_thread import in_daemon_thread
from ...util.fingerprint_set import FingerprintSet
from ..whole_session import WholeSession
from .file_format import ExportedSession, end_line, header, redacted_lines, session_lines

if TYPE_CHECKING:
    from ...errors import AwiError
    from ...settings import Settings
    from ...store.base import SessionStore
    from ..find import OpenArchive
    from .import_sessions import Imported

#: Size in bytes of the lines that a thread prepares at once.
_CHUNK_BYTES = 1_048_576
#: How many actions after that of the last delta there may be: an end has none.
_LAST_ACTIONS = 20
#: A session with at most so many actions is not worth a thread.
_FEW_ACTIONS = 200


class SessionExports:
    """Exports the sessions of a store and an archive, and imports them. `whole`: finds one with its trajectory."""

    def __init__(
        self,
        whole: Callable[[str], Awaitable[WholeSession]],
        store: SessionStore,
        open_archive: OpenArchive,
        settings: Settings,
    ) -> None:
        self._whole = whole
        self._store = store
        self._open_archive = open_archive
        self._settings = settings

    def import_file(
        self, read: Callable[[int], bytes], name: str, *, as_new: bool = False, dry_run: bool = False
    ) -> AsyncGenerator[Imported | AwiError, None]:
        """Import the sessions of a file; see `SessionImports.import_file`."""
        from .import_sessions import SessionImports

        imports = SessionImports(self._store, self._open_archive, self._settings)
        return imports.import_file(read, name, as_new=as_new, dry_run=dry_run)

    async def export(self, session_ids: Iterable[str], redact: Iterable[str] = ()) -> AsyncIterator[bytes]:
        """Yield the lines of a file with these sessions, some at a time.

        `redact`: what is to be redacted, as `parse_redaction` takes it; then the lines are kept in a temporary file
        until all sessions were read. Raises the error of the first session that cannot be exported.
        """
        seen = FingerprintSet()
        with ExportLines(parse_redaction(redact) if redact else None) as lines:
            if not lines.is_redacting:
                yield lines.header()
            for session_id in (one for given in session_ids for one in seen.add_new([given])):
                async for some in lines.session(await self.load(session_id)):
                    yield some
            async for some in lines.end():
                yield some

    async def load(self, session_id: str) -> ExportedSession:
        """Read a session with its keys and its whole trajectory. Raises NotFound, Unreachable, InvalidData."""
        return await self.exported(await self._whole(session_id))

    async def exported(self, whole: WholeSession) -> ExportedSession:
        """A session that was found already, with its keys."""
        if whole.unread is not None:  # a file that lacks actions would be taken for complete
            kind = Unreachable if isinstance(whole.unread, Unreachable) else InvalidData
            raise kind(f"{'; '.join(whole.notices)}; the session was not exported")
        live = whole.stored is not None
        document, first, state, ended_at = whole.document, whole.first, "live", None
        if not live and whole.archived is not None:
            summary = whole.archived.summary
            state, ended_at = summary.state.value, optional_timestamp(summary.ended_at)
            if whole.archived.snapshot is not None:
                document = whole.archived.snapshot.document
        if whole.is_partial:
            document = {**document, ARCHIVED_BY_APP: True}
        actions = required_actions(document)
        own = range(first, first + len(actions))
        steps = [
            (Step(step.ordinal, actions[step.ordinal - first]), False)
            if step.ordinal in own and not step.overwritten
            else (step, True)
            for step in whole.steps
        ]
        gaps = [*whole.timeline.gaps, *((one, None) for one in whole.breaks)]
        head = {
            "session": whole.session_id,
            "where": "live" if live else "archived",
            "state": state,
            "ended_at": ended_at,
            **({"degraded": True} if whole.degraded else {}),
            "keys": await self._keys(whole) if live else {},
            "gaps": sorted(gaps, key=lambda gap: gap[0]),
            "first": first,
            "actions": len(actions),
            "archived": len(steps) - len(actions),
            "document": {**document, "history": {**document["history"], "actions": []}},
        }
        return ExportedSession(head, steps)

    async def _keys(self, whole: WholeSession) -> dict[str, Any]:
        """The keys of a live session with their TTLs; none if Redis is unreachable."""
        if whole.degraded or whole.stored is None:
            return {}
        session_id, agent_id = whole.session_id, as_text(whole.document.get("agent_id"))
        found: dict[str, Any] = {"session": {"ttl_ms": whole.stored.ttl_ms}}
        try:
            keys.check_agent_id(agent_id or "")
        except InvalidInput:
            return found
        assert agent_id is not None  # noqa: S101  # it was checked
        ttls, (delta, _), mapped_id = await asyncio.gather(
            self._store.expiries(session_id, agent_id), self._store.diff(session_id), self._mapped_id(agent_id)
        )
        delta_key, mapping = keys.diff_key(session_id), keys.agent_key(agent_id)
        if delta is not None and delta_key in ttls:
            with suppress(InvalidData):  # it is derived from the session
                value = loads(delta)
                if _is_of(value, whole.document):  # not of an update since the session was read
                    found["diff"] = {"ttl_ms": ttls[delta_key], "value": value}
        if mapped_id == session_id and mapping in ttls:
            found["agent"] = {"agent_id": agent_id, "ttl_ms": ttls[mapping]}
        return found

    async def _mapped_id(self, agent_id: str) -> str | None:
        try:
            mapped = await self._store.agent_session(agent_id)
        except InvalidData:
            return None
        return mapped.session_id if mapped is not None else None


def _is_of(diff: Any, document: dict[str, Any]) -> bool:
    """Whether a last delta is of one of the last actions of a document."""
    action = as_object(diff).get("action")
    return any(json_equal(action, one) for one in required_actions(document)[-_LAST_ACTIONS:])


class ExportLines:
    """The lines of one file. To redact, it keeps them in a temporary file without a name until it has seen them all.

    `folder`: where that file is; None: in the system's folder for temporary files.
    """

    def __init__(self, redaction: Redaction | None = None, folder: Path | None = None) -> None:
        self._redaction = redaction
        self._redactor = Redactor(redaction) if redaction is not None else None
        self._folder = folder
        self._spool: IO[bytes] | None = None
        self.sessions = 0
        self.actions = 0

    def __enter__(self) -> ExportLines:
        if self._redactor is not None:
            self._spool = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self._spool is not None:
            self._spool.close()

    @property
    def is_redacting(self) -> bool:
        """Whether something is to be redacted."""
        return self._redactor is not None

    @property
    def redacted(self) -> dict[str, dict[str, int]]:
        """How many values were redacted, by kind; see `Redactor.summary`."""
        return self._redactor.summary() if self._redactor is not None else {}

    def header(self) -> bytes:
        """The first line; empty if it may have secrets itself: then `end` has it."""
        return header(None) if self._redaction is None else b""

    async def session(self, exported: ExportedSession) -> AsyncIterator[bytes]:
        """The lines of a session, some at a time; none if they have to be redacted later."""
        self.sessions += 1
        self.actions += len(exported.steps)
        lines = session_lines(exported)
        if self._redactor is None:
            if len(exported.steps) <= _FEW_ACTIONS:
                yield b"".join(lines)
                return
            async for some in _in_threads(lines):
                yield some
            return
        await in_daemon_thread(lambda: self._learn(lines))

    async def end(self) -> AsyncIterator[bytes]:
        """The last line, and before it all that had to be redacted."""
        if self._redaction is not None and self._redactor is not None and self._spool is not None:
            self._spool.seek(0)
            self._redactor.learned()
            yield header(self._redaction._replace(pointers=tuple(self._redactor.pointers())))
            async for some in _in_threads(redacted_lines(self._spool, self._redactor)):
                yield some
        yield end_line(self.sessions, self.actions, self.redacted)

    def _learn(self, lines: Iterable[bytes]) -> None:
        assert self._spool is not None and self._redactor is not None  # noqa: S101  # it was entered
        for line in lines:
            self._spool.write(line)
            for _ in redacted_lines([line], self._redactor):
                pass


async def _in_threads(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Join lines to chunks in threads, so that neither a long session nor a slow disk blocks the event loop."""

    def some() -> bytes:
        found: list[bytes] = []
        size = 0
        for line in lines:
            found.append(line)
            size += len(line)
            if size >= _CHUNK_BYTES:
                break
        return b"".join(found)

    while chunk := await in_daemon_thread(some):
        yield chunk
