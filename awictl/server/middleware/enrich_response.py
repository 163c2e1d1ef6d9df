"""Adds an agent's session to the responses of a site."""

from __future__ import annotations

from http import HTTPStatus

from ...document.json_codec import dumps, loads
from ...errors import InvalidData
from .. import response_bodies
from ..asgi import Message, Receive, Scope, Send
from .agent_request import AgentRequest, WithSession

#: Member of the JSON object that is added.
STATE_MEMBER = "_sessionState"
#: Maximum size of a response that is enriched, in bytes; larger ones are passed on unchanged.
MAX_ENRICHED = 4_194_304


class EnrichResponse(WithSession):
    """Adds `_sessionState` to responses that are JSON objects: the current page and the available actions.

    The member is added at the end; the other bytes stay the same. Enriched responses are sent with `Cache-Control:
    no-store`. All other responses are passed on unchanged: other content types, JSON arrays, compressed and partial
    content, and bodies larger than MAX_ENRICHED.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.found(scope)
        if found is None:
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Enriching(found, send, scope["method"] == "HEAD").send)


class _Enriching:
    """One response. If it is JSON, it is buffered until it is complete."""

    def __init__(self, found: AgentRequest, send: Send, bodiless: bool) -> None:
        self._found = found
        self._send = send
        self._bodiless = bodiless
        #: The `http.response.start` message of a buffered response.
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Takes the place of the server's `send`."""
        if message["type"] == "http.response.start" and _may_be_enriched(message):
            if not self._bodiless:
                self._start = message
                return
            # HEAD: the length and the tag are those of the body without the added member
            message = _with_headers(message, _OUTDATED)
        if self._start is None:
            await self._send(message)
        elif message["type"] != "http.response.body":
            await self._pass_on(message)  # for example http.response.pathsend
        else:
            self._body += message.get("body", b"")
            more = bool(message.get("more_body"))
            if len(self._body) > MAX_ENRICHED:
                await self._pass_on({"type": "http.response.body", "body": bytes(self._body), "more_body": more})
            elif not more:
                await self._finish(self._start)

    async def _pass_on(self, message: Message) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)
        await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = self._enriched()
        if body is not None:
            length = (b"content-length", b"%d" % len(body))
            self._start = _with_headers(start, _OUTDATED | _CACHING, length, (b"cache-control", b"no-store"))
        await self._pass_on({"type": "http.response.body", "body": bytes(self._body) if body is None else body})

    def _enriched(self) -> bytes | None:
        """The body with `_sessionState`; None if it is not a JSON object, or has this member already."""
        body = bytes(self._body).strip(b" \t\r\n")
        if not body.startswith(b"{"):
            return None
        try:
            value = loads(body)
        except InvalidData:
            return None
        if STATE_MEMBER in value:
            return None
        inside = body[1:-1].strip(b" \t\r\n")
        described = response_bodies.session_state(self._found.session_id, self._found.head)
        state = dumps({**described, "degraded": True} if self._found.degraded else described)
        return b"".join((b"{", inside, b"," if inside else b"", b'"%s":' % STATE_MEMBER.encode(), state, b"}"))


#: Headers that describe the body, which are wrong once it was changed.
_OUTDATED = frozenset({b"content-length", b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest"})
#: Headers that allow caching; a response with the state of an agent must not be cached.
_CACHING = frozenset({b"cache-control", b"expires", b"last-modified"})


def _with_headers(start: Message, without: frozenset[bytes], *more: tuple[bytes, bytes]) -> Message:
    kept = [(name, value) for name, value in start.get("headers", ()) if name.lower() not in without]
    return {**start, "headers": [*kept, *more]}


def _may_be_enriched(start: Message) -> bool:
    """Whether the response is JSON, complete and not compressed."""
    headers = {name.lower(): value.lower() for name, value in start.get("headers", ())}
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip()
    return (
        (kind == b"application/json" or kind.endswith(b"+json"))
        and b"content-encoding" not in headers
        and start["status"] not in _BODILESS_OR_PARTIAL
    )


_BODILESS_OR_PARTIAL = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED})
