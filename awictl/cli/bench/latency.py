"""`awictl bench latency`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.error_report import report
from ..framework.params import CommandExit, option
from ..framework.parsers import check_finite
from . import view

if TYPE_CHECKING:
    from ...diagnostics.bench.stores import OpenStores

_NAMES = {"redis": "Redis", "mongodb": "MongoDB"}

MeasuredSeconds = Annotated[
    float,
    option("--seconds", min=0.1, metavar="SECONDS", callback=check_finite, help="How long to measure, in all."),
]
Clients = Annotated[
    int, option("--clients", min=1, max=64, metavar="N", help="Number of requests that are sent at once.")
]


@cli_command(
    examples=[
        "awictl bench latency",
        "awictl bench latency --seconds 30 --clients 16",
        "awictl bench latency -o json | jq '.operations[] | {operation, ratio}'",
    ]
)
def command(ctx: CommandContext, seconds: MeasuredSeconds = 5.0, clients: Clients = 1) -> Work:
    """Measure operations on sessions at Redis and at MongoDB, side by side.

    Gets and updates the state of sessions, reads pages of their history and a cached list: the same documents at both
    servers, in turn, through the same code. Writes sessions of its own (sess_bench_*) and deletes them again; they
    expire within five minutes if it is killed, and the next run deletes them. In MongoDB it uses collections of its
    own (awi_bench_*). If only one of both servers is configured or responds, only that one is measured.
    """
    return run(ctx, seconds, clients)


async def run(ctx: CommandContext, seconds: float, clients: int) -> None:
    """Create the sessions, measure, and delete the sessions."""
    from ...diagnostics.bench import latency
    from ...diagnostics.bench.own_sessions import ACTIONS
    from ...diagnostics.bench.stores import MONGODB, REDIS, open_stores, own_sessions, remove_all_leftovers

    async with open_stores(ctx.settings) as stores:
        _tell(ctx, stores)
        if count := await remove_all_leftovers(stores.managers):
            ctx.out.notice(f"deleted {plural(count, 'session')} of an earlier run that was interrupted")
        versions = {name: (await manager.store.ping()).get("version") for name, manager in stores.managers.items()}
        async with own_sessions(stores.managers, clients) as own:
            with ctx.out.progress(latency.slices(seconds, len(own)), "measuring") as progress:
                measured = await latency.measure(own, seconds, progress)
        row = {
            "seconds": seconds,
            "clients": clients,
            "actions": ACTIONS,
            "document_bytes": max(one.document_bytes for one in own.values()),
            "servers": {
                name: {"address": stores.managers[name].store.where, "version": versions[name]}
                if name in stores.managers
                else None
                for name in (REDIS, MONGODB)
            },
            "operations": latency.rows(measured, REDIS, MONGODB),
        }
    render(ctx, row)
    if codes := [report(error, verbose=ctx.options.verbose) for error in stores.failed.values()]:
        raise CommandExit(codes[0])


def _tell(ctx: CommandContext, stores: "OpenStores") -> None:
    """Say what is written where, and what is not measured."""
    where = " and ".join(manager.store.where for manager in stores.managers.values())
    ctx.out.notice(f"writes sessions of its own (sess_bench_*) to {where}, and deletes them afterwards")
    for name, why in stores.not_configured.items():
        ctx.out.notice(f"{_NAMES[name]} is not measured: {why}")
    for name in stores.failed:
        ctx.out.notice(f"{_NAMES[name]} is not measured: it does not respond")


def render(ctx: CommandContext, row: dict[str, Any]) -> None:
    """Print the percentiles and the ratios."""
    ctx.out.one(row, table=lambda: view.latency(row))
