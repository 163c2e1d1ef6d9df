"""`awictl migrate`."""

import asyncio
import time
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Yes
from ..framework.confirm import confirm
from ..framework.error_report import report
from ..framework.output import Format
from ..framework.params import CommandExit, option
from ..framework.parsers import check_finite
from . import view

if TYPE_CHECKING:
    from ...sessions.migration.migrate import StoreMigration
    from ...sessions.migration.result import MigrationResult

#: Maximum number of sessions whose error is reported on stderr; the output has all of them.
MOST_ERRORS = 10


class MigrationTarget(StrEnum):
    """Where sessions are moved to."""

    REDIS = "redis"
    MONGO = "mongo"


To = Annotated[MigrationTarget, option("--to", help="Where the sessions are to be afterwards.", show_default=False)]
FromApp = Annotated[
    bool, option("--from-app", help="Also copy the active sessions that the app itself keeps in MongoDB.")
]
MoveRate = Annotated[
    float | None,
    option("--rate", min=0.1, metavar="N", callback=check_finite, help="Move at most N sessions per second."),
]
DryRun = Annotated[bool, option("--dry-run", help="Only show what would be moved.")]


@cli_command(
    examples=[
        "awictl migrate --to mongo --dry-run",
        "awictl migrate --to redis --rate 200",
        "awictl migrate --to redis --from-app --yes",
        "awictl migrate --to mongo --yes -o jsonl | jq -r 'select(.outcome == \"conflict\").session_id'",
    ],
    formats=[Format.WIDE],
)
def command(
    ctx: CommandContext,
    to: To,
    from_app: FromApp = False,
    rate: MoveRate = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> Work:
    """Move all live sessions from Redis to MongoDB, or back.

    Each session is copied byte for byte with its TTL, read back, and only then deleted where it was. A session that the
    target has in a newer version is left and reported. It can be interrupted and repeated at any time.
    """
    return run(ctx, to, from_app, rate, dry_run, yes)


async def run(
    ctx: CommandContext, to: MigrationTarget, from_app: bool, rate: float | None, dry_run: bool, yes: bool
) -> None:
    """Move the sessions. Also after an error or Ctrl-C, print what was done until then."""
    async with ctx.manager() as manager:
        if not dry_run:
            manager.check_writable()
        to_redis = to is MigrationTarget.REDIS
        async with manager.migration(to_redis=to_redis, from_app=from_app, rate=rate, dry_run=dry_run) as migration:
            if not dry_run:
                confirm(f"Move all live sessions from {migration.source.where} to {migration.target.where}?", yes)
            started = time.monotonic()
            try:
                await migration.run(partial(ctx.out.progress, what="migrating"))
            except asyncio.CancelledError:
                text = f"{migration.result.counts.moved:,} moved; repeat it to move the others"
                raise asyncio.CancelledError(text) from None
            finally:
                seconds = round(time.monotonic() - started, 3)
                row = {"to": to.value, **migration.result.row(), "dry_run": dry_run, "seconds": seconds}
                await render(ctx, migration.result, row)
    code = _report(ctx, migration, dry_run=dry_run)
    if not dry_run and manager.settings.use_redis is not to_redis:
        value = "true" if to_redis else "false"
        ctx.out.notice(f"to use {migration.target.where} from now on, set AWI_USE_REDIS={value}")
    if code:
        raise CommandExit(code)


def _report(ctx: CommandContext, migration: "StoreMigration", *, dry_run: bool) -> int:
    """Print why sessions were left, and what else an operator has to know. Returns the exit code."""
    source, target, errors = migration.source.where, migration.target.where, migration.result.errors
    codes = [report(error, verbose=ctx.options.verbose) for error in errors[:MOST_ERRORS]]
    if len(errors) > MOST_ERRORS:
        ctx.out.notice(f"{len(errors) - MOST_ERRORS:,} more were left in {source}")
    if migration.result.unfinished:
        ctx.out.notice(f"agents keep using {source}: let them use {target}, then repeat the command for the rest")
    if dry_run:
        ctx.out.notice("dry run: nothing was written")
    return codes[0] if codes else 0


async def render(ctx: CommandContext, result: "MigrationResult", row: dict[str, Any]) -> None:
    """Print the sessions that were not simply moved, and a summary."""
    rows = [one.row() for one in sorted(result.exceptions, key=lambda one: one.session_id)]
    match ctx.out.chosen(Format.JSONL):
        case Format.TABLE | Format.WIDE:
            if rows:
                await ctx.out.many(rows, view.EXCEPTIONS)
            ctx.out.one(row, table=lambda: view.summary(row))
        case Format.JSON:
            ctx.out.one({**row, "sessions": rows}, table=lambda: None)
        case _:
            await ctx.out.many([*rows, row], ())
