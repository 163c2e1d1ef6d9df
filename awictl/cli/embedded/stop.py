"""`awictl embedded stop`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from .arguments import Cluster, Sentinel, kind_of
from .view import counts_of, print_state, state_of, topology_state_of


@cli_command(examples=["awictl embedded stop", "awictl embedded stop --cluster", "awictl embedded stop --sentinel"])
def command(ctx: CommandContext, cluster: Cluster = False, sentinel: Sentinel = False) -> Work:
    """Stop the embedded server, or one of the deployments. Its data is kept for the next start."""
    return run(ctx, kind_of(cluster, sentinel))


async def run(ctx: CommandContext, kind: Any) -> None:
    """Stop the servers."""
    from ...store.embedded import embedded_server
    from ...store.embedded_topology import embedded_topology
    from ...util.daemon_thread import in_daemon_thread

    if kind is not None:
        topology = embedded_topology(ctx.settings, kind)
        stopped = await in_daemon_thread(topology.stop)
        ctx.out.notice(f"{stopped} servers stopped" if stopped else "not running")
        render(ctx, await in_daemon_thread(lambda: topology_state_of(topology)))
        return
    server = embedded_server(ctx.settings)
    ctx.out.notice("stopped" if await in_daemon_thread(server.stop) else "not running")
    for name, count in (await in_daemon_thread(lambda: counts_of(ctx.settings))).items():
        if count:
            ctx.out.notice(f"the embedded {name} is still running; stop it with `awictl embedded stop --{name}`")
    render(ctx, await in_daemon_thread(lambda: state_of(server)))


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the servers."""
    print_state(ctx.out, state)
