"""uvicorn's HTTP protocol, with what it lacks against clients that mean harm: limits on a request's head.

Its parser in C bounds neither how large a head may be nor how long it may take to arrive, so that a flood of headers
fills the memory and a client that sends a byte now and then keeps its connection for ever. After a request for another
protocol (`Upgrade`) it takes the body for the next request.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

#: Largest head of a request, in bytes: as much as most servers and proxies take.
MAX_HEAD_BYTES = 32_768
#: Most headers of a request.
MAX_HEADERS = 200
#: Seconds in which a client must take something of the response that waits for it, once the server stops.
STALLED_AT_END_SECONDS = 2.0

#: The headers that tell where a body ends.
_FRAMING = (b"content-length", b"transfer-encoding")

_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_LARGE = b'{"success":false,"error":"Too large","message":"The head of the request is too large."}'
_TOO_SLOW = b'{"success":false,"error":"Request timeout","message":"The head of the request did not arrive in time."}'
_NOT_HTTP = b'{"success":false,"error":"Invalid request","message":"This is no valid HTTP."}'


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with heads, trailers and framing of bounded size, and heads of bounded duration.

    `patience`: seconds in which the head of a request, and the first byte of a connection, must arrive, and in which a
    client must take something of the response that waits for it.
    """

    def __init__(self, *args: Any, patience: float = 10.0, **named: Any) -> None:
        super().__init__(*args, **named)
        self._patience = patience
        #: Bytes of this message so far that are no body, and those of its headers.
        self._overhead = 0
        self._header_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        #: Whether headers are those of the head, rather than trailers.
        self._in_head = False
        #: Whether the parser reads a head again that is known already.
        self._repeating = False
        #: The request that is being answered; `cycle` is the last one that has come.
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stall_timer()
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._overhead += len(data)
        self._parse(data)
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer()  # empty lines between requests
        # what the parser holds back shows up here: a header without end, a flood of empty lines or of tiny chunks
        if self._overhead > 2 * MAX_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE, _TOO_LARGE)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._known_head() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.send_400_response("")
                return
            else:
                return

    def _known_head(self) -> bytes:
        """What a new parser reads to go on after the head of a request for another protocol, which is served as any.

        What follows is its body, if it has one. The old parser would take it for the next request, which is how
        requests are smuggled past a proxy.
        """
        framing = b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] in _FRAMING)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._repeating = True
        return b"POST / HTTP/1.1\r\n%b\r\n" % framing

    def on_message_begin(self) -> None:
        if self._repeating:
            return
        super().on_message_begin()
        self._overhead = self._header_bytes = 0
        self._in_head = True
        self._start_timer()

    def on_url(self, url: bytes) -> None:
        if not self._repeating:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called for a trailer too, which is nothing that a request is judged by."""
        if self._repeating:
            return
        if self._in_head:
            super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if self._header_bytes + len(self.url) > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(_HEAD_TOO_LARGE, _TOO_LARGE)
            raise ValueError("the head is too large")  # which stops the parser

    def on_headers_complete(self) -> None:
        if self._repeating:
            self._repeating = False
            return
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():  # else the body is still to come
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._overhead = max(0, self._overhead - len(body))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_stall_timer(self._patience)

    def resume_writing(self) -> None:
        self._stop_stall_timer()
        super().resume_writing()

    def shutdown(self) -> None:
        super().shutdown()
        if self.flow.write_paused:
            self._start_stall_timer(STALLED_AT_END_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # to close it would wait for a client that does not read
        super().timeout_keep_alive_handler()

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
        running = self._running
        unheard = running is self.cycle and running is not None and running.more_body and not running.response_started
        if running is None or running.response_complete or unheard:  # else another response is on its way
            self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _stalled(self, seconds: float, before: int) -> None:
        """Gives up a client that has taken nothing since `before` bytes were waiting for it."""
        if self.transport.get_write_buffer_size() < before:
            self._start_stall_timer(seconds)
        else:
            self.transport.abort()

    def _start_stall_timer(self, seconds: float) -> None:
        self._stop_stall_timer()
        waiting = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(seconds, self._stalled, seconds, waiting)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._patience, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
