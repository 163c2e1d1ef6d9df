"""Requests to the API of the inspector, without a socket and without its access control."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx

from awictl import Settings
from awictl.ui.app import create_app
from awictl.ui.inspector import Inspector
from awictl.ui.options import InspectorOptions

from .cli import LIMIT_SECONDS


@asynccontextmanager
async def inspected(settings: Settings, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an inspector that is open while the block runs."""
    inspector = Inspector(settings, InspectorOptions(**options))
    transport = httpx.ASGITransport(create_app(inspector))
    async with inspector.opened(), httpx.AsyncClient(transport=transport, base_url="http://ui") as client:
        yield client


class EventStream:
    """The server-sent events of a response, as they come."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._data = b""
        #: Status of the response; 0 before it begins.
        self.status = 0

    async def send(self, message: dict[str, Any]) -> None:
        """Receive a part of the response, as ASGI sends it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        *events, self._data = (self._data + message.get("body", b"")).split(b"\n\n")
        for one in events:
            if not one.startswith(b":"):
                name, data = one.split(b"\n")
                value = json.loads(data.removeprefix(b"data: "))
                self._events.put_nowait((name.removeprefix(b"event: ").decode(), value))

    async def next(self) -> tuple[str, Any]:
        """The name and the value of the next event."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._events.get()

    async def until(self, condition: Callable[[Any], Any], name: str | None = None) -> Any:
        """The value of the first event that fulfils a condition. `name`: what such an event is called."""
        seen: list[Any] = []
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while True:
                    found, value = await self._events.get()
                    seen.append((found, value))
                    if name in (None, found) and condition(value):
                        return value
        except TimeoutError:
            raise AssertionError(f"no event fulfils the condition: {seen[-3:]}") from None


@asynccontextmanager
async def streamed(client: httpx.AsyncClient, path: str, **params: Any) -> AsyncIterator[EventStream]:
    """The events at a path, until the block ends. (httpx's transport would wait for the end of the response.)"""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    stream, left = EventStream(), asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": urlencode(params).encode(),
        "headers": [(b"host", b"ui")],
        "client": ("127.0.0.1", 1),
        "server": ("ui", 80),
    }

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(transport.app(scope, receive, stream.send))  # type: ignore[arg-type]
    try:
        yield stream
    finally:
        left.set()
        await task
