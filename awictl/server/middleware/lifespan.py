"""The lifespan of a wrapped ASGI app, with a step of the middleware at its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..asgi import App, Message, Receive, Scope, Send


async def run_lifespan(
    app: App, scope: Scope, receive: Receive, send: Send, last: Callable[[], Awaitable[None]]
) -> None:
    """Run an app's lifespan; `last` is done once it has shut down, before the server is told."""

    async def sent(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            await last()
        await send(message)

    await app(scope, receive, sent)
