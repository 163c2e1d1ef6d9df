"""What a page gets of one session: its newest state, its actions, and what it needs to compute all other states."""

from __future__ import annotations

from typing import Any

from ...document.history.keyframes import replay_data
from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction
from ...document.timestamps import timestamp
from ...sessions.whole_session import WholeSession
from ..redacted_sessions import redacted_sessions


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
        **replay_data(shown.timeline),
        #: Null, or the names of the patterns, the pointers, and by kind of secret, how many values were replaced.
        "redacted": summary,
        "notices": [without_id(one) for one in whole.notices],
    }
