"""Sessions that earlier versions of awictl archived in the app's collection `agentsessions`.

Such a document has the app's fields and, in the field `awi`, the session's bytes and what was needed to compare it.
Large bytes are in `agentsessions.parts`, as are trimmed actions. They are only read here; see `migration.py`.
"""

from __future__ import annotations

from dataclasses import replace

from ...document.schema import as_object, as_text
from ...store.mongo.connection import Document
from ..base import ArchivedSummary, Shape
from ..decision import ArchivedState, ArchivedVersion
from ..snapshot import Revision
from ..values import as_count
from . import app_documents
from .documents import counts_of
from .values import as_datetime, as_int

#: Version of the fields under `awi`.
FORMAT = 1
#: Filter for the documents.
WANTED: Document = {"awi.format": FORMAT, "sessionId": {"$type": "string"}}

#: Projection for `version_of`.
VERSION_FIELDS = dict.fromkeys(
    ("sessionId", "agentId", "sessionStartedAt", "sessionActive", "awi.digest", "awi.revision", "awi.expiresAt",
     "awi.format", "awi.parts", "awi.lastAction", "awi.server", "awi.archivedAt"), 1
)  # fmt: skip
#: Projection for `summary_of`, and for documents of the app.
SUMMARY_FIELDS = dict.fromkeys(
    ("sessionId", "agentId", "agentName", "sessionStartedAt", "sessionEndedAt", "sessionActive", "lastActivityAt",
     "currentState.currentRoute", "statistics", "awi.format", "awi.bytes", "awi.agentId", "awi.archivedAt"), 1
)  # fmt: skip
#: Additional projection for action counts: stored in documents of awictl, computed for documents of the app.
ACTION_COUNT_FIELDS = {
    "awi.uses": 1,
    "actionHistory": {"$cond": [{"$eq": [{"$type": "$awi"}, "missing"]}, "$actionHistory", "$$REMOVE"]},
}


def is_legacy(found: Document) -> bool:
    """Whether a document of `agentsessions` is a session that an earlier version of awictl archived."""
    awi = found.get("awi")
    return isinstance(awi, dict) and "view" not in awi


def state_of(found: Document) -> ArchivedState:
    """Return the state of a session."""
    return ArchivedState.LIVE if found.get("sessionActive") is True else ArchivedState.ENDED


def version_of(found: Document) -> ArchivedVersion:
    """Return the version of a session."""
    awi = as_object(found.get("awi"))
    revision = as_object(awi.get("revision"))
    agent_id = found.get("agentId")
    return ArchivedVersion(
        found["sessionId"],
        str(awi.get("digest")),
        Revision(*(as_int(revision.get(name)) for name in Revision._fields)),
        str(agent_id) if agent_id is not None else None,
        as_datetime(found.get("sessionStartedAt")),
        state_of(found),
        as_datetime(awi.get("expiresAt")),
        "",
        as_count(awi.get("parts")),
        str(awi.get("lastAction")),
        as_text(awi.get("server")) or "",
        seen_at=as_datetime(awi.get("archivedAt")),
    )


def summary_of(found: Document) -> ArchivedSummary:
    """Return the row of a listing for a document."""
    awi = found["awi"]
    return replace(
        app_documents.summary(found | {"actionHistory": []}),
        agent_id=awi["agentId"] if isinstance(awi.get("agentId"), str) else None,
        bytes=as_count(awi.get("bytes")),
        shape=Shape.AWICTL,
        last_seen_at=as_datetime(awi.get("archivedAt")),
        action_counts=counts_of(awi.get("uses")),
    )
