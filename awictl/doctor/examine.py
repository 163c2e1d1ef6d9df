"""All checks, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import AwiError
from ..store.keyspace import Stepped
from .data import DataWalk
from .repair import Repair
from .report import Check, Report, Status, failed, passed, warned
from .server import check_server

if TYPE_CHECKING:
    from ..manager import StateManager

#: Keys that a server visits in a second for the walk through its data, unless told otherwise.
RATE = 50_000


async def examine(
    manager: StateManager, *, data: bool = True, rate: float | None = RATE, stepped: Stepped = lambda _: None
) -> tuple[Report, Sequence[Repair]]:
    """Look at the servers, at what is stored, and at the archive; and tell what can be put right.

    Nothing is written. What cannot be reached is a failed check, and the others go on. `data`: whether to walk through
    all keys, at most `rate` a second; `stepped` is told how far it got.
    """
    checks = await check_server(manager.store.keyspace.inspection, manager.settings)
    reached = checks[0].status is not Status.FAIL
    checks += await _further(manager)
    repairs: Sequence[Repair] = []
    if reached and data:
        walk = DataWalk(manager)
        try:
            await walk.walk(rate, stepped)
        except AwiError as error:
            checks.append(failed("documents", str(error), "put that right first: the data could not be looked at"))
        else:
            checks += walk.checks(archive=manager.archive is not None)
            repairs = walk.repairs
    checks += await _archive(manager)
    return Report(checks), repairs


async def _further(manager: StateManager) -> list[Check]:
    """Checks of the servers that caches and media have of their own."""
    checks: list[Check] = []
    for what, url in (("cache", manager.settings.cache_redis_url), ("media", manager.settings.media_redis_url)):
        if url is not None:
            settings = manager.settings.elsewhere(url)
            found = await check_server(manager.keyspace_at(url).inspection, settings, sessions=False)
            checks += [Check(f"{what}: {one.name}", one.status, one.evidence, one.remedy) for one in found]
    return checks


async def _archive(manager: StateManager) -> list[Check]:
    try:
        archive = manager.archive
        if archive is None:
            remedy = "set MONGODB_URI or AWI_ARCHIVE_URL, and let `awictl archive sweep --watch` run"
            return [warned("archive", "none is configured: sessions that expire are gone", remedy)]
        answer = await archive.ping()
        checks = [passed("archive", f"{archive.where} answers in {answer['latency_ms']:.1f} ms")]
        missing = await archive.missing_indexes()
    except AwiError as error:
        remedy = "start it, or correct MONGODB_URI or AWI_ARCHIVE_URL: while it is away ended sessions wait in Redis"
        return [failed("archive", str(error), remedy)]
    if missing:
        evidence = f"without an index on {'; '.join(missing)}"
        return [*checks, warned("archive indexes", evidence, "the next session that is archived makes them")]
    return [*checks, passed("archive indexes", "all there")]
