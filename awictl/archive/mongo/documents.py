"""The documents of the MongoDB archive: how a session becomes one, what can be asked of them, and what they tell."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo import InsertOne, ReplaceOne, UpdateOne

from ...document.json_codec import encodable
from ...document.schema import as_array, as_object
from .. import app_documents
from ..app_view import app_agent_id, app_view
from ..base import ArchivedSummary, ArchiveQuery, Cursor
from ..compression import pack
from ..snapshot import ArchivedVersion, Revision, Snapshot, count_of
from ..trajectory import ActionCount

#: Version of what stands under `awi`.
FORMAT = 1

#: Bytes of a compressed string that stand in the document itself (of which the view may fill half), and bytes of
#: each of its parts otherwise.
INLINE_BYTES = 6_291_456
PART_BYTES = 8_388_608
#: Names of actions whose uses are counted for one session, and characters of such a name.
_MAX_USES, _MAX_NAME = 1_000, 200

Document = dict[str, Any]
Write = InsertOne[Document] | ReplaceOne[Document] | UpdateOne

_KNOWN = ("sessionId", "agentId", "sessionStartedAt", "sessionActive", "awi.digest", "awi.revision", "awi.expiresAt")
KNOWN_FIELDS = dict.fromkeys((*_KNOWN, "awi.format", "awi.parts", "awi.lastAction"), 1)
STORED_FIELDS = dict.fromkeys(("sessionId", "awi.format", "awi.digest", "awi.packed", "awi.parts"), 1)
SUMMARY_FIELDS = dict.fromkeys(
    ("sessionId", "agentId", "agentName", "sessionStartedAt", "sessionEndedAt", "sessionActive", "lastActivityAt",
     "currentState.currentRoute", "statistics", "awi.format", "awi.bytes", "awi.agentId"), 1
)  # fmt: skip
#: The actions of documents that do not tell their uses; those of awictl do.
ACTION_COUNT_FIELDS = {
    "awi.uses": 1,
    "actionHistory": {"$cond": [{"$eq": [{"$type": "$awi"}, "missing"]}, "$actionHistory", "$$REMOVE"]},
}


def document_of(snapshot: Snapshot, now: datetime) -> tuple[Document, list[Write]]:
    """The document for a snapshot, and the writes of its parts."""
    packed = pack(snapshot.raw)
    uses = sorted(snapshot.action_counts.items(), key=lambda one: -one[1].count)[:_MAX_USES]
    awi: Document = {
        "format": FORMAT,
        "digest": snapshot.digest,
        "revision": snapshot.revision._asdict(),
        "lastAction": snapshot.last,
        "agentId": snapshot.agent_id,
        "bytes": len(snapshot.raw),
        "archivedAt": now,
        "expiresAt": snapshot.expires_at if not snapshot.ended else None,
        "uses": [[name[:_MAX_NAME], use.count, use.failed] for name, use in uses],
    }
    parts: list[Write] = []
    if len(packed) <= INLINE_BYTES:
        awi["packed"] = packed
    else:
        pieces = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
        awi["parts"] = len(pieces)
        for name, piece in zip(part_names(snapshot.session_id, snapshot.digest, len(pieces)), pieces, strict=True):
            part = {"_id": name, "sessionId": snapshot.session_id, "kind": "document", "digest": snapshot.digest}
            parts.append(ReplaceOne({"_id": name}, {**part, "packed": piece}, upsert=True))
    return {**app_view(snapshot), "awi": awi}, parts


def part_names(session_id: str, digest: str, count: int) -> list[str]:
    return [f"{session_id}:document:{digest}:{number}" for number in range(count)]


def extension(snapshot: Snapshot) -> UpdateOne:
    """The write that tells of a session, which is archived already, that it lives longer."""
    return UpdateOne(
        {"sessionId": snapshot.session_id, "awi.digest": snapshot.digest},
        {"$set": {"sessionActive": True, "sessionEndedAt": None}, "$max": {"awi.expiresAt": snapshot.expires_at}},
    )


def unchanged(known: ArchivedVersion) -> Document:
    return {"sessionId": known.session_id, "awi.digest": known.digest}


def is_ours(found: Document) -> bool:
    return isinstance(found.get("awi"), dict)


def version_of(found: Document) -> ArchivedVersion:
    awi = as_object(found.get("awi"))
    revision = as_object(awi.get("revision"))
    agent_id = found.get("agentId")
    foreign = ""
    if not is_ours(found):
        foreign = "in the app's own older shape, which is never written"
    elif awi.get("format") != FORMAT:
        foreign = f"in format {awi.get('format')!r:.20}, which this awictl does not know"
    return ArchivedVersion(
        found["sessionId"],
        str(awi.get("digest")),
        Revision(*(number_of(revision.get(name)) for name in Revision._fields)),
        str(agent_id) if agent_id is not None else None,
        app_documents.moment(found.get("sessionStartedAt")),
        found.get("sessionActive") is True,
        app_documents.moment(awi.get("expiresAt")),
        foreign,
        count_of(awi.get("parts")),
        str(awi.get("lastAction")),
    )


def summary_of(found: Document) -> ArchivedSummary:
    """What a listing tells of a document of awictl."""
    awi = found["awi"]
    uses = {
        str(name): ActionCount(number_of(count), number_of(failed))
        for name, count, failed in (one for one in as_array(awi.get("uses")) if isinstance(one, list) and len(one) == 3)
    }
    shown = app_documents.summary(found | {"actionHistory": []})
    return ArchivedSummary(
        **{
            **{name: getattr(shown, name) for name in ArchivedSummary.__dataclass_fields__},
            "agent_id": awi["agentId"] if isinstance(awi.get("agentId"), str) else None,
            "bytes": count_of(awi.get("bytes")),
            "shape": ArchivedSummary.shape,
            "action_counts": uses,
        }
    )


def number_of(value: Any) -> int:
    """A stored number; 0 where it is none."""
    return int(value) if isinstance(value, int) else 0


def conditions_of(query: ArchiveQuery, after: Cursor | None) -> list[Document]:
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
