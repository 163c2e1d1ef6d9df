"""`awictl session import`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.error_report import report
from ..framework.input import open_input
from ..framework.output import LISTING, Format
from ..framework.params import CommandExit, argument, option
from . import view

if TYPE_CHECKING:
    from ...errors import AwiError
    from ...sessions.export.import_sessions import Imported

File = Annotated[
    str, argument(metavar="FILE", help="A file of `awictl session export`, or - for stdin.", show_default=False)
]
AsNew = Annotated[bool, option("--as-new", help="Give the sessions new ids, and record where they are from.")]
DryRun = Annotated[bool, option("--dry-run", help="Only check the file, and what is there already.")]


@cli_command(
    examples=[
        "awictl session import bug.jsonl --embedded",
        "awictl session import bug.jsonl --as-new",
        "awictl session export ID | awictl session import - --profile staging",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, file: File, as_new: AsNew = False, dry_run: DryRun = False) -> Work:
    """Import sessions from a file. Nothing is overwritten; safe to repeat."""
    return run(ctx, file, as_new, dry_run)


async def run(ctx: CommandContext, file: str, as_new: bool, dry_run: bool) -> None:
    """Import each session; report those that could not be."""
    rows = _Rows(ctx)
    with open_input(file, "sessions") as read:
        async with ctx.manager() as manager:
            name = "stdin" if file == "-" else file
            outcomes = manager.exports.import_file(read, name, as_new=as_new, dry_run=dry_run)
            await render(ctx, rows.of(outcomes))
    if dry_run:
        ctx.out.notice("dry run: nothing was written")
    if rows.code:
        raise CommandExit(rows.code)


class _Rows:
    """The rows of the sessions that were imported. The errors of the others are reported."""

    def __init__(self, ctx: CommandContext) -> None:
        self._ctx = ctx
        #: The exit code of the first error.
        self.code = 0

    async def of(self, outcomes: "AsyncGenerator[Imported | AwiError, None]") -> AsyncGenerator[dict[str, Any], None]:
        async with aclosing(outcomes):
            async for outcome in outcomes:
                if isinstance(outcome, Exception):
                    code = report(outcome, verbose=self._ctx.options.verbose)
                    self.code = self.code or code
                else:
                    yield outcome.row()


async def render(ctx: CommandContext, rows: AsyncGenerator[dict[str, Any], None]) -> None:
    """Print the sessions."""
    await ctx.out.many(rows, view.IMPORTED, id_field="session_id", empty="no session was imported")
