"""`awictl embedded`: the private server of this user."""

from typing import Any

import typer

from ..store.embedded import Embedded, embedded_server
from .options import Run, command, new_group
from .tables import fields_of

app = new_group("The private server that awictl starts for you.")


@command(app, "start", examples=["awictl embedded start"])
async def start(run: Run) -> None:
    """Start the embedded server where it is not running. Other commands do so by themselves with --embedded."""
    server = embedded_server(run.settings)
    started = server.start()
    run.out.notice("started" if started else "it was running already")
    _print(run, server)


@command(app, "status", examples=["awictl embedded status", "awictl embedded status -o json | jq .running"])
async def status(run: Run) -> None:
    """Show whether the embedded server runs, and where it keeps its data. Exit code 3 where it does not run."""
    server = embedded_server(run.settings)
    if not _print(run, server)["running"]:
        raise typer.Exit(3)


@command(app, "stop", examples=["awictl embedded stop"])
async def stop(run: Run) -> None:
    """Stop the embedded server. Its data stays, and is there again after the next start."""
    server = embedded_server(run.settings)
    run.out.notice("stopped" if server.stop() else "it was not running")
    _print(run, server)


def _print(run: Run, server: Embedded) -> dict[str, Any]:
    state = {
        "running": server.running(),
        "answers": server.answers(),
        "pid": server.pid,
        "socket": str(server.socket),
        "folder": str(server.folder),
        "log": str(server.log),
    }
    shown = [(name, "-" if value is None else str(value)) for name, value in state.items()]
    run.out.one(state, table=lambda: fields_of(shown))
    return state
