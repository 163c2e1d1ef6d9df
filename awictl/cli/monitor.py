"""`awictl monitor`: what clients do to the keys of AWI."""

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..document.keys import KeyKind
from ..util.humanize import duration, plural
from .given import check_finite
from .options import Run, command

if TYPE_CHECKING:
    from ..diagnostics.command_monitor import Operation

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(
    app,
    "monitor",
    examples=[
        "awictl monitor",
        "awictl monitor --session ID --seconds 60",
        "awictl monitor --kind session --kind diff -o jsonl | jq -r .client | sort | uniq -c",
    ],
)
async def monitor(
    run: Run,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0.05, metavar="SECONDS", callback=check_finite, help="End after this time."),
    ] = 10.0,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Only what names this session.")
    ] = None,
    kind: Annotated[list[KeyKind] | None, typer.Option("--kind", help="Only commands on keys of this kind.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Print all of each argument, not its beginning alone.")] = False,
) -> None:
    """Print the commands that clients run on the keys of AWI, by MONITOR: who, when, which script, and on what.

    That costs the server dearly, since it sends every command of every client here: keep it short on production.
    """
    from ..diagnostics.command_monitor import SHOWN_BYTES, OperationMonitor

    async with run.manager() as manager:
        operations = OperationMonitor(manager.store.keyspace, session, kind or ())
        run.out.notice(
            f"MONITOR makes {manager.store.where} send all that it is asked here, which slows it down for "
            f"{duration(seconds * 1000)}"
        )
        shown = None if full else SHOWN_BYTES
        async with aclosing(operations.follow(seconds)) as found:
            async for one in found:
                run.out.line(one.row(shown), partial(_lines, one, shown))
        run.out.notice(f"{plural(operations.received, 'command')} received, {operations.matched:,} shown")


def _lines(one: "Operation", shown: int | None) -> list[str]:
    """An operation in a line."""
    name = f"{one.command} {one.script}" if one.script else one.command
    where = f"{one.client}" if one.db == 0 else f"{one.client} db {one.db}"
    keys = [f"{kind} {id}" for kind, id in one.named]
    return ["  ".join([one.at[11:-1], where, name, *(keys or ["all keys"]), *one.shown(shown)])]
