"""Checks of a server's replicas: whether they follow, and whether writes wait for as many as they should."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...settings import Settings
from ...store.redis.server_info import NotAvailable, ServerInfo
from ...util.humanize import plural
from .report import Check, failed, passed, warned

#: Seconds since its last acknowledgement, and bytes that it has not acknowledged, from which a replica is late.
LAG_SECONDS = 10
LAG_BYTES = 16_777_216

Info = Mapping[str, str]


async def check_replication(server_info: ServerInfo, info: Info, settings: Settings) -> Check:
    """Check the role of a server, and whether its replicas are online and up to date."""
    if info.get("cluster_enabled") == "1" and settings.topology != "cluster":
        try:
            state = (await server_info.cluster()).get("cluster_state", "unknown")
        except NotAvailable:
            state = "not available"
        remedy = "set REDIS_CLUSTER=true, or use a URL redis+cluster://HOST:PORT,HOST:PORT"
        return failed("replication", f"a node of a cluster (state {state}), but the settings name one server", remedy)
    role, wanted = info.get("role", "unknown"), settings.wait_replicas
    if role == "slave":
        if info.get("master_link_status") != "up":
            remedy = "restore the link to the primary; data read from this replica may be stale"
            return failed("replication", "a replica that has lost its primary", remedy)
        remedy = "connect to the primary for writes; reading from a replica is fine"
        return warned("replication", "a replica: it refuses writes", remedy)
    replicas, online = _replicas(info)
    late = [line for line in online if _is_late(line, info)]
    evidence = f"{role}, {len(online)} of {len(replicas)} replicas online" if replicas else f"{role}, no replicas"
    if len(online) < wanted:
        remedy = (
            "start the replicas, or lower AWI_WAIT_REPLICAS; every write is executed, but waits for replicas that are "
            "not there and is then reported as unconfirmed"
        )
        return failed("replication", f"{evidence}, but AWI_WAIT_REPLICAS is {wanted}", remedy)
    if len(online) < len(replicas) or late:
        remedy = "check the replicas' logs and the network"
        return warned(
            "replication", f"{evidence}, {len(late)} of them more than {LAG_SECONDS} s or 16 MiB behind", remedy
        )
    return passed("replication", evidence)


def _is_late(line: str, info: Info) -> bool:
    """Whether a replica, in a line of INFO, is too far behind."""

    def number(name: str) -> int | None:
        found = re.search(rf"\b{name}=(\d{{1,18}})", line)
        return int(found[1]) if found else None

    written, offset = info.get("master_repl_offset", ""), number("offset")
    behind = int(written) - offset if written.isdecimal() and len(written) < 19 and offset is not None else 0
    return (number("lag") or 0) > LAG_SECONDS or behind > LAG_BYTES


def check_wait(info: Info, settings: Settings) -> Check | None:
    """Check that a failover cannot lose what was acknowledged; None if the replication makes that pointless to ask."""
    online, wanted = len(_replicas(info)[1]), settings.wait_replicas
    if info.get("role") != "master" or online < wanted or (settings.topology == "standalone" and not wanted):
        return None
    name = "acknowledged writes"
    if not online:
        remedy = "add a replica: without one, the loss of this server is the loss of its sessions"
        return warned(name, "there is no replica that could have them", remedy)
    if wanted < online:
        evidence = f"AWI_WAIT_REPLICAS is {wanted}, with {plural(online, 'replica')}: a failover, even a planned one, "
        evidence += "may promote a replica that lacks writes which were acknowledged"
        return warned(name, evidence, f"set AWI_WAIT_REPLICAS={online}{_planned(settings)}")
    if "min_slaves_good_slaves" not in info:
        evidence = (
            f"writes wait for {_every(online)}, but min-replicas-to-write is 0: a primary that was cut "
            "off goes on accepting writes, also the app's, which are lost when it rejoins"
        )
        return warned(name, evidence, "set `min-replicas-to-write 1` and `min-replicas-max-lag 10` on every server")
    return passed(name, f"writes wait for {_every(online)}; min-replicas-to-write is set")


def _every(replicas: int) -> str:
    return "the replica" if replicas == 1 else f"all {replicas} replicas"


def _planned(settings: Settings) -> str:
    """The other remedy against losses in a planned failover."""
    if settings.topology == "sentinel":
        name = settings.redis_sentinel_master
        return f", or plan failovers with `SENTINEL FAILOVER {name} COORDINATED` (Valkey 9 and later)"
    if settings.topology == "cluster":
        return "; a planned `CLUSTER FAILOVER` without FORCE or TAKEOVER waits until its replica has everything"
    return ", or plan failovers with `FAILOVER`, which waits until the replica has everything"


def _replicas(info: Info) -> tuple[list[str], list[str]]:
    """The lines of INFO about replicas, and those about replicas that are online."""
    replicas = [line for name, line in info.items() if re.fullmatch(r"slave\d+", name)]
    return replicas, [line for line in replicas if "state=online" in line]
