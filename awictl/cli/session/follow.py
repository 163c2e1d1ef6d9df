"""Follow a session, for `watch` and `history --follow`. Nothing is written, and no TTL is extended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from ..framework.context import CommandContext
from ..framework.stdout import check_reader

if TYPE_CHECKING:
    from ...diagnostics.follow import Event


async def follow(
    ctx: CommandContext, session_id: str, latest: int, interval: float, seconds: float | None
) -> "AsyncGenerator[Event, None]":
    """Yield the events of a session until it is gone, or `seconds` have passed. The first has the `latest` actions.

    Notices report that the session is gone, or that the server is unreachable or reachable again. Raises
    BrokenPipeError soon after the reader of stdout has closed it: `tail -f` ends then, too.
    """
    from ...diagnostics.follow import Follower

    loop = asyncio.get_running_loop()
    deadline: float | None = None  # set after the first event, which there always is
    async with (
        ctx.manager() as manager,
        aclosing(Follower(manager.store, manager.get_archived_session, session_id, interval).events(latest)) as events,
    ):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(events, None)
            except TimeoutError:
                return
            if deadline is None and seconds is not None:
                deadline = loop.time() + seconds
            if event is None:
                return
            if event.kind == "away":
                ctx.out.notice(f"{event.message} (retrying)")
            elif event.kind == "back":
                ctx.out.notice("the session can be read again")
            elif event.kind == "gone":
                ctx.out.notice(event.message)
            yield event
            check_reader()
