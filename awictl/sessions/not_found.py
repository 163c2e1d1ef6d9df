"""Why a session may not be found: what an operator would look at next."""

from __future__ import annotations

import re
from contextlib import suppress

from ..document.keys import DIFF_TTL_SECONDS
from ..errors import AwiError, NoSession
from ..store.base import SessionStore, Traces
from ..util.humanize import duration, plural
from .fallback import OpenArchive

_USUAL_ID = re.compile(r"sess_[0-9a-f]{32}", re.ASCII)


async def explained(error: NoSession, store: SessionStore, open_archive: OpenArchive) -> NoSession:
    """The same error with hints: is the id complete, was it archived, was it there lately, is this the right database?

    What cannot be found out is left out.
    """
    hints = []
    if not _USUAL_ID.fullmatch(error.session_id):
        hints.append("a session id is sess_ and 32 hex digits as a rule: is this one complete")
    with suppress(AwiError):
        hints += _traced(await store.traces(error.session_id))
    if not error.archive_asked:
        hints.append(await _archived(error.session_id, open_archive))
    message = "; ".join([str(error), *hints, "`awictl session list -o ids` prints the live ones"])
    return NoSession(message, error.session_id, archive_asked=True)


def _traced(traces: Traces) -> list[str]:
    hints = []
    if traces.diff_ttl_ms is not None:
        ago = max(0, DIFF_TTL_SECONDS * 1000 - traces.diff_ttl_ms)
        hints.append(
            f"it was updated {duration(ago)} ago (its diff is there), so it was deleted, or evicted, since then"
        )
    others = {number: count for number, count in traces.databases.items() if number != traces.database}
    if traces.databases and traces.database not in traces.databases and others:
        number, count = max(others.items(), key=lambda one: one[1])
        hints.append(
            f"database {traces.database} is empty, but database {number} has {plural(count, 'key')}: is REDIS_DB right"
        )
    elif not traces.databases:
        hints.append("the server is empty, or does not tell: is it the right one")
    return hints


async def _archived(session_id: str, open_archive: OpenArchive) -> str:
    try:
        archive = open_archive()
        if archive is None:
            return "no archive is configured to look in"
        found = await archive.load(session_id)
    except AwiError as error:
        return f"whether it is archived cannot be told: {error}"
    if found is None:
        return f"nor is it in {archive.where}"
    return f"it is in {archive.where}: `awictl archive show {session_id}`"
