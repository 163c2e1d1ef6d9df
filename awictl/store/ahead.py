"""Asking for the next while the caller works on the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

#: Turns of the event loop in which a request gets from its task to the socket; a caller that does not wait for anything
#: would keep it from being sent.
SENDING_TURNS = 8


async def ahead(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items; while the caller has one, the next is under way, so that server and client work at once.

    Closing this closes `items` too.
    """
    async with aclosing(items):
        following = asyncio.ensure_future(anext(items, None))
        try:
            while (item := await following) is not None:
                following = asyncio.ensure_future(anext(items, None))
                for _ in range(SENDING_TURNS):
                    await asyncio.sleep(0)
                yield item
        finally:
            if not following.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
