"""Checks of the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import AwiError, NotFound
from ...util.batched import batched
from ...util.humanize import plural
from .report import Check, failed, passed, warned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...sessions.find import OpenArchive

#: Number of sessions that are loaded from the archive at once.
_BATCH = 20


def is_configured(open_archive: OpenArchive) -> bool:
    """Return whether the settings name an archive, even if it cannot be opened."""
    try:
        return open_archive() is not None
    except AwiError:
        return True  # `check_archive` reports why


async def not_archived(session_ids: Sequence[str], open_archive: OpenArchive) -> list[str]:
    """Those of the ended sessions whose end is not in the archive. `archive restore` leaves sessions whose end is.

    All of them, if the archive does not answer: `check_archive` reports why.
    """
    left: list[str] = []
    try:
        archive = open_archive()
        if archive is None:
            return list(session_ids)
        for batch in batched(session_ids, _BATCH):
            found = await archive.load_many(batch)
            for one in batch:
                archived = found.get(one)
                if archived is None or isinstance(archived, AwiError) or archived.summary.ended_at is None:
                    left.append(one)
    except AwiError:
        return list(session_ids)
    return left


async def check_archive(open_archive: OpenArchive) -> list[Check]:
    """Check whether an archive is configured, reachable and indexed. Never raises AwiError."""
    try:
        archive = open_archive()
        if archive is None:
            remedy = "set MONGODB_URI or AWI_ARCHIVE_URL, and keep `awictl archive sweep --watch` running"
            return [warned("archive", "no archive is configured: sessions are lost when they expire", remedy)]
        answer = await archive.ping()
        checks = [passed("archive", f"{archive.where} answers in {answer['latency_ms']:.1f} ms")]
        try:
            await archive.check_exists()
        except NotFound as error:
            checks = [warned("archive", str(error), "correct AWI_ARCHIVE_URL, unless nothing was archived yet")]
        missing = await archive.missing_indexes()
        old = await archive.count_old_sessions()
    except AwiError as error:
        remedy = (
            "start the archive's server, or correct MONGODB_URI or AWI_ARCHIVE_URL; until it is reachable, ended "
            "sessions stay live"
        )
        return [failed("archive", str(error), remedy)]
    if old:
        found = f"{plural(old, 'session')} in the layout of an earlier version of awictl; they can be read as well"
        checks.append(warned("archive layout", found, "awictl archive migrate"))
    if missing:
        remedy = "no action needed: archiving the next session creates them"
        return [*checks, warned("archive indexes", f"missing indexes: {'; '.join(missing)}", remedy)]
    return [*checks, passed("archive indexes", "all indexes exist")]
