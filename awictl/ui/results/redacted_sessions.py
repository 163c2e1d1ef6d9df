"""Sessions without secrets: what may be shown of them with `--redact`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...document.history.timeline import Step
from ...document.json_codec import dumps, loads
from ...document.redaction.redact import Redactor
from ...sessions.whole_session import WholeSession


def redacted_sessions(wholes: Sequence[WholeSession], redactor: Redactor) -> list[WholeSession]:
    """Copies of sessions in which secrets are replaced: one value by the same placeholder in all of them.

    The documents of the copies have no trajectories; their steps have. `redactor`: a new one, which then tells what it
    replaced.
    """
    stored = [_encoded(one) for one in wholes]
    for documents in stored:
        _redact(documents, redactor)
    redactor.learned()
    return [_copy(one, *_redact(documents, redactor), redactor) for one, documents in zip(wholes, stored, strict=True)]


#: The document of a session without its trajectory, and its steps, as JSON.
_Encoded = tuple[bytes, list[tuple[Step, bytes]]]


def _encoded(whole: WholeSession) -> _Encoded:
    history = whole.document.get("history")
    head = dict(whole.document)
    if isinstance(history, dict):
        head["history"] = history | {"actions": []}
    return dumps(head), [(step, dumps(step.action)) for step in whole.steps]


def _redact(encoded: _Encoded, redactor: Redactor) -> tuple[dict[str, object], list[Step]]:
    head, steps = loads(encoded[0]), encoded[1]
    redactor.state(head, steps[-1][0].ordinal if steps else 0)
    return head, [step._replace(action=redactor.action(loads(data), step.ordinal)) for step, data in steps]


def _copy(whole: WholeSession, head: dict[str, object], steps: list[Step], redactor: Redactor) -> WholeSession:
    return replace(whole, session_id=redactor.session_id(whole.session_id), document=head, steps=steps)
