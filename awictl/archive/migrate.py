"""Migrate what earlier versions of awictl archived to the present layout of an archive."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from ..document.keys import is_session_id
from ..errors import AwiError
from ..store.base import SessionStore
from .base import Archive


@dataclass
class Migrated:
    """What a migration did."""

    #: Number of sessions that earlier versions archived.
    found: int = 0
    #: Of those, the ones that have the present layout now.
    migrated: int = 0
    #: Number of chunks of trimmed actions that were moved beside them.
    chunks: int = 0
    #: Sessions that could not be migrated, with the reason. They are left as they were.
    failed: dict[str, AwiError] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {"found": self.found, "migrated": self.migrated, "chunks": self.chunks, "failed": len(self.failed)}


async def migrate(store: SessionStore, archive: Archive, progress: Callable[[int], None] = lambda _: None) -> Migrated:
    """Migrate all sessions, one batch after the other. Idempotent: after an interruption, the rest is migrated.

    store: where live sessions are kept; of sessions that are not there, the app keeps its view. progress: called after
    each batch with its number of sessions. Raises Unreachable.
    """
    done = Migrated()
    async with aclosing(archive.old_sessions()) as batches:
        async for batch in batches:
            live = {one.session_id for one in await store.lifetimes([one for one in batch if is_session_id(one)])}
            outcomes = await archive.migrate(batch, [one for one in batch if one not in live])
            done.found += len(batch)
            done.migrated += sum(error is None for error in outcomes.values())
            done.failed |= {session_id: error for session_id, error in outcomes.items() if error is not None}
            progress(len(batch))
    done.chunks = await archive.migrate_actions()
    return done
