"""The Express app as a small model: it replays the app's writes to Redis and MongoDB, as they were recorded.

- A session document, its diff and their TTLs are those of `tests/data/session_0*.json` and `diff_02.json` (DESIGN,
  section 2). An update reads the document, changes it and writes it back without comparing. It keeps only the last 100
  actions, so that its `t` sticks at 100, and never refreshes `AGENT:SESSION` (issue 14, F8).
- The end reads the session, deletes its keys, and only then validates and inserts a document into `agentsessions`,
  which has a unique index on `sessionId`. A failed save is ignored (issue 14, F1 and F2; DESIGN, section 2). The
  document is `mongo_archived_session.ejson` with the fields of the session in it: all others are defaults of the app's
  schema (issue 14, F6).
- An update that read the session before its end may write it back afterwards (issue 14, F5).
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import Any

from bson import ObjectId, json_util
from bson.errors import InvalidId

from .documents import AGENT_ID, APP_FILES, DATA, agent_key, app_updated, compact, diff_key, session_key
from .mongo import MongoServer
from .valkey import ValkeyServer

#: The TTLs that the app sets, in seconds.
SESSION_SECONDS, DIFF_SECONDS = 1800, 300
#: The action names that the app's schema allows in an archived session (issue 14, F1).
ACTION_NAMES = {
    "list_posts",
    "get_post",
    "create_post",
    "update_post",
    "delete_post",
    "list_comments",
    "create_comment",
    "update_comment",
    "delete_comment",
    "search",
    "filter",
    "sort",
    "paginate",
    "session_start",
    "session_end",
}
#: The fields that the app copies from an action, as far as the action has them.
ACTION_FIELDS = ("action", "timestamp", "success")


class AppEnd(Enum):
    """What became of a session that the app ended. Its keys in Redis are gone in any case."""

    SAVED = "saved"
    #: The schema rejected it: lost.
    INVALID = "invalid"
    #: `agentsessions` has a document with this `sessionId` (E11000): lost.
    DUPLICATE = "duplicate"


class ExpressApp:
    """The app, connected to a Redis and a MongoDB server."""

    def __init__(self, valkey: ValkeyServer, mongo: MongoServer) -> None:
        self._redis = valkey.raw
        self._mongo = mongo

    def start(self) -> None:
        """Create the index that the app's schema declares, as mongoose does when the app starts."""
        index = {"name": "sessionId_1", "key": {"sessionId": 1}, "unique": True, "background": True}
        self._mongo.raw.command({"createIndexes": "agentsessions", "indexes": [index]})

    def create(self, session_id: str, now: str, agent_id: str = AGENT_ID) -> None:
        """Create a session for an agent."""
        made = json.loads(APP_FILES[0].read_bytes()) | {"session_id": session_id, "agent_id": agent_id}
        made["statistics"] |= {"session_start": now, "last_activity": now}
        made["history"]["actions"][0]["timestamp"] = now
        made["last_updated"] = now
        self._set(made)
        self._redis.set(agent_key(agent_id), session_id, ex=SESSION_SECONDS)

    def read(self, session_id: str) -> dict[str, Any] | None:
        """Read a session, as the first half of an update does; None if it is not in Redis."""
        raw = self._redis.get(session_key(session_id))
        return json.loads(raw) if isinstance(raw, bytes) else None

    def write(self, document: dict[str, Any]) -> None:
        """Write a session, as the second half of an update does, whatever is stored by now."""
        self._set(document)
        last = document["history"]["last_action"]
        diff = {"delta": last["delta"], "action": last}
        self._redis.set(diff_key(document["session_id"]), compact(diff), ex=DIFF_SECONDS)

    @staticmethod
    def updated(document: dict[str, Any], now: str, **fields: Any) -> dict[str, Any]:
        """Change a document as an update does, between read and write. Returns the recorded action."""
        return app_updated(document, now, **fields)

    def update(self, session_id: str, now: str, count: int = 1, **fields: Any) -> None:
        """Update a session `count` times; only the last state is written. `fields`: fields of each action."""
        document = self.read(session_id)
        assert document is not None, f"{session_id} is not live"
        for _ in range(count):
            self.updated(document, now, **fields)
        self.write(document)

    def end(self, session_id: str, now: str) -> AppEnd:
        """End a session: read it, delete it, then try to archive it."""
        document = self.read(session_id)
        assert document is not None, f"{session_id} is not live"
        self._redis.delete(session_key(session_id), diff_key(session_id), agent_key(document["agent_id"]))
        history = [*document["history"]["actions"], {"action": "session_end", "timestamp": now}]
        try:
            agent_id = ObjectId(document["agent_id"])  # the schema's type
        except InvalidId:
            return AppEnd.INVALID
        if any(one["action"] not in ACTION_NAMES for one in history):
            return AppEnd.INVALID
        return self._insert(document, agent_id, history)

    def _insert(self, document: dict[str, Any], agent_id: ObjectId, history: list[dict[str, Any]]) -> AppEnd:
        statistics, ended = document["statistics"], _date(history[-1]["timestamp"])
        saved = json_util.loads((DATA / "mongo_archived_session.ejson").read_text()) | {
            "_id": ObjectId(),
            "sessionId": document["session_id"],
            "agentId": agent_id,
            "agentName": document["agent_name"],
            "actionHistory": [
                {name: one[name] for name in ACTION_FIELDS if name in one} | {"timestamp": _date(one["timestamp"])}
                for one in history
            ],
            "sessionStartedAt": _date(statistics["session_start"]),
            "sessionEndedAt": ended,
            "statistics": {
                "totalActions": statistics["total_actions"],
                "successfulActions": statistics["successful_actions"],
                "failedActions": statistics["failed_actions"],
            },
            **dict.fromkeys(("lastActivityAt", "createdAt", "updatedAt"), ended),
        }
        reply = self._mongo.raw.command({"insert": "agentsessions", "documents": [saved], "ordered": True})
        if not (errors := reply.get("writeErrors")):
            return AppEnd.SAVED
        assert [one["code"] for one in errors] == [11000], errors
        return AppEnd.DUPLICATE

    def _set(self, document: dict[str, Any]) -> None:
        self._redis.set(session_key(document["session_id"]), compact(document), ex=SESSION_SECONDS)


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text)
