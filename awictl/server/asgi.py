"""ASGI requests and responses, without a framework: on the hot routes its objects would cost more than the handler."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
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

#: Seconds for which the rest of an unread body is received and discarded, so that its sender reads the response.
DRAIN_SECONDS = 2.0
#: What JavaScript's `parseInt` reads as a number that is not negative: hexadecimal or decimal digits. Digits beyond
#: `MAX_DIGITS` are more than any maximum.
_INTEGER = re.compile(r"\s*\+?(?:0[xX]([0-9a-fA-F]+)|([0-9]+))")
MAX_DIGITS = 16
#: Maximum length of a URL that is stored, in characters; longer ones are cut.
MAX_URL = 2_048

JSON = b"application/json"
#: Paths of the descriptions of this server.
OPENAPI = "/openapi.json"
CAPABILITIES = "/api/agent/capabilities"
LLM_TEXT = "/.well-known/llm-text"
#: Headers of every response. It is about one agent at one moment; the last three say where the server is described.
COMMON_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-agent-api", OPENAPI.encode()),
    (b"x-agent-capabilities", CAPABILITIES.encode()),
    (b"x-awi-discovery", LLM_TEXT.encode()),
]


#: Header of the response to a request for which MongoDB was used because Redis is unreachable.
DEGRADED = (b"x-awi-degraded", b"1")


@dataclass
class Response:
    """A response with its whole body."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = JSON

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send the response; `head_only`: without its body, for a HEAD request."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *COMMON_HEADERS,
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head_only else self.body})


def json_response(value: Any, status: int = 200) -> Response:
    """A response with `value` as JSON."""
    return Response(status, dumps(value))


def problem_response(problem: HTTPProblem) -> Response:
    """The response that describes an error."""
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return Response(problem.status, dumps(problem.body), headers)


def limit_headers(rate_limit: RateLimitStatus, now: float) -> list[tuple[bytes, bytes]]:
    """The headers about an agent's remaining requests. `now`: seconds since 1970."""
    if not rate_limit.limit:
        return []
    return [
        (b"x-ratelimit-limit", b"%d" % rate_limit.limit),
        (b"x-ratelimit-remaining", b"%d" % rate_limit.remaining),
        (b"x-ratelimit-reset", b"%d" % (now + rate_limit.reset_ms / 1000 + 1)),
    ]


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request headers by their lowercase names; the last value of a repeated header."""
    return dict(scope["headers"])


def url_of(scope: Scope) -> str:
    """The path and query string as they were sent, with API keys masked; at most MAX_URL characters."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string")
    url: bytes = path + b"?" + query if query else path
    return masked_url(url.decode("utf-8", "replace"))


def masked_url(url: str) -> str:
    """A URL with API keys masked, also percent-encoded ones (then it is decoded); at most MAX_URL characters."""
    url = mask_secrets(url)
    if "%" in url:
        plain = unquote(url)
        masked = mask_secrets(plain)
        url = masked if masked != plain else url
    return url[:MAX_URL]


@dataclass(frozen=True)
class QueryNumber:
    """An integer in the query string, read like the app reads it: `parseInt(text) || default`.

    The digits at the start count, so that `5abc` is 5; the default is used for 0 and for what does not start with
    digits. Unlike in the app, it is also used for negative numbers, and greater numbers than `maximum` count as that.
    """

    name: str
    description: str
    default: int
    maximum: int

    def of(self, scope: Scope) -> int:
        """Its value in a request."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        text = query.get(self.name, [""])[0]
        hexadecimal, decimal = match.groups() if (match := _INTEGER.match(text)) else (None, None)
        digits = (hexadecimal or decimal or "").lstrip("0")
        if not digits:
            return self.default
        if len(digits) > MAX_DIGITS:
            return self.maximum
        return min(int(digits, 16 if hexadecimal else 10), self.maximum)


class Body:
    """The body of a request, which is received at most once.

    `limit`: maximum size in bytes; `seconds`: time in which it must arrive.
    """

    def __init__(self, headers: dict[bytes, bytes], receive: Receive, limit: int, seconds: float) -> None:
        self._headers = headers
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        #: Whether it was read, or its rest is not waited for.
        self._done = False
        self._content: bytes | None = None

    async def read(self) -> bytes:
        """The whole body. Raises HTTPProblem: 413 if it is too large, 408 if it does not arrive in time."""
        if self._content is not None:
            return self._content
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._limit:
            raise too_large("The request body", self._limit)
        try:
            async with asyncio.timeout(self._seconds):
                self._content = await self._read()
                return self._content
        except TimeoutError:
            self._done = True
            raise HTTPProblem(
                408, "Request timeout", "The request body did not arrive in time.", headers={"connection": "close"}
            ) from None

    async def _read(self) -> bytes:
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._done = True
                raise HTTPProblem(400, "Invalid request", "The request body ended early.")
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise too_large("The request body", self._limit)
            if not message.get("more_body"):
                self._done = True
                return bytes(body)

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises HTTPProblem; InvalidInput if it is not one."""
        value = parse_input(await self.read())
        if not isinstance(value, dict):
            raise InvalidInput("the request body must be a JSON object")
        return value

    async def left_unread(self) -> bool:
        """Whether the request has a body that was not read, so that its connection must be closed.

        Receives and discards some of it: many clients read the response only after they have sent the body.
        """
        headers = self._headers
        if self._done or (headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers):
            return False
        if b"expect" not in headers:  # otherwise the client has not sent it yet
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    while (await self._receive()).get("more_body"):
                        pass
        return True
