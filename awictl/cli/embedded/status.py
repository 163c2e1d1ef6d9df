"""`awictl embedded status`."""

from typing import Any

import typer

from ..framework.command import CommandContext, Work, cli_command
from .view import print_state, state_of


@cli_command(examples=["awictl embedded status", "awictl embedded status -o json | jq .running"])
def command(ctx: CommandContext) -> Work:
    """Show whether the embedded server is running, and where its data is. Exits with 3 if it is not running."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Examine the server. Raises typer.Exit(3) if it is not running."""
    from ...store.embedded import embedded_server
    from ...util.daemon_thread import in_daemon_thread

    server = embedded_server(ctx.settings)
    state = await in_daemon_thread(lambda: state_of(server))
    render(ctx, state)
    if not state["running"]:
        raise typer.Exit(3)


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the server."""
    print_state(ctx.out, state)
