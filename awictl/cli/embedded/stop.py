"""`awictl embedded stop`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from .view import print_state, state_of


@cli_command(examples=["awictl embedded stop"])
def command(ctx: CommandContext) -> Work:
    """Stop the embedded server. Its data is kept for the next start."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Stop the server."""
    from ...store.embedded import embedded_server

    server = embedded_server(ctx.settings)
    ctx.out.notice("stopped" if server.stop() else "not running")
    render(ctx, state_of(server))


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the server."""
    print_state(ctx.out, state)
