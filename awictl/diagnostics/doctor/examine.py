"""All checks, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import AccessDenied, AwiError
from ...store.redis.keyspace import Stepped
from .data import DataWalk
from .repair import Repair
from .report import Check, Report, Status, failed, not_permitted, passed, warned
from .server import check_server

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: Keys that a server visits in a second for the walk through its data, unless told otherwise.
RATE = 50_000


async def examine(
    manager: StateManager, *, data: bool = True, rate: float | None = RATE, stepped: Stepped = lambda _: None
) -> tuple[Report, Findings]:
    """Look at the servers, at what is stored, and at the archive; and tell what can be put right.

    Nothing is written. What cannot be reached is a failed check, and the others go on. `data`: whether to walk through
    all keys, at most `rate` a second; `stepped` is told how far it got.
    """
    checks = await check_server(manager.store.keyspace.inspection, manager.settings)
    reached = checks[0].status is not Status.FAIL
    checks += await _further(manager)
    findings = Findings()
    if reached and data:
        walk = DataWalk(manager)
        try:
            await walk.walk(rate, stepped)
        except AccessDenied as error:
            checks.append(not_permitted("documents", f"to walk through the keys ({error})", "allow SCAN to this user"))
        except AwiError as error:
            checks.append(failed("documents", str(error), "put that right first: the data could not be looked at"))
        else:
            checks += walk.checks(archive=_names_an_archive(manager))
            findings = Findings(True, walk.repairs, walk.more_repairs)
    checks += await _archive(manager)
    return Report(checks), findings


@dataclass(frozen=True)
class Findings:
    """What can be put right."""

    #: Whether the data was looked at, to its end.
    looked: bool = False
    repairs: Sequence[Repair] = ()
    #: Whether there is more than that.
    more: bool = False


def _names_an_archive(manager: StateManager) -> bool:
    try:
        return manager.archive is not None
    except AwiError:
        return True  # one that cannot be opened, which the check of the archive tells


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
