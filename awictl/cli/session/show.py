"""`awictl session show`."""

from functools import partial
from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds
from ..framework.each_id import are_several, each
from ..framework.output import Format
from ..framework.session_view import marked, print_archived
from ..framework.session_view import session as session_table
from ..framework.stdout import write

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...store.base import Stored


@cli_command(
    examples=[
        "awictl session show sess_1d921b557fb54766a6fb4f1a4add6392",
        "awictl session show ID | jq .page_state",
        "awictl session show ID -o raw   # the bytes as they are stored",
    ],
    formats=[Format.IDS, Format.RAW],
)
def command(ctx: CommandContext, ids: SessionIds) -> Work:
    """Print session documents, live or archived. Nothing is written, and no TTL is extended."""
    return run(ctx, ids)


async def run(ctx: CommandContext, ids: list[str]) -> None:
    """Find and print each session."""
    async with ctx.manager() as manager:

        async def one(session_id: str) -> None:
            found = await manager.find_session(session_id)
            title = session_id if are_several(ids) else None
            if found.origin:
                ctx.out.notice(found.origin)
            if found.archived is not None:
                print_archived(ctx.out, found.archived, title, degraded=found.degraded)
            elif found.stored is not None:
                render(ctx, manager, session_id, found.stored, title, degraded=found.degraded)

        await each(ctx, ids, one)


def render(
    ctx: CommandContext,
    manager: "StateManager",
    session_id: str,
    stored: "Stored",
    title: str | None,
    *,
    degraded: bool,
) -> None:
    """Print a live session. Raises InvalidData if it cannot be decoded, unless its bytes are printed."""
    if ctx.out.format is Format.RAW:
        write(stored.raw)
        return
    document = manager.decoded(session_id, stored)
    if (other := document.get("session_id", session_id)) != session_id:
        ctx.out.notice(f"{session_id}: the document has another session_id: {other!a:.80} (see `awictl doctor`)")
    table = partial(session_table, session_id, document, stored.ttl_ms)
    ctx.out.one(marked(document, degraded), table=table, ids=[session_id], title=title)
