"""Checks of the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import AwiError, NotFound
from .report import Check, failed, passed, warned

if TYPE_CHECKING:
    from ...sessions.fallback import OpenArchive


def is_configured(open_archive: OpenArchive) -> bool:
    """Return whether the settings name an archive, even if it cannot be opened."""
    try:
        return open_archive() is not None
    except AwiError:
        return True  # `check_archive` reports why


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
    except AwiError as error:
        remedy = (
            "start the archive's server, or correct MONGODB_URI or AWI_ARCHIVE_URL; until it is reachable, ended "
            "sessions stay in Redis"
        )
        return [failed("archive", str(error), remedy)]
    if missing:
        remedy = "no action needed: archiving the next session creates them"
        return [*checks, warned("archive indexes", f"missing indexes: {'; '.join(missing)}", remedy)]
    return [*checks, passed("archive indexes", "all indexes exist")]
