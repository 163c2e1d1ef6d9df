"""`awictl session show`."""

from functools import partial
from typing import TYPE_CHECKING

from ...document.action_numbers import last_ordinal
from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds
from ..framework.each_id import are_several, each
from ..framework.moments import At, moment_of
from ..framework.output import Format
from ..framework.session_view import marked, print_archived
from ..framework.session_view import session as session_table
from ..framework.stdout import write

if TYPE_CHECKING:
    from ...document.history.moments import Moment
    from ...sessions.manager import StateManager
    from ...store.base import Stored


@cli_command(
    examples=[
        "awictl session show sess_1d921b557fb54766a6fb4f1a4add6392",
        "awictl session show ID | jq .page_state",
        "awictl session show ID -o raw   # the bytes as they are stored",
        "awictl session show ID --at 17   # as it was after action 17",
        "awictl session show ID --at -5m | jq '.page_state, .awi_at'",
    ],
    formats=[Format.IDS, Format.RAW],
)
def command(ctx: CommandContext, ids: SessionIds, at: At = None) -> Work:
    """Print session documents, live or archived. Nothing is written, and no TTL is extended.

    With --at, the document as it was at that moment, with the actions until then, and a field `awi_at` that says which
    action was the last one then, and what is unknown because earlier actions are missing.
    """
    moment = moment_of("--at", at)
    if moment is None:
        return run(ctx, ids)
    if ctx.out.format is Format.RAW:
        raise InvalidInput("--at and -o raw cannot be combined: only the present state is stored as bytes")
    return run_at(ctx, ids, moment)


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


async def run_at(ctx: CommandContext, ids: list[str], moment: "Moment") -> None:
    """Find each session, and print it as it was at a moment."""
    from ..framework import whole_view
    from . import moment_view

    async with ctx.manager() as manager:

        async def one(session_id: str) -> None:
            whole, state = await manager.time_travel.state_at(session_id, moment)
            for notice in (*whole_view.notices(whole), *moment_view.state_notices(whole, state)):
                ctx.out.notice(notice)
            document = whole.timeline.document_at(state)
            facts = moment_view.moment_facts(whole, state)
            table = partial(session_table, session_id, document, None, moment_facts=facts, newest=lambda: state.ordinal)
            ctx.out.one(
                marked({**document, "awi_at": state.row()}, whole.degraded),
                table=table,
                ids=[session_id],
                title=session_id if are_several(ids) else None,
            )

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
    table = partial(session_table, session_id, document, stored.ttl_ms, newest=partial(last_ordinal, document))
    ctx.out.one(marked(document, degraded), table=table, ids=[session_id], title=title)
