"""The documents of the collection `awi_sessions`: how they are written, queried and read.

A document has the session's bytes as they were in Redis, compressed, with their SHA-256 and the revision that decides
whether a snapshot is newer. The other fields are copies of what is in the session, for queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

from ...document.action_numbers import actions_of
from ...document.json_codec import encodable
from ...document.keys import is_object_id
from ...document.schema import as_array, as_object, as_text
from ...store.mongo.connection import Document
from ...util.batched import batched
from ..base import ArchivedSummary, ArchiveQuery, Cursor
from ..compression import compress
from ..decision import ArchivedState, ArchivedVersion
from ..merge import gaps_of
from ..merged_trajectory import MergedTrajectory
from ..snapshot import Revision, Snapshot
from ..trajectory import ActionCount
from ..values import as_count
from .stored_bytes import part_names
from .values import as_datetime, as_int

#: Version of the documents.
FORMAT = 2

#: Maximum size of compressed bytes that are stored in the document itself; larger ones are split.
INLINE_BYTES = 12_582_912
#: Size of the pieces that they are split into.
PART_BYTES = 8_388_608
#: Maximum number of action names that are counted for one session, and characters of such a name.
_MAX_ACTION_NAMES, _MAX_NAME = 1_000, 200
#: Maximum number of gaps that are recorded for one session, the newest ones.
_MAX_GAPS = 1_000

Write = InsertOne[Document] | ReplaceOne[Document] | UpdateOne | DeleteOne

#: Projection for `version_of`.
VERSION_FIELDS = dict.fromkeys(
    ("agentId", "startedAt", "state", "digest", "revision", "expiresAt", "seenAt", "format", "parts", "lastAction",
     "server", "first", "actions", "trajectory", "gaps", "overwritten", "uses"), 1
)  # fmt: skip
#: Projection for the session's bytes.
STORED_FIELDS = dict.fromkeys(("digest", "packed", "parts", "bytes"), 1)
#: Projection for `summary_of`.
SUMMARY_FIELDS = dict.fromkeys(
    ("agentId", "agentName", "route", "startedAt", "endedAt", "lastActivityAt", "state", "seenAt", "statistics",
     "bytes", "gaps", "overwritten"), 1
)  # fmt: skip
#: Additional projection for action counts.
ACTION_COUNT_FIELDS = {"uses": 1}


def document_of(snapshot: Snapshot, merged: MergedTrajectory, now: datetime) -> tuple[Document, list[Write]]:
    """Return the document for a snapshot that is archived `now`, and the writes of its parts, if it is split."""
    packed = compress(snapshot.raw)
    made: Document = {
        "_id": snapshot.session_id,
        "format": FORMAT,
        "agentId": snapshot.agent_id,
        "agentName": snapshot.agent_name,
        "route": snapshot.route,
        "startedAt": snapshot.started_at,
        "endedAt": snapshot.ended_at,
        "lastActivityAt": snapshot.last_activity_at,
        "state": (ArchivedState.ENDED if snapshot.ended else ArchivedState.LIVE).value,
        "seenAt": now,
        "expiresAt": snapshot.expires_at if not snapshot.ended else None,
        "server": snapshot.server or None,
        "statistics": {
            "totalActions": snapshot.count("total_actions"),
            "successfulActions": snapshot.count("successful_actions"),
            "failedActions": snapshot.count("failed_actions"),
        },
        "uses": uses_of(merged.counts),
        "first": merged.first,
        "actions": len(actions_of(snapshot.document) or ()),
        "trajectory": snapshot.trajectory_digest,
        "gaps": [list(one) for one in merged.gaps[-_MAX_GAPS:]],
        "overwritten": merged.overwritten,
        "digest": snapshot.digest,
        "revision": snapshot.revision._asdict(),
        "lastAction": snapshot.last_action_digest,
        "bytes": len(snapshot.raw),
        "archivedAt": now,
    }
    if snapshot.ended:
        made["unpublished"] = True
    parts: list[Write] = []
    if len(packed) <= INLINE_BYTES:
        made["packed"] = packed
    else:
        pieces = list(batched(packed, PART_BYTES))
        made["parts"] = len(pieces)
        for name, piece in zip(part_names(snapshot.session_id, snapshot.digest, len(pieces)), pieces, strict=True):
            part = {"_id": name, "session": snapshot.session_id, "digest": snapshot.digest, "packed": piece}
            parts.append(ReplaceOne({"_id": name}, part, upsert=True))
    return made, parts


def uses_of(counts: Mapping[str, ActionCount]) -> list[list[Any]]:
    """Return the most frequent action names as they are stored, with their counts."""
    most = sorted(counts.items(), key=lambda one: -one[1].count)[:_MAX_ACTION_NAMES]
    return [[name[:_MAX_NAME], counted.count, counted.failed] for name, counted in most]


def counts_of(stored: Any) -> dict[str, ActionCount]:
    """Return the stored action counts by name."""
    counts = [one for one in as_array(stored) if isinstance(one, list) and len(one) == 3]
    return {str(name): ActionCount(as_count(count), as_count(failed)) for name, count, failed in counts}


def extension(snapshot: Snapshot, now: datetime) -> UpdateOne:
    """Return the write that records a later expiry, or another server, of a session whose bytes are archived."""
    known = {"server": snapshot.server} if snapshot.server else {}
    return UpdateOne(
        {"_id": snapshot.session_id, "digest": snapshot.digest},
        {
            "$set": {"state": ArchivedState.LIVE.value, "endedAt": None, "seenAt": now, **known},
            "$max": {"expiresAt": snapshot.expires_at},
            "$unset": {"unpublished": 1},
        },
    )


def unchanged(archived: ArchivedVersion) -> Document:
    """Return the filter for a session that is still archived in this version."""
    return {"_id": archived.session_id, "digest": archived.digest}


def version_of(found: Document) -> ArchivedVersion:
    """Return the version of the session that is archived in a document."""
    revision = as_object(found.get("revision"))
    stored = found.get("format")
    unsupported = "" if stored == FORMAT else f"in format {stored!r:.20}, which this version of awictl does not support"
    actions = found.get("actions")
    return ArchivedVersion(
        str(found["_id"]),
        str(found.get("digest")),
        Revision(*(as_int(revision.get(name)) for name in Revision._fields)),
        as_text(found.get("agentId")),
        as_datetime(found.get("startedAt")),
        state_of(found.get("state")),
        as_datetime(found.get("expiresAt")),
        unsupported,
        as_count(found.get("parts")),
        str(found.get("lastAction")),
        as_text(found.get("server")) or "",
        seen_at=as_datetime(found.get("seenAt")),
        first=as_count(found.get("first")),
        actions=as_count(actions) if isinstance(actions, int) else None,
        trajectory=str(found.get("trajectory")),
        gaps=gaps_of(found.get("gaps")),
        overwritten_actions=as_count(found.get("overwritten")),
        action_counts=counts_of(found.get("uses")),
    )


def summary_of(found: Document) -> ArchivedSummary:
    """Return the row of a listing for a document."""
    statistics = as_object(found.get("statistics"))
    return ArchivedSummary(
        session_id=str(found["_id"]),
        agent_id=as_text(found.get("agentId")),
        agent_name=as_text(found.get("agentName")),
        route=as_text(found.get("route")),
        started_at=as_datetime(found.get("startedAt")),
        last_activity_at=as_datetime(found.get("lastActivityAt")),
        ended_at=as_datetime(found.get("endedAt")),
        state=state_of(found.get("state")),
        total_actions=as_count(statistics.get("totalActions")),
        successful_actions=as_count(statistics.get("successfulActions")),
        failed_actions=as_count(statistics.get("failedActions")),
        bytes=as_count(found.get("bytes")),
        last_seen_at=as_datetime(found.get("seenAt")),
        gaps=gaps_of(found.get("gaps")),
        overwritten_actions=as_count(found.get("overwritten")),
        action_counts=counts_of(found.get("uses")),
    )


def state_of(stored: Any) -> ArchivedState:
    """Return the stored state of a session; ended if it is not one."""
    return next((one for one in ArchivedState if one.value == stored), ArchivedState.ENDED)


def conditions_of(query: ArchiveQuery, after: Cursor | None) -> list[Document]:
    """Return the filters for a query, from behind a cursor on. All of them must match."""
    conditions: list[Document] = []
    if query.agent is not None:
        conditions.append(
            {"$or": [{"agentId": {"$in": _spellings(query.agent)}}, {"agentName": encodable(query.agent)}]}
        )
    if query.failed:
        conditions.append({"statistics.failedActions": {"$gt": 0}})
    return [*conditions, *range_of(query, after, "_id")]


def range_of(query: ArchiveQuery, after: Cursor | None, id_field: str) -> list[Document]:
    """Return those filters that concern the last activity, and the session id in `id_field`."""
    conditions: list[Document] = [{id_field: {"$type": "string"}}]
    if query.since is not None:
        conditions.append({"lastActivityAt": {"$gte": query.since}})
    if query.until is not None:
        conditions.append({"lastActivityAt": {"$lt": query.until}})
    if after is not None:
        same = {"lastActivityAt": after.last_activity_at, id_field: {"$lt": after.session_id}}
        if after.last_activity_at is None:
            conditions.append(same)
        else:
            earlier = {"lastActivityAt": {"$lt": after.last_activity_at}}
            conditions.append({"$or": [earlier, {"lastActivityAt": None}, same]})
    return conditions


def _spellings(agent_id: str) -> list[str]:
    """An agent's id in upper and lower case if it consists of 24 hex digits: those of an ObjectId."""
    if is_object_id(agent_id):
        return sorted({agent_id, agent_id.lower(), agent_id.upper()})
    return [encodable(agent_id)]
