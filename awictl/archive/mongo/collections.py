"""The collections of the archive in MongoDB: awictl's own, and the app's.

`awi_sessions` has one document per session (`documents.py`). Bytes that are too large for one document are split into
parts in `awi_sessions.parts`. `awi_actions` has the actions that the newest snapshot of a session lacks (`actions.py`).

`agentsessions` belongs to the app. awictl adds its views of sessions there (`views.py`). Earlier versions of awictl
kept whole sessions there, and in `agentsessions.parts` (`legacy.py`).
"""

from __future__ import annotations

from pymongo.asynchronous.collection import AsyncCollection

from ...store.mongo.connection import Document, MongoConnection

SESSIONS = "awi_sessions"
PARTS = "awi_sessions.parts"
ACTIONS = "awi_actions"
APP_SESSIONS = "agentsessions"
LEGACY_PARTS = "agentsessions.parts"


class Collections:
    """The collections of one database."""

    def __init__(self, connection: MongoConnection) -> None:
        self.sessions: AsyncCollection[Document] = connection.collection(SESSIONS)
        self.parts: AsyncCollection[Document] = connection.collection(PARTS)
        self.actions: AsyncCollection[Document] = connection.collection(ACTIONS)
        self.app_sessions: AsyncCollection[Document] = connection.collection(APP_SESSIONS)
        self.legacy_parts: AsyncCollection[Document] = connection.collection(LEGACY_PARTS)
