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
    from ...util.daemon_thread import in_daemon_thread

    server = embedded_server(ctx.settings)
    ctx.out.notice("stopped" if await in_daemon_thread(server.stop) else "not running")
    render(ctx, await in_daemon_thread(lambda: state_of(server)))


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the server."""
    print_state(ctx.out, state)
