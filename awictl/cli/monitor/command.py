"""`awictl monitor`."""

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated

from ...document.keys import KeyKind
from ...util.humanize import duration, plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.params import option
from ..framework.parsers import check_finite, plain_id
from . import view

if TYPE_CHECKING:
    from ...diagnostics.command_monitor import Operation

Seconds = Annotated[
    float,
    option("--seconds", min=0.05, metavar="SECONDS", callback=check_finite, help="Stop after this many seconds."),
]
SessionOption = Annotated[
    str | None, option("--session", metavar="ID", callback=plain_id, help="Only commands that name this session.")
]
Kinds = Annotated[list[KeyKind] | None, option("--kind", help="Only commands on keys of this kind.")]
Full = Annotated[bool, option("--full", help="Print arguments in full instead of their first bytes.")]


@cli_command(
    examples=[
        "awictl monitor",
        "awictl monitor --session ID --seconds 60",
        "awictl monitor --kind session --kind diff -o jsonl | jq -r .client | sort | uniq -c",
    ],
)
def command(
    ctx: CommandContext,
    seconds: Seconds = 10.0,
    session: SessionOption = None,
    kind: Kinds = None,
    full: Full = False,
) -> Work:
    """Print the commands that clients run on AWI's keys. Each line has time, client, script and keys.

    Uses MONITOR, which makes the server send every command of every client and slows it down: keep it short in
    production.
    """
    return run(ctx, seconds, session, kind or [], full)


async def run(ctx: CommandContext, seconds: float, session_id: str | None, kinds: list[KeyKind], full: bool) -> None:
    """Print each command that matches, as it is run."""
    from ...diagnostics.command_monitor import SHOWN_BYTES, OperationMonitor

    shown_bytes = None if full else SHOWN_BYTES
    async with ctx.manager() as manager:
        operations = OperationMonitor(manager.store.keyspace, session_id, kinds)
        ctx.out.notice(
            f"MONITOR slows {manager.store.where} down for {duration(seconds * 1000)}: it sends a copy of every command"
        )
        async with aclosing(operations.follow(seconds, ctx.out.notice)) as found:
            async for one in found:
                render(ctx, one, shown_bytes)
        ctx.out.notice(f"{plural(operations.received, 'command')} received, {operations.matched:,} shown")


def render(ctx: CommandContext, operation: "Operation", shown_bytes: int | None) -> None:
    """Print one command; at most `shown_bytes` of each argument."""
    ctx.out.line(operation.row(shown_bytes), partial(view.lines, operation, shown_bytes))
