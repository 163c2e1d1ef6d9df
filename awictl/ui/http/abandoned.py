"""End the work for a request whose client has gone: a page that was left, or reloaded, needs nothing any more."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


class EndAbandoned:
    """Middleware that cancels a request when its client disconnects. uvicorn would let it run to its end.

    Scans and large sessions wait for each other: without this, those of pages that were left would be read, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = asyncio.ensure_future(self._app(scope, receive, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((request, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not request.done():
                request.cancel()
            await asyncio.gather(request, gone, return_exceptions=True)
        if not request.cancelled():
            request.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
