"""ASGI apps of users (sites), run in this process, with or without a socket between app and client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from awictl.server.asgi import App, Message, Scope

#: Maximum time for a site to start or to stop, in seconds.
LIMIT_SECONDS = 20.0


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    """Run the lifespan of a site as a server does; it has stopped when the block ends."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, inbox.get, outbox.put))

    async def step(name: str) -> None:
        inbox.put_nowait({"type": f"lifespan.{name}"})
        async with asyncio.timeout(LIMIT_SECONDS):
            assert (await outbox.get())["type"] == f"lifespan.{name}.complete"

    await step("startup")
    try:
        yield
    finally:
        await step("shutdown")
        await task


@asynccontextmanager
async def client_of(app: App, *, raises: bool = True, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a site and return a client without a socket. `raises`: re-raise exceptions of the site in the client."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://site", headers=headers) as client:
        yield client


class Served:
    """A site that uvicorn serves on a TCP port of 127.0.0.1."""

    def __init__(self, app: App, **options: Any) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", **options)  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())

    async def started(self) -> None:
        """Wait until the server listens."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not self._server.started:
                assert not self._task.done(), "the site does not start"
                await asyncio.sleep(0.005)

    @property
    def port(self) -> int:
        """The TCP port."""
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    def request_stop(self) -> None:
        """Begin a graceful stop, as SIGTERM does."""
        self._server.should_exit = True

    async def stop(self) -> None:
        """Stop the server and wait until it has stopped."""
        self.request_stop()
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._task

    @property
    def stopped(self) -> bool:
        """Whether the server has stopped."""
        return self._task.done()

    async def send(self, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection and send the head of a request: `head` is its first line and further headers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\nHost: site\r\n\r\n")
        return reader, writer


@asynccontextmanager
async def served(app: App, **options: Any) -> AsyncIterator[Served]:
    """Serve a site with uvicorn; it has stopped when the block ends."""
    site = Served(app, **options)
    try:
        await site.started()
        yield site
    finally:
        await site.stop()


def request_scope(path: str = "/", method: str = "GET", query: bytes = b"", **others: Any) -> Scope:
    """Return the ASGI scope of a request."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    return {**scope, **others}


class Exchange:
    """One request without a body, and the messages that the site has sent in response so far."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self._received = False

    async def receive(self) -> Message:
        """The `receive` of ASGI: the request, and after that nothing, since the client stays connected."""
        if not self._received:
            self._received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        """The `send` of ASGI."""
        self.sent.append(message)

    @property
    def types(self) -> list[str]:
        """Types of the messages."""
        return [message["type"] for message in self.sent]

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Headers of the response."""
        return dict(self.sent[0].get("headers", ()))

    @property
    def body(self) -> bytes:
        """The body of the response so far."""
        return b"".join(message.get("body", b"") for message in self.sent)


async def exchange(app: App, scope: Scope) -> Exchange:
    """Send a request to a site by calling it as a server does."""
    made = Exchange()
    await app(scope, made.receive, made.send)
    return made
