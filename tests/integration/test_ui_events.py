"""Streams of events end when the server stops, whatever they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from awictl.ui.http.events import _until


async def test_a_stream_ends_whose_driver_swallows_the_cancellation() -> None:
    """PyMongo may turn a cancellation into another error, after which a poller would go on."""

    async def events() -> AsyncGenerator[tuple[str, Any], None]:
        yield "first", 1
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.sleep(600)
        yield "second", 2

    stopping = asyncio.Event()
    found = _until(events(), stopping)
    assert await anext(found) == ("first", 1)
    following = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0.01)
    stopping.set()
    done, _ = await asyncio.wait([following], timeout=30)
    assert done and isinstance(following.exception(), StopAsyncIteration)
