"""The file format of `session export`: JSON lines, one for the head of each session, and one for each of its actions.

    {"awictl_export":1,"redaction":null}
    {"session":"sess_1","where":"live","state":"live",…,"first":0,"actions":2,"archived":0,…,"document":{…}}
    {"ordinal":0,"action":{"t":0,…}}
    {"ordinal":1,"action":{"t":1,…}}
    {"end":{"sessions":1,"actions":2,"redacted":{}}}

Actions have lines of their own, so that neither the writer nor the reader holds a long session in memory as text, too,
and so that two exports of a session can be compared line by line. The document has an empty array in the place of its
trajectory. `archived` actions are those that it lacks and the archive has. A session is complete if its head is
followed by as many actions as it says, and a file if it has the last line. Apart from TTLs, nothing in it changes from
one export to the next if the sessions have not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from ...document.action_numbers import MAX_NUMBER
from ...document.history.timeline import Step
from ...document.json_codec import dumps, loads
from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction

#: The version of the format.
VERSION = 1

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
#: A TTL in milliseconds; below 0, it has expired.
_Ttl = Annotated[int, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]


class SessionTtl(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The key of a session."""

    #: Milliseconds until it expires; None if it never does; missing if that is not known.
    ttl_ms: _Ttl | msgspec.UnsetType | None = msgspec.UNSET


class LastDelta(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The key of a session's last delta."""

    ttl_ms: _Ttl | None
    value: Any


class AgentMapping(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The key of an agent that is mapped to the session."""

    agent_id: str
    ttl_ms: _Ttl | None


class SessionKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a live session."""

    session: SessionTtl | msgspec.UnsetType = msgspec.UNSET
    diff: LastDelta | msgspec.UnsetType = msgspec.UNSET
    agent: AgentMapping | msgspec.UnsetType = msgspec.UNSET


class SessionLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The head of a session."""

    session: str
    where: Literal["live", "archived"]
    #: What became of it; see `archive.decision.ArchivedState`.
    state: Literal["live", "ended", "expired", "vanished"]
    #: When it ended, if only the archive knows that.
    ended_at: str | None
    #: Whether Redis was unreachable, and may have had a newer state.
    degraded: bool = False
    keys: SessionKeys
    #: Where actions are missing: the ordinals of the first and the last one, which is null if it is not known.
    gaps: list[tuple[_Count, _Count | None]]
    #: The ordinal of the first action in the document.
    first: _Count
    #: Number of actions in the document, and of those that only the archive has.
    actions: _Count
    archived: _Count
    #: The document, with an empty trajectory.
    document: dict[str, Any]


class ActionLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An action of a session."""

    ordinal: _Count
    #: Whether it is not in the document, but in the archive; and whether another writer overwrote it there.
    archived: bool = False
    overwritten: bool = False
    action: Any


class EndCounts(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The counts in the last line of a file."""

    sessions: _Count
    actions: _Count
    redacted: dict[str, dict[str, _Count]]


class ExportedSession(NamedTuple):
    """A session as it is exported."""

    #: The fields of `SessionLine`.
    head: dict[str, Any]
    #: The whole trajectory; for each action, whether only the archive has it.
    steps: Sequence[tuple[Step, bool]]


def header(redaction: Redaction | None) -> bytes:
    """The first line."""
    return dumps({"awictl_export": VERSION, "redaction": redaction.row() if redaction is not None else None}) + b"\n"


def session_lines(exported: ExportedSession) -> Iterator[bytes]:
    """The lines of a session."""
    yield dumps(exported.head) + b"\n"
    for step, archived in exported.steps:
        marks = {name: True for name, is_set in (("archived", archived), ("overwritten", step.overwritten)) if is_set}
        yield dumps({"ordinal": step.ordinal, **marks, "action": step.action}) + b"\n"


def end_line(sessions: int, actions: int, redacted: dict[str, dict[str, int]]) -> bytes:
    """The last line."""
    return dumps({"end": {"sessions": sessions, "actions": actions, "redacted": redacted}}) + b"\n"


def redacted_lines(lines: Iterable[bytes], redactor: Redactor) -> Iterator[bytes]:
    """Redact the lines of sessions. The first time, when the redactor is learning, what is returned is of no use."""
    for raw in lines:
        line = loads(raw)
        if "session" in line:
            last = line["first"] + line["actions"] - 1
            line["session"] = redactor.session_id(line["session"])
            if "agent" in line["keys"]:
                line["keys"]["agent"]["agent_id"] = redactor.agent_id(line["keys"]["agent"]["agent_id"])
            if "diff" in line["keys"]:
                line["keys"]["diff"]["value"] = redactor.last_delta(line["keys"]["diff"]["value"], last)
            redactor.state(line["document"], last)
        else:
            line["action"] = redactor.action(line["action"], line["ordinal"])
        yield dumps(line) + b"\n"
