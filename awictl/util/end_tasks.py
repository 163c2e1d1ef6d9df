"""End tasks that run in the background."""

from __future__ import annotations

import asyncio
from typing import Any

#: Seconds between two cancellations of a task.
_AGAIN = 0.1


async def end_tasks(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and wait until they have ended.

    A task is cancelled again as long as it goes on: a task group, or the driver of MongoDB, may turn a cancellation
    into another error.
    """
    while left := [one for one in tasks if not one.done()]:
        for one in left:
            one.cancel()
        await asyncio.wait(left, timeout=_AGAIN)
