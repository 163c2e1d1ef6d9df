"""`awictl embedded start`."""

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from ..framework.command import CommandContext, Work, cli_command
from .arguments import Cluster, Sentinel, kind_of
from .view import print_state, state_of, topology_state_of

if TYPE_CHECKING:
    from ...store.embedded_topology import EmbeddedTopology

#: Seconds for which a cancelled start may take to stop what it has started.
CANCEL_SECONDS = 0.8


@cli_command(
    examples=["awictl embedded start", "awictl embedded start --cluster", "awictl embedded start --sentinel -o json"]
)
def command(ctx: CommandContext, cluster: Cluster = False, sentinel: Sentinel = False) -> Work:
    """Start the embedded server, if it is not running. Commands with --embedded start it automatically.

    With --cluster or --sentinel, start several servers for trying out such a deployment, or those of them that are not
    running. The settings to use them are written to a file, which is named.
    """
    kind = kind_of(cluster, sentinel)
    if kind is None:
        return run(ctx)
    from ...store.embedded_topology import embedded_topology

    return run_topology(ctx, embedded_topology(ctx.settings, kind))


async def run(ctx: CommandContext) -> None:
    """Start the server."""
    from ...store.embedded import embedded_server
    from ...util.daemon_thread import in_daemon_thread

    server = embedded_server(ctx.settings)
    started = await in_daemon_thread(server.start)
    ctx.out.notice("started" if started else "already running")
    render(ctx, await in_daemon_thread(lambda: state_of(server)))


async def run_topology(ctx: CommandContext, topology: "EmbeddedTopology") -> None:
    """Start the servers of a deployment. If that is cancelled, those that were started are stopped."""
    from ...util.daemon_thread import in_daemon_thread

    cancelled, done = threading.Event(), threading.Event()

    def start() -> int:
        try:
            return topology.start(cancelled.is_set)
        finally:
            done.set()

    try:
        started = await in_daemon_thread(start)
    except asyncio.CancelledError:
        cancelled.set()
        await in_daemon_thread(lambda: done.wait(CANCEL_SECONDS))
        raise
    ctx.out.notice(f"{started} servers started" if started else "already running")
    ctx.out.notice(f"to use it in this shell: {topology.shell_line}")
    render(ctx, await in_daemon_thread(lambda: topology_state_of(topology)))


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the servers."""
    print_state(ctx.out, state)
