"""`awictl session touch`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from ...errors import AwiError, NotFound
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds, Ttl
from ..framework.each_id import EachId
from ..framework.output import LISTING, Batches, Format
from . import view

#: Maximum number of missing sessions for which the reason is looked up.
MOST_EXPLAINED = 10


@cli_command(
    examples=[
        "awictl session touch ID",
        "awictl session list -o ids --idle 20m | awictl session touch -",
        "awictl session touch ID --ttl 2h",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, ids: SessionIds, ttl: Ttl = None) -> Work:
    """Extend the TTL of sessions. The documents are not rewritten."""
    return run(ctx, ids, ttl)


async def run(ctx: CommandContext, ids: Sequence[str], ttl_ms: int | None) -> None:
    """Extend the TTL of each session; report those that are not live."""
    sessions = EachId(ctx, ids, writes=True, most_errors=MOST_EXPLAINED)
    async with ctx.manager() as manager:
        missing = 0

        async def touch(batch: list[str]) -> list[dict[str, Any] | AwiError | None]:
            nonlocal missing
            outcomes: list[dict[str, Any] | AwiError | None] = []
            for session_id, outcome in zip(batch, await manager.touch_each(batch, ttl_ms=ttl_ms), strict=True):
                if outcome is True:
                    outcomes.append({"session_id": session_id, "ttl_ms": ttl_ms or manager.settings.session_ttl_ms})
                elif isinstance(outcome, AwiError):
                    outcomes.append(outcome)
                else:
                    missing += 1
                    outcomes.append(await manager.why_missing(session_id) if missing <= MOST_EXPLAINED else NotFound())
            return outcomes

        await render(ctx, sessions.batches(touch))
        if sessions.unreported:
            ctx.out.notice(f"{plural(sessions.unreported, 'more session')} not live")
    sessions.exit()


async def render(ctx: CommandContext, batches: AsyncGenerator[list[dict[str, Any]], None]) -> None:
    """Print the sessions that were touched."""
    await ctx.out.many(Batches(batches), view.TOUCHED, id_field="session_id", empty="no session was touched")
