"""`awictl embedded start`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from .view import print_state, state_of


@cli_command(examples=["awictl embedded start"])
def command(ctx: CommandContext) -> Work:
    """Start the embedded server, if it is not running. Commands with --embedded start it automatically."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Start the server."""
    from ...store.embedded import embedded_server
    from ...util.daemon_thread import in_daemon_thread

    server = embedded_server(ctx.settings)
    started = await in_daemon_thread(server.start)
    ctx.out.notice("started" if started else "already running")
    render(ctx, await in_daemon_thread(lambda: state_of(server)))


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the server."""
    print_state(ctx.out, state)
