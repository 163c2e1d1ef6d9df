"""`awictl cache list`."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING, Format
from ..framework.params import option
from . import view

if TYPE_CHECKING:
    from ..framework.output import Row

NoSessions = Annotated[bool, option("--no-sessions", help="Do not scan the sessions for references.")]


@cli_command(
    examples=["awictl cache list", "awictl cache list -o jsonl | jq -r 'select(.sessions == []) | .cache_key'"],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, rate: Rate = None, no_sessions: NoSessions = False) -> Work:
    """List cached results with TTL, size, and the sessions whose active query they are."""
    return run(ctx, rate, not no_sessions)


async def run(ctx: CommandContext, rate: float | None, sessions: bool) -> None:
    """Scan the cached results; `sessions`: and the sessions that refer to them."""
    from ...document.keys import is_cache_key

    only_ids = ctx.out.format is Format.IDS  # other commands refuse what is not a cache key
    async with ctx.manager() as manager:
        found = manager.cache.list(rate=rate, sessions=sessions)
        rows = (cached.row() async for cached in found if not only_ids or is_cache_key(cached.cache_key))
        await render(ctx, rows, manager.cache.where)


async def render(ctx: CommandContext, rows: "AsyncIterator[Row]", where: str) -> None:
    """Print the cached results."""
    await ctx.out.many(
        rows, view.CACHED, id_field="cache_key", empty=f"nothing is cached at {where}", may_have=["error"]
    )
