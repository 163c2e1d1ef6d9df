"""uvicorn's HTTP protocol, with what it lacks against clients that mean harm: limits on a request's head.

Its parser in C bounds neither how large a head may be nor how long it may take to arrive, so that a flood of headers
fills the memory and a client that sends a byte now and then keeps its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Largest head of a request, in bytes: as much as most servers and proxies take.
MAX_HEAD_BYTES = 32_768
#: Most headers of a request.
MAX_HEADERS = 200
#: Seconds in which the head of a request, and the first byte of a connection, must arrive.
HEAD_SECONDS = 10.0

_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_LARGE = b'{"success":false,"error":"Too large","message":"The head of the request is too large."}'
_TOO_SLOW = b'{"success":false,"error":"Request timeout","message":"The head of the request did not arrive in time."}'
_NOT_HTTP = b'{"success":false,"error":"Invalid request","message":"This is no valid HTTP."}'


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with heads, trailers and framing of bounded size, and heads of bounded duration."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        #: Bytes of this message so far that are no body, and those of its headers.
        self._overhead = 0
        self._header_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        # what the parser holds back shows up here: a header without end, a flood of empty lines or of tiny chunks
        if self._overhead > 2 * MAX_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE, _TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._overhead = self._header_bytes = 0
        self._start_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called for a trailer too."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if self._header_bytes + len(self.url) > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(_HEAD_TOO_LARGE, _TOO_LARGE)
            raise ValueError("the head is too large")  # which stops the parser

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._overhead = max(0, self._overhead - len(body))

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP, in the shape of all other errors."""
        self._refuse(b"400 Bad Request", _NOT_HTTP)

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._overhead:
            self._refuse(b"408 Request Timeout", _TOO_SLOW)
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: bytes, body: bytes) -> None:
        if self.transport.is_closing():
            return
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        if self.cycle is None or self.cycle.response_complete:  # else another response is on its way
            self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
