"""Which node of a Redis Cluster has which slots: parses what nodes report, and merges what several of them report.

The answer is that of the cluster itself: of several nodes that claim a slot, the one with the highest configuration
epoch has it. So a node that was frozen, and does not know yet that it was replaced, does not mislead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from .slots import SLOTS

#: Host and port of a node.
HostPort = tuple[str, int]
#: A slot that moves to another node, and the ids of both nodes.
Move = tuple[int, str, str]

#: What a node is asked for its view, in one request. CLUSTER NODES has the epochs; CLUSTER SLOTS has the endpoints that
#: the cluster prefers (`cluster-preferred-endpoint-type`). Both exist in all versions.
VIEW_COMMANDS = (("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("CLUSTER", "SLOTS"))

_MOVING = re.compile(r"\[(\d+)-([<>])-(\w+)\]")
#: An address in CLUSTER NODES, with the host name that the node announces, if any, and more that is not used.
_ADDRESS = re.compile(r"(?P<host>[^,]*):(?P<port>\d{1,5})(?:@\d+)?(?:,(?P<name>[^,]*).*)?")


class ClusterNode(NamedTuple):
    """A node as another node, or itself, reports it."""

    id: str
    #: Empty host: not known.
    address: HostPort
    master: bool
    #: Id of the master of a replica.
    master_id: str
    #: Whether a majority of masters has agreed that it does not respond, so that it may be replaced at any moment.
    failed: bool
    #: Whether it does not respond to the node that reports it.
    suspected: bool
    epoch: int
    #: First and last slot of each range.
    slots: tuple[tuple[int, int], ...]
    #: Slots that are moving to it or from it, each with the ids of both nodes. Only a node itself reports that.
    moving: tuple[Move, ...]


class View(NamedTuple):
    """What one node reports of the cluster."""

    #: Highest epoch that it knows.
    epoch: int
    #: Whether it accepts requests for keys.
    ok: bool
    nodes: dict[str, ClusterNode]
    #: Its own id; empty if not known.
    myself: str


class ClusterInfo(NamedTuple):
    """The fields of CLUSTER INFO that matter here."""

    epoch: int
    ok: bool
    #: Whether it considers some node with slots as failed or as probably failed.
    failing: bool


def parse_info(text: bytes) -> ClusterInfo:
    """Parse the reply to CLUSTER INFO. Raises ValueError."""
    fields = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    failing = any(int(fields.get(f"cluster_slots_{one}", "0")) for one in ("pfail", "fail"))
    return ClusterInfo(int(fields.get("cluster_current_epoch", "0")), fields.get("cluster_state") == "ok", failing)


def parse_view(replies: Sequence[Any], asked: HostPort, *, tls: bool = False) -> View:
    """Parse the replies to VIEW_COMMANDS from the node at the address `asked`. CLUSTER NODES may be denied.

    `tls`: prefer announced host names to IP addresses, since certificates contain names. Raises ValueError.
    """
    info, nodes, slots = replies
    if not isinstance(info, bytes):
        raise ValueError(f"CLUSTER INFO: {info!r:.200}")
    summary = parse_info(info)
    endpoints = _endpoints(slots) if isinstance(slots, list) else {}
    if isinstance(nodes, bytes):
        found, myself = _parse_nodes(nodes.decode(), asked, endpoints, tls)
    elif isinstance(slots, list):
        found, myself = _parse_slots(slots, asked, summary.epoch), ""
    else:
        raise ValueError(f"CLUSTER SLOTS: {slots!r:.200}")
    return View(summary.epoch, summary.ok, found, myself)


class NodeLine(NamedTuple):
    """A line of CLUSTER NODES."""

    id: str
    #: Empty: not known.
    host: str
    port: int
    #: The host name that the node announces; empty if it announces none.
    name: str
    #: `myself`, `master`, `slave`, `fail`, `fail?`, `handshake`, `noaddr` …
    flags: frozenset[str]
    #: Id of the master of a replica; empty for a master.
    master_id: str
    epoch: str
    #: Ranges of slots such as `0-5460` and `7000`, and slots that are moving, such as `[93-<-id]`.
    ranges: Sequence[str]


def split_line(line: str) -> NodeLine | None:
    """Split a line of CLUSTER NODES; None if it is not one."""
    words = line.split(" ")
    address = _ADDRESS.fullmatch(words[1]) if len(words) >= 8 else None
    if address is None:
        return None
    node_id, _, flags, master_id, _, _, epoch, _, *ranges = words
    host, port, name = address["host"].strip("[]"), int(address["port"]), address["name"] or ""
    return NodeLine(node_id, host, port, name, frozenset(flags.split(",")), master_id.strip("-"), epoch, ranges)


def _parse_nodes(
    text: str, asked: HostPort, endpoints: dict[str, HostPort], tls: bool
) -> tuple[dict[str, ClusterNode], str]:
    found = {}
    myself = ""
    for line in filter(None, text.splitlines()):
        node = split_line(line)
        if node is None:
            raise ValueError(f"CLUSTER NODES: {line:.200}")
        host = node.host
        if "myself" in node.flags:
            myself = node.id
            host = host or asked[0]
        if tls and node.name:
            host = node.name
        elif node.id in endpoints and endpoints[node.id][0]:
            host = endpoints[node.id][0]
        if node.flags & {"noaddr", "handshake"}:
            continue
        held = [one for one in node.ranges if not one.startswith("[")]
        found[node.id] = ClusterNode(
            node.id,
            (host, node.port),
            "master" in node.flags,
            node.master_id,
            "fail" in node.flags,
            "fail?" in node.flags,
            int(node.epoch),
            tuple(_range(one) for one in held),
            tuple(_moves(node.id, node.ranges)),
        )
    return found, myself


def _moves(node_id: str, ranges: Sequence[str]) -> Iterator[Move]:
    for match in filter(None, map(_MOVING.fullmatch, ranges)):
        other = match[3]
        yield int(match[1]), *((node_id, other) if match[2] == ">" else (other, node_id))


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    bounds = int(first), int(last or first)
    if not 0 <= bounds[0] <= bounds[1] < SLOTS:
        raise ValueError(f"slots {text}")
    return bounds


def _endpoints(slots: Sequence[Any]) -> dict[str, HostPort]:
    """The preferred endpoint of each node, by its id; an empty host if the cluster does not name one."""
    found = {}
    for entry in slots:
        for node in entry[2:]:
            host, port, node_id = node[:3]
            name = host.decode() if isinstance(host, bytes) else ""
            found[bytes(node_id).decode()] = ("" if name == "?" else name, int(port))
    return found


def _parse_slots(slots: Sequence[Any], asked: HostPort, epoch: int) -> dict[str, ClusterNode]:
    """The nodes from CLUSTER SLOTS alone, which has neither epochs nor states."""
    held: dict[str, list[tuple[int, int]]] = {}
    masters: dict[str, str] = {}
    for first, last, master, *replicas in slots:
        master_id = bytes(master[2]).decode()
        held.setdefault(master_id, []).append(_range(f"{int(first)}-{int(last)}"))
        masters |= {bytes(one[2]).decode(): master_id for one in replicas}
    return {
        node_id: ClusterNode(
            node_id,
            (host or asked[0], port),
            node_id in held,
            masters.get(node_id, ""),
            False,
            False,
            epoch,
            tuple(held.get(node_id, ())),
            (),
        )
        for node_id, (host, port) in _endpoints(slots).items()
    }


class ClusterMap(NamedTuple):
    """The merged views of several nodes."""

    #: Highest epoch of all views.
    epoch: int
    #: Address of the master of each slot; None if it has none.
    slots: list[HostPort | None]
    #: The masters that have slots, by address.
    masters: dict[HostPort, ClusterNode]
    #: Addresses of all other nodes.
    others: tuple[HostPort, ...]
    #: Masters that some node reports as failed and that have replicas: one of them may be promoted at any moment.
    doubtful: frozenset[HostPort]
    #: Whether no promotion may be under way: no epoch was voted on without a result, and no master is suspected.
    settled: bool
    #: Slots that are moving now.
    moving: frozenset[Move]

    @property
    def quorum(self) -> int:
        """Number of masters that are a majority. Up to two masters cannot replace one of them, so one is enough."""
        count = len(self.masters)
        return count // 2 + 1 if count > 2 else 1


def merge(views: Iterable[View]) -> ClusterMap:
    """The map of a cluster: for each slot, the claim with the highest epoch wins."""
    views = list(views)
    claims = [node for view in views for node in view.nodes.values() if node.master and node.slots]
    # of equal epochs, what a node reports of itself comes last, and wins
    own = {view.myself: view.nodes[view.myself] for view in views if view.myself in view.nodes}
    claims.sort(key=lambda node: (node.epoch, own.get(node.id) == node))
    slots: list[HostPort | None] = [None] * SLOTS
    for node in claims:
        for first, last in node.slots:
            slots[first : last + 1] = [node.address] * (last + 1 - first)
    newest = {node.address: node for node in claims}
    masters = {address: newest[address] for address in dict.fromkeys(slots) if address is not None}
    everyone = list(chain.from_iterable(view.nodes.values() for view in views))
    with_replicas = {node.master_id for node in everyone if node.master_id}
    failed = {node.id for node in everyone if node.failed}
    suspected = {node.id for node in everyone if node.suspected}
    epoch = max((view.epoch for view in views), default=0)
    return ClusterMap(
        epoch,
        slots,
        masters,
        tuple(dict.fromkeys(node.address for node in everyone if node.address not in masters and node.address[0])),
        frozenset(a for a, node in masters.items() if node.id in failed and node.id in with_replicas),
        epoch <= max((node.epoch for node in masters.values()), default=0)
        and not any(node.id in failed or node.id in suspected for node in masters.values()),
        frozenset(chain.from_iterable(node.moving for node in everyone)),
    )
