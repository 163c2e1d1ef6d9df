"""`/api/health`: what `awictl doctor` and `awictl keys stats` report."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...diagnostics.doctor import Check, examine, examine_data
from ...diagnostics.doctor.examine import DEFAULT_RATE
from ...diagnostics.inventory import DEFAULT_SAMPLE
from ...document.timestamps import timestamp
from ...errors import AwiError
from ...sessions.manager import StateManager
from ..http.responses import json_response
from ..inspector import Inspector, inspector_of
from ..results.shared_scan import OnStep, SharedScan

#: Seconds for which a request waits for a scan; the page asks again for what takes longer.
WAIT_SECONDS = 1.0
#: Seconds before servers and archive are checked again, which does not read the stored data.
SERVERS_REST_SECONDS = 2.0


@dataclass
class HealthScans:
    """What all open Health pages share."""

    #: Checks of servers and archive: quick, so that a page soon sees that a server is away.
    servers: SharedScan[list[Check]]
    #: Checks of the stored data, which read all keys.
    data: SharedScan[list[Check]]
    #: Statistics of the keys of each kind, as rows.
    keys: SharedScan[list[dict[str, Any]]]
    #: Number of keys before the last scan began; None if it is unknown.
    size: int | None = None

    async def close(self) -> None:
        """Stop what runs."""
        await asyncio.gather(self.servers.close(), self.data.close(), self.keys.close())


def _open_scans(inspector: Inspector) -> HealthScans:
    manager, rate, turn = inspector.manager, inspector.options.rate or DEFAULT_RATE, asyncio.Lock()

    async def servers(_: OnStep) -> list[Check]:
        report, _plan = await examine(manager, data=False)
        return report.checks

    async def data(on_step: OnStep) -> list[Check]:
        scans.size = await _size(manager)
        checks, _plan = await examine_data(manager, rate=rate, on_step=on_step)
        return checks

    async def keys(on_step: OnStep) -> list[dict[str, Any]]:
        scans.size = await _size(manager)
        found = await manager.inventory.survey(rate=rate, sample=DEFAULT_SAMPLE, on_step=on_step)
        return [{**one.row(), "left": one.ttl_histogram()["left"]} for one in found]

    # the scans of the keys take turns: together they would scan at twice the rate
    scans = HealthScans(
        SharedScan(servers, rest_seconds=SERVERS_REST_SECONDS),
        SharedScan(data, turn=turn),
        SharedScan(keys, turn=turn),
    )
    inspector.background.push_async_callback(scans.close)
    return scans


async def _size(manager: StateManager) -> int | None:
    """The number of keys; None if it is not available."""
    try:
        return await manager.inventory.size()
    except AwiError:
        return None  # the scan reports the error


async def health(request: Request) -> Response:
    """The findings of the doctor, without any repair. `again=1`: check again, unless that was done just now.

    `servers` and `data` have `checks` (null before the first) and the fields of `SharedScan.report`.
    """
    scans = inspector_of(request).shared(_open_scans)
    again = request.query_params.get("again") == "1"
    for one in (scans.servers, scans.data):
        one.ask(again=again)
    await asyncio.gather(scans.servers.wait(WAIT_SECONDS), scans.data.wait(WAIT_SECONDS))
    return json_response(
        request,
        {
            "servers": {"checks": _rows(scans.servers.result), **scans.servers.report()},
            "data": {"checks": _rows(scans.data.result), "size": scans.size, **scans.data.report()},
            "now": timestamp(),
        },
    )


def _rows(checks: list[Check] | None) -> list[dict[str, Any]] | None:
    return [one.row() for one in checks] if checks is not None else None


async def key_stats(request: Request) -> Response:
    """The statistics of the keys of each kind, and how many expire within which time. `again` as for `health`.

    `kinds`: null before the first result, then the rows of `awictl keys stats -o json`, each with `left` of
    `awictl keys ttl -o json`; all fields of `SharedScan.report`.
    """
    scans = inspector_of(request).shared(_open_scans)
    scan = scans.keys
    scan.ask(again=request.query_params.get("again") == "1")
    await scan.wait(WAIT_SECONDS)
    answer = {"kinds": scan.result, "size": scans.size, **scan.report(), "now": timestamp()}
    return json_response(request, answer)


ROUTES = [Route("/api/health", health), Route("/api/health/keys", key_stats)]
