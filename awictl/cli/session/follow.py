"""Follow a session: what `watch` and `history --follow` have in common. Nothing is written, no TTL extended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from ..framework.context import CommandContext

if TYPE_CHECKING:
    from ...diagnostics.follow import Event


async def follow(
    ctx: CommandContext, session_id: str, latest: int, interval: float, seconds: float | None
) -> "AsyncGenerator[Event, None]":
    """Yield what happens in a session, until it is gone or `seconds` are over; at first its `latest` actions.

    A notice is printed when the session or the server is gone, and when the server is back.
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
                ctx.out.notice(f"{event.message} (trying again)")
            elif event.kind == "back":
                ctx.out.notice("it can be read again")
            elif event.kind == "gone":
                ctx.out.notice(event.message)
            yield event
