"""Read a file of `session export`. Whatever is in it: each session is checked as a whole before it is returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

import msgspec

from ...document import keys
from ...document.byte_layout import encode
from ...document.history.timeline import Step
from ...document.json_codec import dumps, loads
from ...document.timestamps import parse_timestamp
from ...errors import AwiError, InvalidData
from ...util.fingerprint_set import FingerprintSet
from .file_format import VERSION, ActionLine, EndCounts, SessionLine

T = TypeVar("T")
#: Size in bytes that is read at once.
_READ_BYTES = 1_048_576
#: Maximum size in bytes of a line besides the document or the action in it.
_LINE_OVERHEAD = 1_048_576
#: Maximum size of a session, in limits of a document: most of its actions may be in the archive.
_SESSION_LIMITS = 5


class ReadSession(NamedTuple):
    """A session from a file."""

    #: Its fields; the document in it has its own actions.
    line: SessionLine
    #: All its actions, with whether only the archive has each.
    steps: Sequence[tuple[Step, bool]]
    #: The number of its first line, and its id there.
    number: int
    original_id: str

    def with_document(self, document: dict[str, Any] | None) -> ReadSession:
        """The same session with an equal document in its place; None: without the one that was read, to free it."""
        self.line.document = document or {}
        own: Iterator[Any] = iter(document["history"]["actions"]) if document is not None else repeat(None)
        steps = [(step if archived else step._replace(action=next(own)), archived) for step, archived in self.steps]
        return self._replace(steps=steps)


class ExportReader:
    """Reads the lines of a file. All its methods block.

    `read`: returns at most so many bytes, none at the end. `name`: of the file, for messages. `max_bytes`: maximum size
    of a document. Raises InvalidData, which names the line.
    """

    def __init__(self, read: Callable[[int], bytes], name: str, max_bytes: int) -> None:
        self._read = read
        self._name = name
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        #: The number of the line that was read last.
        self.number = 0
        #: Number of bytes before the end of the last complete session.
        self.complete_bytes = 0
        self._bytes = 0
        #: What is to be redacted, as the first line has it; None: nothing.
        self.redaction: dict[str, list[str]] | None = None
        self.sessions = 0
        self.actions = 0

    def header(self) -> None:
        """Read the first line."""
        line = self._parsed(self._line() or b"null")
        version = line.get("awictl_export") if isinstance(line, dict) else None
        if type(version) is not int:
            raise self.error("this is not a file of `awictl session export`")
        if version != VERSION:
            raise self.error(f"the file has version {version}, and this awictl reads version {VERSION} only")
        self.redaction = self._converted(line.get("redaction"), dict[str, list[str]] | None)
        self.complete_bytes = self._bytes

    def sessions_in_file(self) -> Iterator[ReadSession]:
        """Yield the sessions, after the header was read, up to the last line. Each is checked as a whole."""
        seen = FingerprintSet()
        while (raw := self._line()) is not None:
            found = self._session(raw, seen)
            if not found:
                return
            yield found.pop()  # no variable keeps it here
        raise self.error("the file was cut off: its last line is missing; export the sessions again")

    def error(self, what: str, number: int | None = None) -> InvalidData:
        """The error for a line; by default, the last one that was read, or the first one of an empty file."""
        return InvalidData(f"{self._name}, line {max(self.number, 1) if number is None else number}: {what}")

    # -- lines

    def _line(self) -> bytes | None:
        """The next line without its newline; None at the end. Never more than the limit is kept."""
        limit = self._max_bytes + _LINE_OVERHEAD
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > limit:
                self.number += 1
                raise self.error(f"the line is longer than {limit:,} bytes (see AWI_MAX_DOCUMENT_BYTES)")
            chunk = self._read(_READ_BYTES)
            if not chunk:
                if self._buffer:
                    self.number += 1
                    raise self.error("the file was cut off in this line; export the sessions again")
                return None
            self._buffer += chunk
        self.number += 1
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        self._bytes += end + 1
        return line

    def _parsed(self, raw: bytes) -> Any:
        try:
            return loads(raw)
        except InvalidData as error:
            raise self.error(str(error)) from None

    def _converted(self, value: Any, to: type[T] | Any) -> T:
        try:
            converted: T = msgspec.convert(value, to)
        except (msgspec.ValidationError, RecursionError) as error:
            raise self.error(str(error)) from None
        except UnicodeEncodeError:
            raise self.error("a text with half of a surrogate pair stands where none is possible") from None
        return converted

    # -- sessions

    def _session(self, raw: bytes, seen: FingerprintSet) -> list[ReadSession]:
        """Read a session, given its first line, and check everything. Empty if that is the last line of the file.

        `seen`: the ids of the sessions before it.
        """
        parsed = self._parsed(raw)
        if isinstance(parsed, dict) and "end" in parsed:
            self._check_end(self._converted(parsed["end"], EndCounts))
            return []
        line: SessionLine = self._converted(parsed, SessionLine)
        number = self.number
        try:
            keys.check_session_id(line.session)
        except AwiError as error:
            raise self.error(str(error)) from None
        document = line.document
        history = document.get("history")
        if not isinstance(history, dict) or history.get("actions") != []:
            raise self.error("the document has no history.actions, or it is not empty")
        if document.get("session_id", line.session) != line.session:
            raise self.error(f"the document is of another session: {document['session_id']!a:.80}")
        if line.ended_at is not None and parse_timestamp(line.ended_at) is None:
            raise self.error(f"ended_at is not a timestamp: {line.ended_at!a:.80}")
        self._check_keys(line)
        steps = self._steps(line, number)
        history["actions"] = [step.action for step, archived in steps if not archived]
        if not seen.add_new([line.session]):
            raise self.error(f"{line.session} is in the file twice", number)
        self.sessions += 1
        self.actions += len(steps)
        self.complete_bytes = self._bytes
        return [ReadSession(line, steps, number, line.session)]

    def _check_keys(self, line: SessionLine) -> None:
        mapped = line.keys.agent
        if isinstance(mapped, msgspec.UnsetType):
            return
        try:
            keys.check_agent_id(mapped.agent_id)
        except AwiError as error:
            raise self.error(str(error)) from None
        if line.document.get("agent_id") != mapped.agent_id:
            raise self.error(f"the document is of another agent than {mapped.agent_id!a:.80}")

    def _steps(self, line: SessionLine, number: int) -> list[tuple[Step, bool]]:
        steps: list[tuple[Step, bool]] = []
        before = self._bytes
        own, last = line.first, -1
        for _ in range(line.actions + line.archived):
            raw = self._line()
            if raw is None:
                raise self.error(f"the file was cut off in {line.session}; export the sessions again")
            found: ActionLine = self._converted(self._parsed(raw), ActionLine)
            if self._bytes - before > self._max_bytes * _SESSION_LIMITS:
                raise self.error(f"{line.session} is larger than {self._max_bytes * _SESSION_LIMITS:,} bytes", number)
            if not found.archived:
                if found.ordinal != own or found.overwritten:
                    raise self.error(f"action {own} of {line.session} was expected, not {found.ordinal}")
                own += 1
            if not found.overwritten:
                if found.ordinal <= last:
                    raise self.error(f"action {found.ordinal} of {line.session} is after action {last}")
                last = found.ordinal
            steps.append((Step(found.ordinal, found.action, found.overwritten), found.archived))
        if own != line.first + line.actions:
            raise self.error(f"{line.session} has {own - line.first:,} actions of its own, not {line.actions:,}")
        return steps

    def _check_end(self, counts: EndCounts) -> None:
        if (counts.sessions, counts.actions) != (self.sessions, self.actions):
            raise self.error(
                f"the file should have {counts.sessions:,} sessions and {counts.actions:,} actions, and has "
                f"{self.sessions:,} and {self.actions:,}; was it edited?"
            )
        if self._line() is not None:
            raise self.error("there is something after the last line of the file")


def stored_string(document: dict[str, Any]) -> bytes:
    """The string of a document as awictl stores it, if that keeps the order of its keys; else as the app does."""
    history = document["history"]
    keeps_order = next(reversed(document)) == "history" and next(reversed(history)) == "actions"
    return encode(document) if keeps_order and all(map(_keeps_order, history["actions"])) else dumps(document)


def _keeps_order(action: Any) -> bool:
    """Whether an action has its `t` first and its op_id last, if it has them."""
    if not isinstance(action, dict):
        return True
    names = list(action)
    return ("t" not in action or names[0] == "t") and ("op_id" not in action or names[-1] == "op_id")
