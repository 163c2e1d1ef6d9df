"""How the state of the embedded server is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..framework.tables import fields_of

if TYPE_CHECKING:
    from ...store.embedded import EmbeddedServer
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


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def print_state(out: Output, state: dict[str, Any]) -> None:
    """Print the state of the server."""
    shown = [(name, _text(value)) for name, value in state.items()]
    out.one(state, table=lambda: fields_of(shown))
