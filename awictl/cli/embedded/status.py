"""`awictl embedded status`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.params import CommandExit
from .arguments import Cluster, Sentinel, kind_of
from .view import counts_of, print_state, state_of, topology_state_of


@cli_command(
    examples=[
        "awictl embedded status",
        "awictl embedded status -o json | jq .running",
        "awictl embedded status --cluster",
        "awictl embedded status --sentinel -o json | jq .members",
    ]
)
def command(ctx: CommandContext, cluster: Cluster = False, sentinel: Sentinel = False) -> Work:
    """Show whether the embedded server is running, and where its data is. Exits with 3 if it is not running.

    With --cluster or --sentinel, show the servers of that deployment; exits with 3 if not all of them are running.
    """
    return run(ctx, kind_of(cluster, sentinel))


async def run(ctx: CommandContext, kind: Any) -> None:
    """Examine the servers. Raises CommandExit(3) if one of them is not running."""
    from ...store.embedded import embedded_server
    from ...store.embedded_topology import embedded_topology
    from ...util.daemon_thread import in_daemon_thread

    def state() -> dict[str, Any]:
        if kind is not None:
            return topology_state_of(embedded_topology(ctx.settings, kind))
        return {**state_of(embedded_server(ctx.settings)), **counts_of(ctx.settings)}

    found = await in_daemon_thread(state)
    render(ctx, found)
    if not found["running"]:
        raise CommandExit(3)


def render(ctx: CommandContext, state: dict[str, Any]) -> None:
    """Print the state of the servers."""
    print_state(ctx.out, state)
