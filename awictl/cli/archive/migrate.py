"""`awictl archive migrate`."""

from typing import TYPE_CHECKING, Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.error_report import report
from ..framework.params import CommandExit, option
from . import view

if TYPE_CHECKING:
    from ...archive.migrate import Migrated

#: Maximum number of failures that are reported one by one.
MOST_FAILURES = 10

DryRun = Annotated[bool, option("--dry-run", help="Only count the sessions that would be migrated.")]


@cli_command(examples=["awictl archive migrate --dry-run", "awictl archive migrate"])
def command(ctx: CommandContext, dry_run: DryRun = False) -> Work:
    """Move sessions that earlier versions of awictl archived to the present layout of the archive.

    They can be read before as well. It can be interrupted and repeated at any time, also while sweeps run. A session
    that cannot be read is left where it is and reported.
    """
    return run(ctx, dry_run)


async def run(ctx: CommandContext, dry_run: bool) -> None:
    """Migrate all sessions."""
    async with ctx.manager() as manager:
        archive = manager.required_archive()
        if not dry_run:
            manager.check_writable()
        await archive.check_exists()
        total = await archive.count_old_sessions()
        if dry_run:
            row = {"found": total, "migrated": 0, "chunks": 0, "failed": 0}
            ctx.out.one(row, table=lambda: view.migrated(row))
            ctx.out.notice("dry run: nothing was written")
            return
        with ctx.out.progress(total, "migrating") as progress:
            done = await manager.migrate_archive(progress)
    if code := render(ctx, done):
        raise CommandExit(code)


def render(ctx: CommandContext, done: "Migrated") -> int:
    """Print what was migrated, and the failures. Returns the exit code."""
    row = done.row()
    ctx.out.one(row, table=lambda: view.migrated(row))
    failures = list(done.failed.values())
    codes = [report(error, verbose=ctx.options.verbose) for error in failures[:MOST_FAILURES]]
    if len(failures) > MOST_FAILURES:
        ctx.out.notice(f"{len(failures) - MOST_FAILURES:,} more could not be migrated")
    return codes[0] if codes else 0
