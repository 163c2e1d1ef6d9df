"""`awictl doctor`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...errors import AwiError, InvalidInput
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Yes
from ..framework.confirm import confirm
from ..framework.output import Format
from ..framework.params import CommandExit, option
from ..framework.parsers import check_finite
from . import view

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

Fix = Annotated[bool, option("--fix", help="Repair derived data: mappings, diffs and TTLs.")]
DryRun = Annotated[bool, option("--dry-run", help="With --fix, only show the repairs.")]
NoData = Annotated[bool, option("--no-data", help="Do not scan the keys.")]
ScanRate = Annotated[
    float | None,
    option(
        "--rate", min=1, metavar="N", callback=check_finite, help="Scan at most N keys per second.  [default: 50,000]"
    ),
]


@cli_command(
    examples=[
        "awictl doctor",
        "awictl doctor -o json | jq -r '.checks[] | select(.status != \"pass\") | .remedy'",
        "awictl doctor --fix --dry-run",
        "awictl doctor --rate 5000   # limit the load",
    ],
)
def command(
    ctx: CommandContext,
    fix: Fix = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_data: NoData = False,
    rate: ScanRate = None,
) -> Work:
    """Check the server, the data and the archive, and suggest remedies. Exits with 1 if a check fails.

    Without --fix nothing is written. Checks that a managed server forbids report "not permitted".
    """
    if (dry_run or yes) and not fix:
        raise InvalidInput("--dry-run and --yes require --fix")
    if fix and no_data:
        raise InvalidInput("--fix and --no-data cannot be combined: the scan of the keys finds the repairs")
    return run(ctx, rate, data=not no_data, fix=fix, dry_run=dry_run, yes=yes)


async def run(ctx: CommandContext, rate: float | None, *, data: bool, fix: bool, dry_run: bool, yes: bool) -> None:
    """Run all checks; with `fix` also the repairs that they found, once that is confirmed."""
    from ...diagnostics.doctor import Status, examine
    from ...diagnostics.doctor.examine import DEFAULT_RATE

    async with ctx.manager() as manager:
        if fix and not dry_run:
            manager.check_writable()
        with ctx.out.progress(await _size(manager) if data else 0, "scanning keys") as on_step:
            report, plan = await examine(manager, data=data, rate=rate or DEFAULT_RATE, on_step=on_step)
        answer: dict[str, Any] = {"status": report.status, "checks": [check.row() for check in report.checks]}
        printed = False
        if fix:
            answer["repairs"] = plan.rows()
            if plan.repairs and not dry_run:
                if not yes and ctx.out.chosen(Format.JSON) is Format.TABLE:  # to be read before the question
                    ctx.out.console().print(view.report(answer))
                    printed = True
                confirm(f"Repair {plural(len(plan.repairs), 'key')} ({plan.summary()})?", yes)
                answer["repairs"] = plan.rows(await plan.apply())
    render(ctx, answer, only_repairs=printed)
    if fix and not plan.scanned:
        ctx.out.notice("the keys could not be scanned: nothing was repaired")
    elif fix and plan.truncated:
        ctx.out.notice(f"more than {len(plan.repairs):,} keys need a repair: run this again")
    elif fix and not answer["repairs"]:
        ctx.out.notice("nothing to repair")
    if report.status is Status.FAIL:
        raise CommandExit(1)


async def _size(manager: "StateManager") -> int:
    """The number of keys; 0 if it is not available."""
    try:
        return await manager.inventory.size() or 0
    except AwiError:
        return 0  # a check reports the error


def render(ctx: CommandContext, answer: dict[str, Any], *, only_repairs: bool) -> None:
    """Print checks and repairs; in a table only the repairs, if the checks were printed before."""
    ctx.out.one(answer, table=lambda: view.repairs(answer["repairs"]) if only_repairs else view.report(answer))
