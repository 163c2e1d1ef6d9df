"""`awictl doctor`: is all well?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import AwiError, InvalidInput
from ..util.humanize import plural
from .given import check_finite, confirm
from .options import Run, Yes, command
from .output import Format
from .tables import Column, Rows, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..sessions.manager import StateManager

#: Repairs that a table shows.
MOST_SHOWN = 50

app = typer.Typer(rich_markup_mode=None, add_completion=False)

#: How each status is shown: in words too, since not every terminal has colours.
_SIGNS = {"pass": ("ok", "green"), "warn": ("WARN", "yellow"), "fail": ("FAIL", "bold red")}

REPAIRS = [
    Column("KEY", lambda row: row["key"], narrow="fold"),
    Column("REPAIR", lambda row: row["repair"], narrow="fold"),
    Column("DONE", lambda row: {True: "yes", False: "no need any more", None: "not yet"}[row["done"]]),
]


@command(
    app,
    "doctor",
    examples=[
        "awictl doctor",
        "awictl doctor -o json | jq -r '.checks[] | select(.status != \"pass\") | .remedy'",
        "awictl doctor --fix --dry-run",
        "awictl doctor --rate 5000   # gently",
    ],
)
async def doctor(
    run: Run,
    fix: Annotated[bool, typer.Option("--fix", help="Put right what is derived: mappings, diffs, expiries.")] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix, only show what would be done.")] = False,
    no_data: Annotated[bool, typer.Option("--no-data", help="Do not walk through the keys.")] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=1, metavar="N", callback=check_finite, help="Visit so many keys a second.  [default: 50,000]"
        ),
    ] = None,
) -> None:
    """Check the server, what is stored, and the archive: pass, warn or fail, why, and what to do. A fail exits with 1.

    Without --fix nothing is written. What a managed server forbids to ask is told as "not permitted".
    """
    if (dry_run or yes) and not fix:
        raise InvalidInput("--dry-run and --yes go with --fix")
    if fix and no_data:
        raise InvalidInput("--fix needs to look at the data: leave out --no-data")
    from ..diagnostics.doctor import Status, examine
    from ..diagnostics.doctor.examine import DEFAULT_RATE

    async with run.manager() as manager:
        if fix and not dry_run:
            manager.check_writable()
        with run.out.progress(0 if no_data else await _size(manager), "looking at keys") as on_step:
            report, plan = await examine(manager, data=not no_data, rate=rate or DEFAULT_RATE, on_step=on_step)
        rows = [check.row() for check in report.checks]
        answer: dict[str, Any] = {"status": report.status, "checks": rows}
        told = False
        if fix:
            answer["repairs"] = plan.rows()
            if plan.repairs and not dry_run:
                if not yes and run.out.chosen(Format.JSON) is Format.TABLE:  # to be read before the question
                    run.out.console().print(_tables(answer))
                    told = True
                confirm(f"Put right {plural(len(plan.repairs), 'key')} ({plan.summary()})?", yes)
                answer["repairs"] = plan.rows(await plan.apply())
    run.out.one(answer, table=lambda: _repairs(answer["repairs"]) if told else _tables(answer))
    if fix and not plan.scanned:
        run.out.notice("the data could not be looked at: nothing is put right")
    elif fix and plan.truncated:
        run.out.notice(f"there is more to put right than {len(plan.repairs):,} keys: run this again")
    elif fix and not answer["repairs"]:
        run.out.notice("there is nothing to put right")
    if report.status is Status.FAIL:
        raise typer.Exit(1)


async def _size(manager: "StateManager") -> int:
    """How many keys there are, as far as can be told."""
    try:
        return await manager.inventory.size() or 0
    except AwiError:
        return 0  # the checks tell


def _tables(answer: Mapping[str, Any]) -> "RenderableType":
    from rich.console import Group

    parts: list[RenderableType] = [_checks(answer["checks"])]
    if repairs := answer.get("repairs"):
        parts += ["", _repairs(repairs)]
    return Group(*parts)


def _repairs(rows: Sequence[Mapping[str, Any]]) -> "RenderableType":
    from rich.console import Group

    table = Rows(rows[:MOST_SHOWN], REPAIRS)
    return Group(table, f"(and {len(rows) - MOST_SHOWN:,} more)") if len(rows) > MOST_SHOWN else table


def _checks(rows: Sequence[Mapping[str, Any]]) -> "RenderableType":
    """The checks, each with its evidence; under that the remedy, and some keys."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        sign, style = _SIGNS[row["status"]]
        lines = [row["evidence"], *(f"  {example}" for example in row["examples"])]
        if row["remedy"]:
            lines.append(f"→ {row['remedy']}")
        grid.add_row(Text(sign, style), row["check"], Text("\n".join(map(printable, lines))))
    return grid
