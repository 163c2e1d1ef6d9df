"""How the state of the embedded server, and of embedded deployments, is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework.tables import fields_of

if TYPE_CHECKING:
    from ...settings import Settings
    from ...store.embedded import EmbeddedServer
    from ...store.embedded_topology import EmbeddedTopology
    from ..framework.output import Output


def state_of(server: EmbeddedServer) -> dict[str, Any]:
    """The state of the server as plain data."""
    return {
        "running": server.running(),
        "answers": server.answers(),
        "pid": server.pid,
        "socket": str(server.socket),
        "folder": str(server.folder),
        "log": str(server.log),
    }


def counts_of(settings: Settings) -> dict[str, int]:
    """The number of running servers of each deployment that was ever started."""
    from ...store.embedded_topology import NAMES, embedded_topology

    found = [(kind, embedded_topology(settings, kind)) for kind in NAMES]
    return {kind: sum(one.running() for one in each.members()) for kind, each in found if each.exists()}


def topology_state_of(topology: EmbeddedTopology) -> dict[str, Any]:
    """The state of a deployment as plain data. It is running if all its servers are."""
    members = [
        {
            "name": member.folder.name,
            "address": f"127.0.0.1:{member.member.port}" if member.member else None,
            "running": member.running(),
            "answers": member.answers(),
            "pid": member.pid,
            "log": str(member.log),
        }
        for member in topology.members()
    ]
    return {
        "kind": topology.kind,
        "running": bool(members) and all(member["running"] for member in members),
        "ready": topology.ready(),
        "folder": str(topology.folder),
        "settings": str(topology.env_file) if members else None,
        "members": members,
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _rows(state: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [(name, _text(value)) for name, value in state.items() if name != "members"]
    for member in state.get("members", []):
        condition = f"running, process {member['pid']}" if member["answers"] else "does not answer"
        rows.append((member["name"], f"{member['address']} {condition if member['running'] else 'stopped'}"))
    return rows


def print_state(out: Output, state: dict[str, Any]) -> None:
    """Print the state of the server, or of the servers of a deployment."""
    out.one(state, table=lambda: fields_of(_rows(state)))
