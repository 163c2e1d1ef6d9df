"""The ASGI lifespan of a wrapped app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..asgi import App, Message, Receive, Scope, Send


async def run_lifespan(
    app: App, scope: Scope, receive: Receive, send: Send, on_shutdown: Callable[[], Awaitable[None]]
) -> None:
    """Run the lifespan of an app; await `on_shutdown` after the app has shut down, before the server is notified."""

    async def sent(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await on_shutdown()
        await send(message)

    await app(scope, receive, sent)
