"""Run all checks, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...document import keys
from ...errors import AccessDenied, AwiError
from ...store.keyspace import StepCallback
from .archive_checks import check_archive, is_configured, not_archived
from .data_checks import data_checks
from .data_scan import DataScan
from .deployment import check_deployment
from .journal_checks import check_journal
from .repair import RepairPlan
from .report import Check, Report, Status, failed, not_permitted

if TYPE_CHECKING:
    from ...archive.base import Archive
    from ...sessions.manager import StateManager

#: Default maximum number of keys per second that the data scan visits on each server.
DEFAULT_RATE = 50_000


async def examine(
    manager: StateManager,
    *,
    data: bool = True,
    rate: float | None = DEFAULT_RATE,
    on_step: StepCallback = lambda _: None,
) -> tuple[Report, RepairPlan]:
    """Check the servers, the stored data and the archive, and plan repairs. Writes nothing.

    A backend that is unreachable is a failed check; the other checks still run.

    `data`: whether to scan all keys, at most `rate` per second (None: not paced). `on_step`: called after each step of
    the scan with the number of keys that it visited.
    """
    checks = await _check_store(manager)
    reached = checks[0].status is not Status.FAIL
    checks += await _check_other_servers(manager)
    plan = RepairPlan()
    if reached and data:
        try:
            found, plan = await examine_data(manager, rate=rate, on_step=on_step)
            checks += found
        except AccessDenied as error:
            checks.append(not_permitted("documents", f"SCAN ({error})", "allow SCAN to this user"))
        except AwiError as error:
            checks.append(failed("documents", str(error), "fix this first: the stored data could not be checked"))
    checks += await check_archive(lambda: manager.archive)
    if manager.fallback is not None:
        checks += await check_journal(manager.fallback.journal, redis_answers=reached)
    return Report(checks), plan


async def examine_data(
    manager: StateManager, *, rate: float | None = DEFAULT_RATE, on_step: StepCallback = lambda _: None
) -> tuple[list[Check], RepairPlan]:
    """Check only the stored data; arguments as for `examine`. Writes nothing. Raises AccessDenied, Unreachable."""

    def open_archive() -> Archive | None:  # raises AwiError if it cannot be opened
        return manager.archive

    scan = DataScan(manager.store, manager.inventory, manager.settings)
    await scan.run(rate, on_step)
    for session_id in await not_archived(scan.found.ended_with_ttl, open_archive):
        scan.found.ended_expiring.add(keys.session_key(session_id))
    checks = data_checks(scan.found, archive_configured=is_configured(open_archive))
    return checks, RepairPlan(scan.found.repairs, scanned=True, truncated=scan.found.repairs_truncated)


async def _check_store(manager: StateManager) -> list[Check]:
    """Check the server with the sessions. The first check is `reachable`."""
    server_info = manager.store.keyspace.server_info
    if server_info is not None:
        return await check_deployment(server_info, manager.settings)
    from ...store.mongo.sessions import MongoStore  # imports pymongo
    from .mongo_checks import check_mongodb

    return await check_mongodb(cast(MongoStore, manager.store), manager.settings)


async def _check_other_servers(manager: StateManager) -> list[Check]:
    """Check the separate servers for caches and media, if there are any."""
    checks: list[Check] = []
    for name, url in (("cache", manager.settings.cache_redis_url), ("media", manager.settings.media_redis_url)):
        if url is not None:
            settings = manager.settings.for_server(url)
            server_info = manager.keyspace_at(url).server_info
            results = await check_deployment(server_info, settings, sessions=False) if server_info else []
            checks += [Check(f"{name}: {one.name}", one.status, one.evidence, one.remedy) for one in results]
    return checks
