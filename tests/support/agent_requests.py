"""A small HTTP client for loads: one request after the other on a connection that is kept open."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, NamedTuple

#: Seconds until a request counts as never answered.
ANSWER_SECONDS = 60.0
SESSION = "/api/agent/session"


class Answer(NamedTuple):
    """The response to a request."""

    status: int
    #: Names in lower case.
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def degraded(self) -> bool:
        """Whether it is marked as degraded; both marks must agree."""
        marked = self.body.get("degraded", False)
        assert marked is (self.headers.get("x-awi-degraded") == "1"), self
        return bool(marked)


class NoAnswer(Exception):
    """The connection was refused or broken; `sent`: whether the server may have got the request."""

    def __init__(self, sent: bool) -> None:
        super().__init__(f"no answer; sent: {sent}")
        self.sent = sent


class Connection:
    """A connection of an agent to a server on a port of this machine; it connects when it is needed."""

    def __init__(self, port: int, secret: str) -> None:
        self.port = port
        self._secret = secret
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request for a path below that of the agent's session. Raises NoAnswer."""
        content = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {SESSION}/{path} HTTP/1.1\r\nHost: x\r\nX-Agent-API-Key: {self._secret}\r\n"
        sent = False
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self._streams
            writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            sent = True
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            await self.close()
            raise NoAnswer(sent) from None
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    content = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(first.split()[1]), headers, json.loads(content))
