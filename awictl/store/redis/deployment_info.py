"""What sentinels, and the nodes of a cluster, report about their deployment. Nothing is written.

Each is asked by itself, not over the router, which raises if the deployment does not work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ...errors import AccessDenied, AwiError
from ...settings import Settings
from ...util.addresses import join_addresses
from ..one_server import node_settings, sentinel_settings
from .cluster_map import split_line
from .server import Server, connect
from .server_info import ServerInfo, fields_of

#: Maximum number of nodes that are asked: a cluster should not have more than 1,000.
MAX_NODES = 1_000
#: Number of nodes that are asked at a time.
_AT_A_TIME = 20


class SentinelReport(NamedTuple):
    """What one sentinel answers about a primary."""

    #: Its address as HOST:PORT.
    where: str
    #: Why it gave no answer, with its address; None if it gave one.
    error: str | None
    #: The fields of SENTINEL MASTER; empty without an answer.
    master: Mapping[str, str] = {}
    #: The fields of SENTINEL REPLICAS for each replica; None if not available.
    replicas: Sequence[Mapping[str, str]] | None = None
    #: The answer to SENTINEL CKQUORUM, and whether it is positive; None if not available.
    quorum: tuple[bool, str] | None = None

    @property
    def primary(self) -> tuple[str, int] | None:
        """Host and port of the primary; None if the sentinel does not name one."""
        host, port = self.master.get("ip", ""), self.master.get("port", "")
        return (host, int(port)) if host and port.isascii() and port.isdecimal() and len(port) < 6 else None


class ReportedNode(NamedTuple):
    """A line of CLUSTER NODES."""

    id: str
    host: str
    port: int
    #: `master`, `slave`, `fail`, `fail?`, `handshake`, `noaddr` …
    flags: frozenset[str]
    #: The id of its master; empty for a master.
    master: str
    #: Number of slots that it owns, and whether any of them is moving.
    slots: int
    moving: bool

    @property
    def where(self) -> str:
        """Its address as HOST:PORT."""
        return join_addresses([(self.host, self.port)])


class ClusterReport(NamedTuple):
    """What one node reports about its cluster."""

    #: Its address as HOST:PORT.
    where: str
    #: Why it gave no answer; None if it gave one.
    error: str | None
    #: The fields of CLUSTER INFO; empty if not available.
    cluster: Mapping[str, str] = {}
    #: CLUSTER NODES; empty if not available.
    nodes: Sequence[ReportedNode] = ()


@asynccontextmanager
async def node_info(settings: Settings, host: str, port: int) -> AsyncGenerator[ServerInfo, None]:
    """Queries to one server of a deployment, on a connection of their own."""
    server = connect(node_settings(settings, host, port))
    try:
        yield ServerInfo(server)
    finally:
        await server.close()


async def ask_sentinels(settings: Settings) -> list[SentinelReport]:
    """Ask all sentinels in the settings at once."""
    return await asyncio.gather(*(_ask_sentinel(settings, *one) for one in settings.sentinel_addresses))


async def _ask_sentinel(settings: Settings, host: str, port: int) -> SentinelReport:
    where, name = join_addresses([(host, port)]), settings.redis_sentinel_master
    server = connect(sentinel_settings(settings, host, port))
    try:
        commands = [("SENTINEL", what, name) for what in ("MASTER", "REPLICAS", "CKQUORUM")]
        master, replicas, quorum = await server.execute_idempotent(*commands)
        return SentinelReport(
            where,
            None,
            _pairs(server.checked(master, "")),
            [_pairs(one) for one in replicas] if isinstance(replicas, list) else None,
            _quorum(server, quorum),
        )
    except AwiError as error:
        return SentinelReport(where, _reason(error))
    finally:
        await server.close()


def _quorum(server: Server, reply: Any) -> tuple[bool, str] | None:
    if isinstance(reply, bytes):
        return True, _text(reply).removeprefix("OK ")
    if not isinstance(reply, Exception) or isinstance(server.translate(reply), AccessDenied):
        return None
    text = str(reply)
    return (False, text.removeprefix("NOQUORUM ")) if "usable Sentinels" in text else None


async def ask_cluster(settings: Settings) -> list[ClusterReport]:
    """Ask the seeds in the settings, then all other masters that they name."""
    asked: dict[tuple[str, int], ClusterReport] = {}
    wanted = list(settings.cluster_seeds)
    for _ in range(2):
        new = [one for one in dict.fromkeys(wanted) if one not in asked][:MAX_NODES]
        for start in range(0, len(new), _AT_A_TIME):
            some = new[start : start + _AT_A_TIME]
            reports = await asyncio.gather(*(_ask_node(settings, *one) for one in some))
            asked |= dict(zip(some, reports, strict=True))
        nodes = next((one.nodes for one in asked.values() if one.nodes), ())
        wanted = [(one.host, one.port) for one in nodes if "master" in one.flags and one.host and one.slots]
    return list(asked.values())


async def _ask_node(settings: Settings, host: str, port: int) -> ClusterReport:
    where = join_addresses([(host, port)])
    server = connect(node_settings(settings, host, port))
    try:
        cluster, nodes = await server.execute_idempotent(("CLUSTER", "INFO"), ("CLUSTER", "NODES"))
        if isinstance(cluster, Exception) and "cluster support disabled" in str(cluster):
            return ClusterReport(where, f"{where} is not a node of a cluster")
        return ClusterReport(
            where,
            None,
            fields_of(cluster) if isinstance(cluster, bytes) else {},
            parse_nodes(_text(nodes), host, by_name=settings.redis_tls) if isinstance(nodes, bytes) else (),
        )
    except AwiError as error:
        return ClusterReport(where, _reason(error))
    finally:
        await server.close()


def parse_nodes(text: str, asked_host: str, *, by_name: bool = False) -> list[ReportedNode]:
    """Parse the reply to CLUSTER NODES of a node that was reached as `asked_host`.

    `by_name`: use the host names that nodes announce, which certificates contain, instead of addresses.
    """
    found = []
    for line in text.splitlines()[:MAX_NODES]:
        node = split_line(line)
        if node is None:
            continue
        slots, moving = _slots(node.ranges)
        host = (node.name if by_name else "") or node.host or (asked_host if "myself" in node.flags else "")
        found.append(ReportedNode(node.id, host, node.port, node.flags, node.master_id, slots, moving))
    return found


def _slots(ranges: Sequence[str]) -> tuple[int, bool]:
    """Number of slots in ranges such as `0-5460 7000 [93-<-id]`, and whether some are moving."""
    count = 0
    for one in ranges:
        first, _, last = one.partition("-")
        if first.isdecimal() and (last or first).isdecimal() and len(one) < 12:
            count += int(last or first) - int(first) + 1
    return count, any(one.startswith("[") for one in ranges)


def _pairs(reply: Any) -> dict[str, str]:
    """A flat list of names and values, as a dict."""
    items = [_text(one) for one in reply] if isinstance(reply, list) else []
    return dict(zip(items[::2], items[1::2], strict=False))


def _text(reply: Any) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)


def _reason(error: AwiError) -> str:
    """What happened and where, without advice for operators of a single server."""
    return str(error).partition(";")[0]
