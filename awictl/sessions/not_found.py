"""Explain why a session was not found: hints on what to check next."""

from __future__ import annotations

import re
from contextlib import suppress

from ..document.keys import DIFF_TTL_SECONDS
from ..errors import AwiError, NoSession
from ..store.base import SessionStore, Traces
from ..store.errors import not_in_archive
from ..util.humanize import duration, plural
from .find import OpenArchive

_GENERATED_ID = re.compile(r"sess_[0-9a-f]{32}", re.ASCII)


async def explained(error: NoSession, store: SessionStore, open_archive: OpenArchive) -> NoSession:
    """The same error with hints: is the id complete, is it archived, was it live recently, is this the right database?

    A hint that cannot be determined is left out.
    """
    hints = []
    if not _GENERATED_ID.fullmatch(error.session_id):
        hints.append("check that the id is complete: session ids usually are sess_ followed by 32 hex digits")
    with suppress(AwiError):
        hints += _traced(await store.traces(error.session_id))
    if not error.archive_asked:
        hints.append(await _archived(error.session_id, open_archive, error))
    message = "; ".join([str(error), *hints, "`awictl session list -o ids` lists the live sessions"])
    return NoSession(message, error.session_id, archive_asked=True)


def _traced(traces: Traces) -> list[str]:
    hints = []
    if traces.diff_ttl_ms is not None:
        ago = max(0, DIFF_TTL_SECONDS * 1000 - traces.diff_ttl_ms)
        hints.append(
            f"it was updated {duration(ago)} ago (its diff still exists), so it has been deleted or evicted since then"
        )
    others = {number: count for number, count in traces.databases.items() if number != traces.database}
    if traces.databases and traces.database not in traces.databases and others:
        number, count = max(others.items(), key=lambda one: one[1])
        hints.append(
            f"check REDIS_DB: database {traces.database} is empty, but database {number} has {plural(count, 'key')}"
        )
    elif not traces.databases:
        hints.append("check that it is the right server: it is empty, or INFO is not available")
    return hints


async def _archived(session_id: str, open_archive: OpenArchive, missing: NoSession) -> str:
    try:
        archive = open_archive()
        if archive is None:
            return "no archive is configured"
        await archive.check_exists()
        found = await archive.load(session_id)
    except AwiError as error:
        return f"whether it is archived is unknown: {error}"
    if found is None:
        return not_in_archive(archive.where, str(missing))
    return f"it is in {archive.where}: `awictl archive show {session_id}`"
