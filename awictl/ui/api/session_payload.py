"""What a page gets of one session: its newest state, its actions, and what it needs to compute all other states."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...document.history.keyframes import replay_data
from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction
from ...document.timestamps import timestamp
from ...sessions.whole_session import WholeSession
from ..results.redacted_sessions import redacted_sessions

if TYPE_CHECKING:  # a file for a browser is made without the packages of the server, too
    from ..inspector import Inspector

#: Maximum number of sessions that are read as a whole at the same time: each takes some ten times its size in memory.
MAX_AT_ONCE = 4
_CUT = (
    "The session is too large to compute all that is known of its earlier states here: `awictl session show --at` "
    "may know some of the fields that are unknown, and that others do not fit the newest state."
)


def payload_turns(_: Inspector) -> asyncio.Semaphore:
    """Held while a session is read as a whole: all pages do that at once when Redis is back."""
    return asyncio.Semaphore(MAX_AT_ONCE)


def session_payload(whole: WholeSession, redaction: Redaction | None = None) -> dict[str, Any]:
    """A session as JSON values; see `replay_data` for what describes its states.

    It takes some milliseconds per thousand actions, and more if the session's beginning is not known: call it in a
    thread. `redaction`: what is replaced in it; the states are then those of the redacted actions.
    """
    shown, summary = whole, None
    if redaction is not None:
        redactor = Redactor(redaction)
        [shown] = redacted_sessions([whole], redactor)
        summary = {**redaction.row(), "pointers": redactor.pointers(), "values": redactor.summary()}
    archived_bytes = whole.archived.summary.bytes if whole.archived is not None else None

    def without_id(text: str) -> str:
        return text.replace(whole.session_id, shown.session_id)

    data = replay_data(shown.timeline)
    notices = [_CUT] if data["states_cut"] else []
    return {
        "session_id": shown.session_id,
        "place": "live" if whole.stored is not None else "archived",
        #: Why it is not simply a live session, as a sentence for the operator; null if it is.
        "origin": without_id(whole.origin) or None,
        "degraded": whole.degraded,
        #: Milliseconds until it expires; null if it does not, or is not live.
        "ttl_ms": whole.stored.ttl_ms if whole.stored is not None else None,
        "bytes": len(whole.stored.raw) if whole.stored is not None else archived_bytes,
        "now": timestamp(),
        **data,
        #: Null, or the names of the patterns, the pointers, and by kind of secret, how many values were replaced.
        "redacted": summary,
        "notices": [*map(without_id, whole.notices), *notices],
    }
