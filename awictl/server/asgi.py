"""One request and its reply, on bare ASGI: on the hot routes a framework's objects cost more than all else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from ..agents.secret import mask_secrets
from ..document.json_codec import dumps, parse_input
from ..errors import InvalidInput
from ..sessions.get_or_create import RateLimitStatus
from .problems import HTTPProblem, too_large

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Seconds for which the rest of a body that is too large is taken, so that its sender gets to read why.
DRAIN_SECONDS = 2.0

#: Longest URL that is kept, in characters.
MAX_URL = 2_048

JSON = b"application/json"
#: What every reply says: it is about one agent, now.
COMMON_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


@dataclass
class Response:
    """What a request is answered with."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = JSON

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send it; `head_only`: as the answer to HEAD."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *COMMON_HEADERS,
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head_only else self.body})


def json_response(value: Any, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> Response:
    """A reply of JSON."""
    return Response(status, dumps(value), list(headers))


def problem_response(problem: HTTPProblem) -> Response:
    """The reply to a request that cannot be answered as asked."""
    return json_response(
        problem.body, problem.status, [(name.encode(), text.encode()) for name, text in problem.headers.items()]
    )


def limit_headers(rate_limit: RateLimitStatus, now: float) -> list[tuple[bytes, bytes]]:
    """The headers that tell an agent how many requests it has left; `now`: seconds since 1970."""
    if not rate_limit.limit:
        return []
    return [
        (b"x-ratelimit-limit", b"%d" % rate_limit.limit),
        (b"x-ratelimit-remaining", b"%d" % rate_limit.remaining),
        (b"x-ratelimit-reset", b"%d" % (now + rate_limit.reset_ms / 1000 + 1)),
    ]


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The headers by their names in lower case; of several with one name, the last."""
    return dict(scope["headers"])


def url_of(scope: Scope) -> str:
    """The path and the query as the agent gave them, but for API keys; cut where they are very long."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string")
    url: bytes = path + b"?" + query if query else path
    return masked_url(url.decode("utf-8", "replace"))


def masked_url(url: str) -> str:
    """A URL without API keys; decoded where a key in it is escaped. Cut where it is very long."""
    url = mask_secrets(url)
    if "%" in url:
        plain = unquote(url)
        masked = mask_secrets(plain)
        url = masked if masked != plain else url
    return url[:MAX_URL]


def number_of(scope: Scope, name: str, default: int, most: int) -> int:
    """A number from the query. Raises InvalidInput where it is none, or not from 0 to `most`."""
    values = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(name)
    if values is None:
        return default
    text = values[0]
    if len(values) > 1 or not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > most:
        raise InvalidInput(f"{name} is a whole number from 0 to {most:,}")
    return int(text)


class Body:
    """The body of a request, read at most once."""

    def __init__(self, headers: dict[bytes, bytes], receive: Receive, limit: int, seconds: float) -> None:
        self._headers = headers
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._done = False

    async def read(self) -> bytes:
        """All of it. Raises HTTPProblem: 413 where it is too large, 408 where it does not arrive in time."""
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._limit:
            raise too_large("the body", self._limit)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read()
        except TimeoutError:
            self._done = True  # nobody waits for the rest
            raise HTTPProblem(
                408, "Request timeout", "The body did not arrive in time.", headers={"connection": "close"}
            ) from None

    async def _read(self) -> bytes:
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._done = True
                raise HTTPProblem(400, "Invalid request", "The body ended early.")
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise too_large("the body", self._limit)
            if not message.get("more_body"):
                self._done = True
                return bytes(body)

    async def json(self) -> dict[str, Any]:
        """The JSON object in it. Raises HTTPProblem, InvalidInput."""
        value = parse_input(await self.read())
        if not isinstance(value, dict):
            raise InvalidInput("the body is a JSON object")
        return value

    async def left_behind(self) -> bool:
        """Whether there is a body that was not read. Some of it is taken then: its sender may read only when done."""
        headers = self._headers
        if self._done or (headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers):
            return False
        if b"expect" not in headers:  # else it has not been sent yet
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    while (await self._receive()).get("more_body"):
                        pass
        return True
