"""`awictl archive list`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from ...archive.base import ArchiveQuery, Cursor
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Format
from ..framework.params import option
from . import view
from .filters import Agent, Failed, Since, Until

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ..framework.output import Row

Limit = Annotated[
    int, option("--limit", min=1, max=1_000_000, metavar="N", help="Maximum number of sessions on a page.")
]
All = Annotated[bool, option("--all", help="List all sessions instead of one page.")]
After = Annotated[str | None, option("--cursor", metavar="CURSOR", help="Cursor that the previous page reported.")]


@cli_command(
    examples=[
        "awictl archive list --agent browser-1 --since 7d",
        "awictl archive list --failed --limit 20",
        "awictl archive list --cursor CURSOR   # the next page",
        "awictl archive list --all -o ids | awictl archive show -",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    failed: Failed = False,
    limit: Limit = 50,
    all: All = False,
    cursor: After = None,
) -> Work:
    """List archived sessions, latest activity first."""
    after = Cursor.parse(cursor) if cursor is not None else None
    return run(ctx, ArchiveQuery(agent, since, until, failed), after, None if all else limit)


async def run(ctx: CommandContext, query: ArchiveQuery, after: Cursor | None, limit: int | None) -> None:
    """Print the page after a cursor; all sessions after it if there is no limit."""
    page = _ArchivePage(query, after, limit)
    async with ctx.manager() as manager:
        await render(ctx, page, manager)
    if page.next_cursor is not None:
        ctx.out.notice(f"next page: --cursor {page.next_cursor}")


class _ArchivePage:
    """A page of the archive. `next_cursor` is set after the rows were read, if there is another page."""

    def __init__(self, query: ArchiveQuery, after: Cursor | None, limit: int | None) -> None:
        self.next_cursor: str | None = None
        self._query = query
        self._after = after
        self._limit = limit

    async def rows(self, manager: "StateManager") -> "AsyncIterator[Row]":
        """The sessions of the page."""
        count = 0
        last: Cursor | None = None
        # one more than the limit shows whether there is another page
        limit = self._limit + 1 if self._limit is not None else None
        archive = await manager.existing_archive()
        async with aclosing(archive.find(self._query, self._after, limit)) as found:
            async for summary in found:
                if count == self._limit:
                    self.next_cursor = last.text if last is not None else None
                    return
                count += 1
                last = Cursor(summary.last_activity_at, summary.session_id)
                yield summary.row()


async def render(ctx: CommandContext, page: _ArchivePage, manager: "StateManager") -> None:
    """Print the sessions of a page."""
    await ctx.out.many(
        page.rows(manager),
        view.SESSIONS,
        id_field="session_id",
        envelope=lambda found: {"sessions": found, "next_cursor": page.next_cursor},
        empty="no archived sessions",
        keep="LAST ACTIVITY",
    )
