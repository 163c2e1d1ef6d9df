"""Check a deployment of any kind: one server, a primary with its sentinels, or all masters of a cluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ...settings import Settings
from ...store.redis.deployment_info import ClusterReport, ask_cluster, ask_sentinels, node_info
from ...store.redis.server_info import ServerInfo
from .report import Check, Status
from .server_checks import check_server
from .topology_checks import cluster_checks, merged, sentinel_checks

#: Number of nodes that are checked at a time.
_AT_A_TIME = 10


async def check_deployment(server_info: ServerInfo, settings: Settings, *, sessions: bool = True) -> list[Check]:
    """Run the checks of the servers in the settings. The first one is `reachable`; see `check_server`.

    `server_info`: queries over the connections that everything else uses. Sentinels, and the nodes of a cluster, are
    asked each by itself.
    """
    if settings.topology == "cluster":
        reports = await ask_cluster(settings)
        [reachable, *others] = await check_server(server_info, settings, sessions=sessions)
        nodes = await _check_masters(reports, settings, sessions)
        return [reachable, *cluster_checks(reports), *(nodes or others)]
    checks = await check_server(server_info, settings, sessions=sessions)
    if settings.topology == "sentinel":
        checks[1:1] = sentinel_checks(await ask_sentinels(settings), settings)
    return checks


async def _check_masters(reports: list[ClusterReport], settings: Settings, sessions: bool) -> list[Check]:
    """The checks of every master that answered, those of one kind as one."""
    nodes = {node.where: node for one in reports for node in one.nodes if "master" in node.flags and node.slots}
    masters = [nodes[one.where] for one in reports if one.error is None and one.where in nodes]
    found: dict[str, list[tuple[str, Check]]] = {}

    async def check(host: str, port: int, where: str) -> None:
        async with node_info(settings, host, port) as info:
            own = replace(settings, redis_host=host, redis_port=port)
            for one in await check_server(info, own, sessions=sessions):
                found.setdefault(one.name, []).append((where, one))

    for start in range(0, len(masters), _AT_A_TIME):
        some = masters[start : start + _AT_A_TIME]
        await asyncio.gather(*(check(one.host, one.port, one.where) for one in some))
    slow = [(where, one) for where, one in found.pop("reachable", []) if one.status is not Status.PASS]
    checks = [merged(name, sorted(ones)) for name, ones in found.items()]
    return [*([merged("latency", sorted(slow))] if slow else []), *checks]
