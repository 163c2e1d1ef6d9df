"""Cross-origin resource sharing (CORS, the Fetch standard): which web pages in browsers may call the API.

Starlette's CORSMiddleware is not used: it answers refusals with text instead of JSON, and says `Vary: Origin` only in
responses to the listed origins, so that a cache could keep the others for them.

Credentials are never allowed (`Access-Control-Allow-Credentials`): there are no cookies, and a page sets the header
with the API key itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .asgi import COMMON_HEADERS, DEGRADED, Message, Response, Scope, Send

#: Any origin, in the options.
ANY = "*"
#: Seconds for which a browser may keep the response to a preflight request.
MAX_AGE = 600

Headers = list[tuple[bytes, bytes]]

#: Request headers that a page may set, and response headers that it may read.
_PREFLIGHT: Headers = [
    (b"access-control-allow-headers", b"Authorization, Content-Type, X-Agent-API-Key"),
    (b"access-control-max-age", b"%d" % MAX_AGE),
]
_DISCOVERY = [name for name, _ in COMMON_HEADERS if name.startswith((b"x-agent", b"x-awi"))]
_LIMITS = [b"retry-after", b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset"]
_EXPOSED: Headers = [(b"access-control-expose-headers", b", ".join([*_LIMITS, *_DISCOVERY, DEGRADED[0]]))]
_VARY: Headers = [(b"vary", b"Origin")]


class Cors:
    """The headers for requests from web pages. `origins`: those of pages that may call the API, or `ANY`."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = ANY in origins
        self._origins = frozenset(one.encode() for one in origins)

    def headers(self, scope: Scope) -> Headers:
        """The headers of the response to a request."""
        return [*self._allowed(scope), *_EXPOSED, *([] if self._any else _VARY)]

    def preflight(self, scope: Scope, methods: Iterable[str]) -> Response | None:
        """The response to a preflight request for a path with these methods.

        None for any other request, and if the path does not exist or the origin is not allowed.
        """
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in dict(scope["headers"]):
            return None
        names, allowed = ", ".join(methods).encode(), self._allowed(scope)
        if not names or not allowed:
            return None
        headers = [*allowed, *_PREFLIGHT, (b"access-control-allow-methods", names), *([] if self._any else _VARY)]
        return Response(200, b"", headers, content_type=b"text/plain")

    def _allowed(self, scope: Scope) -> Headers:
        """The header that allows the origin of a request; none if it has none that is allowed."""
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if len(origins) != 1 or origins[0] not in self._origins:
            return []
        return [(b"access-control-allow-origin", origins[0])]


def with_headers(send: Send, headers: Headers) -> Send:
    """A `send` that adds headers to the response."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers
