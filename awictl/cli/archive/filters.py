"""Options that select archived sessions, and the lookup of one, for several commands of this folder."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from ...document.keys import check_session_id
from ..framework.common_options import time_option
from ..framework.params import option
from ..framework.parsers import plain_id

if TYPE_CHECKING:
    from ...archive.base import Archived
    from ...sessions.manager import StateManager

Agent = Annotated[
    str | None,
    option("--agent", metavar="NAME", callback=plain_id, help="Only sessions of this agent (id or name)."),
]
Since = Annotated[
    datetime | None,
    time_option("--since", "Only sessions active at or after this time, such as 2026-11-23, or 7d ago."),
]
Until = Annotated[datetime | None, time_option("--until", "Only sessions not active after this time.")]
Failed = Annotated[bool, option("--failed", help="Only sessions with a failed action.")]


async def load(manager: "StateManager", session_id: str) -> "Archived":
    """A session from the archive. Raises NotFound if it is not there."""
    from ...sessions.end import not_archived

    check_session_id(session_id)
    archive = await manager.existing_archive()
    archived = await archive.load(session_id)
    if archived is None:
        raise not_archived(session_id, archive)
    return archived
