"""`awictl session touch`."""

from typing import TYPE_CHECKING

from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds, Ttl
from ..framework.each_id import EachId
from ..framework.input import read_ids
from ..framework.output import Format
from . import view

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: Maximum number of missing sessions for which the reason is looked up.
MOST_EXPLAINED = 10


@cli_command(
    examples=[
        "awictl session touch ID",
        "awictl session list -o ids --idle 20m | awictl session touch -",
        "awictl session touch ID --ttl 2h",
    ],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, ids: SessionIds, ttl: Ttl = None) -> Work:
    """Extend the TTL of sessions. The documents are not rewritten."""
    return run(ctx, read_ids(ids), ttl)


async def run(ctx: CommandContext, ids: list[str], ttl_ms: int | None) -> None:
    """Extend the TTL of each session; report those that are not live."""
    async with ctx.manager() as manager:
        exists = dict(zip(ids, await manager.touch_sessions(ids, ttl_ms=ttl_ms), strict=True))
        await render(ctx, [one for one in ids if exists[one]], ttl_ms or manager.settings.session_ttl_ms)
        missing = [session_id for session_id in ids if not exists[session_id]]
        sessions = EachId(ctx, missing[:MOST_EXPLAINED])
        async for _ in sessions.rows(lambda session_id: _raise_reason(manager, session_id)):
            pass
        if len(missing) > MOST_EXPLAINED:
            ctx.out.notice(f"{plural(len(missing) - MOST_EXPLAINED, 'more session')} not live")
    sessions.exit()


async def _raise_reason(manager: "StateManager", session_id: str) -> None:
    raise await manager.why_missing(session_id)


async def render(ctx: CommandContext, ids: list[str], ttl_ms: int) -> None:
    """Print the sessions that were touched."""
    rows = [{"session_id": session_id, "ttl_ms": ttl_ms} for session_id in ids]
    await ctx.out.many(rows, view.TOUCHED, id_field="session_id", empty="no session was touched")
