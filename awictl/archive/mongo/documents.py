"""The documents of the collection `agentsessions`: how they are written, queried and read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pymongo import InsertOne, ReplaceOne, UpdateOne

from ...document.json_codec import encodable
from ...document.schema import as_array, as_object, as_text
from ...util.batched import batched
from ..base import ArchivedSummary, ArchiveQuery, Cursor, Shape
from ..compression import compress
from ..decision import ArchivedState, ArchivedVersion
from ..snapshot import Revision, Snapshot
from ..trajectory import ActionCount
from ..values import as_count
from . import app_documents
from .app_view import app_agent_id, app_view
from .connection import Document
from .values import as_datetime, as_int

#: Version of the fields under `awi`.
FORMAT = 1

#: Maximum size of compressed bytes that are stored in the document itself, beside the view; larger ones are split.
INLINE_BYTES = 6_291_456
#: Size of the pieces that they are split into.
PART_BYTES = 8_388_608
#: Maximum number of action names that are counted for one session, and characters of such a name.
_MAX_ACTION_NAMES, _MAX_NAME = 1_000, 200

Write = InsertOne[Document] | ReplaceOne[Document] | UpdateOne

#: Projection for `version_of`.
VERSION_FIELDS = dict.fromkeys(
    ("sessionId", "agentId", "sessionStartedAt", "sessionActive", "awi.digest", "awi.revision", "awi.expiresAt",
     "awi.format", "awi.parts", "awi.lastAction", "awi.server"), 1
)  # fmt: skip
#: Projection for the session's bytes.
STORED_FIELDS = dict.fromkeys(
    ("sessionId", "awi.format", "awi.digest", "awi.packed", "awi.parts", "awi.bytes"), 1
)  # fmt: skip
#: Projection for `summary_of`.
SUMMARY_FIELDS = dict.fromkeys(
    ("sessionId", "agentId", "agentName", "sessionStartedAt", "sessionEndedAt", "sessionActive", "lastActivityAt",
     "currentState.currentRoute", "statistics", "awi.format", "awi.bytes", "awi.agentId"), 1
)  # fmt: skip
#: Additional projection for action counts: stored in documents of awictl, computed for documents of the app.
ACTION_COUNT_FIELDS = {
    "awi.uses": 1,
    "actionHistory": {"$cond": [{"$eq": [{"$type": "$awi"}, "missing"]}, "$actionHistory", "$$REMOVE"]},
}


def document_of(snapshot: Snapshot, now: datetime) -> tuple[Document, list[Write]]:
    """Return the document for a snapshot that is archived `now`, and the writes of its parts, if it is split."""
    packed = compress(snapshot.raw)
    counts = sorted(snapshot.action_counts.items(), key=lambda one: -one[1].count)[:_MAX_ACTION_NAMES]
    awi: Document = {
        "format": FORMAT,
        "digest": snapshot.digest,
        "revision": snapshot.revision._asdict(),
        "lastAction": snapshot.last_action_digest,
        "agentId": snapshot.agent_id,
        "bytes": len(snapshot.raw),
        "archivedAt": now,
        "expiresAt": snapshot.expires_at if not snapshot.ended else None,
        "server": snapshot.server or None,
        "uses": [[name[:_MAX_NAME], counted.count, counted.failed] for name, counted in counts],
    }
    parts: list[Write] = []
    if len(packed) <= INLINE_BYTES:
        awi["packed"] = packed
    else:
        pieces = list(batched(packed, PART_BYTES))
        awi["parts"] = len(pieces)
        for name, piece in zip(part_names(snapshot.session_id, snapshot.digest, len(pieces)), pieces, strict=True):
            part = {"_id": name, "sessionId": snapshot.session_id, "kind": "document", "digest": snapshot.digest}
            parts.append(ReplaceOne({"_id": name}, {**part, "packed": piece}, upsert=True))
    return {**app_view(snapshot), "awi": awi}, parts


def part_names(session_id: str, digest: str, count: int) -> list[str]:
    """Return the `_id` of each part of a session that is split."""
    return [f"{session_id}:document:{digest}:{number}" for number in range(count)]


def extension(snapshot: Snapshot) -> UpdateOne:
    """Return the write that records a later expiry, or another server, of a session whose bytes are archived."""
    known = {"awi.server": snapshot.server} if snapshot.server else {}
    return UpdateOne(
        {"sessionId": snapshot.session_id, "awi.digest": snapshot.digest},
        {
            "$set": {"sessionActive": True, "sessionEndedAt": None, **known},
            "$max": {"awi.expiresAt": snapshot.expires_at},
        },
    )


def unchanged(archived: ArchivedVersion) -> Document:
    """Return the filter for a session that is still archived in this version."""
    return {"sessionId": archived.session_id, "awi.digest": archived.digest}


def is_ours(found: Document) -> bool:
    """Whether awictl wrote the document, and not the app."""
    return isinstance(found.get("awi"), dict)


def version_of(found: Document) -> ArchivedVersion:
    """Return the version of the session that is archived in a document of awictl or of the app."""
    awi = as_object(found.get("awi"))
    revision = as_object(awi.get("revision"))
    agent_id = found.get("agentId")
    protected = ""
    if not is_ours(found):
        protected = "as a document of the app, which is never written by awictl"
    elif awi.get("format") != FORMAT:
        protected = f"in format {awi.get('format')!r:.20}, which this version of awictl does not support"
    return ArchivedVersion(
        found["sessionId"],
        str(awi.get("digest")),
        Revision(*(as_int(revision.get(name)) for name in Revision._fields)),
        str(agent_id) if agent_id is not None else None,
        as_datetime(found.get("sessionStartedAt")),
        ArchivedState.LIVE if found.get("sessionActive") is True else ArchivedState.ENDED,
        as_datetime(awi.get("expiresAt")),
        protected,
        as_count(awi.get("parts")),
        str(awi.get("lastAction")),
        as_text(awi.get("server")) or "",
    )


def summary_of(found: Document) -> ArchivedSummary:
    """Return the row of a listing for a document of awictl."""
    awi = found["awi"]
    counts = [one for one in as_array(awi.get("uses")) if isinstance(one, list) and len(one) == 3]
    return replace(
        app_documents.summary(found | {"actionHistory": []}),
        agent_id=awi["agentId"] if isinstance(awi.get("agentId"), str) else None,
        bytes=as_count(awi.get("bytes")),
        shape=Shape.AWICTL,
        action_counts={str(name): ActionCount(as_count(count), as_count(failed)) for name, count, failed in counts},
    )


def conditions_of(query: ArchiveQuery, after: Cursor | None) -> list[Document]:
    """Return the filters for a query, from behind a cursor on. All of them must match."""
    conditions: list[Document] = [{"sessionId": {"$type": "string"}}]
    if query.agent is not None:
        conditions.append({"$or": [{"agentId": app_agent_id(query.agent)}, {"agentName": encodable(query.agent)}]})
    if query.since is not None:
        conditions.append({"lastActivityAt": {"$gte": query.since}})
    if query.until is not None:
        conditions.append({"lastActivityAt": {"$lt": query.until}})
    if query.failed:
        conditions.append({"statistics.failedActions": {"$gt": 0}})
    if after is not None:
        same = {"lastActivityAt": after.last_activity_at, "sessionId": {"$lt": after.session_id}}
        if after.last_activity_at is None:
            conditions.append(same)
        else:
            earlier = {"lastActivityAt": {"$lt": after.last_activity_at}}
            conditions.append({"$or": [earlier, {"lastActivityAt": None}, same]})
    return conditions
