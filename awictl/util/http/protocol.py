"""uvicorn's HTTP protocol on httptools, with protections against hostile clients that uvicorn has no settings for.

uvicorn 0.54 has these settings: `limit_concurrency` (number of connections and requests), `timeout_keep_alive` (only
after a response), `timeout_graceful_shutdown`, `backlog`, and `h11_max_incomplete_event_size`, which bounds a head in
its other protocol, h11. The server uses the second to the fourth. h11 is written in Python and takes 1.7 times the
processor time for `GET …/state`; it has none of the time limits, either.

What this class adds, each because no setting does:

1. Size of a head: httptools buffers a URL or a header of any length. At most MAX_HEAD_BYTES and MAX_HEADERS, else 431.
2. Size of framing: trailers, chunk extensions and empty lines are discarded, but without end, and tiny chunks cost more
   than they carry. At most twice MAX_HEAD_BYTES that are not body, else 431.
3. Duration of a head: uvicorn waits for ever for a head, and for the first byte of a connection. 408 after `timeout`.
4. Trailers: httptools reports them like headers, so that a trailer could add an API key that a proxy in front did not
   see. They are ignored.
5. `Upgrade`: httptools stops at the head of such a request, and uvicorn takes its body for the next request, which is
   request smuggling (RFC 9110, section 7.8: a server may ignore the header). The request is served as HTTP/1.1.
6. Clients that do not read: uvicorn waits for ever until it can write, also after a keep-alive timeout and at shutdown.
   The connection is aborted if the client reads nothing for `timeout`, or for STALLED_AT_END_SECONDS at shutdown.
7. Pipelines: uvicorn reads on after each response, so that the queue of requests grows by thousands with each. It reads
   on when the queue is empty.
8. Lost connections: uvicorn notifies the last request of a pipeline, not the one that is running, and goes on with the
   queue. The running request is notified, and the queue is cleared.
9. Errors: uvicorn answers malformed HTTP with text. All errors have the JSON shape of the API.
10. Number of connections: `limit_concurrency` refuses every client alike. There is a limit for each address, too, and
    an idle connection is closed for a new one (see `connections`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .connections import DRAINING, Admission, ConnectionLimits
from .joined_writes import JoinedWrites

log = logging.getLogger("awictl.server")

#: Maximum size of a request's head, in bytes: what most servers and proxies accept.
MAX_HEAD_BYTES = 32_768
#: Maximum number of headers of a request.
MAX_HEADERS = 200
#: Seconds after which a connection is aborted at shutdown if its client reads nothing.
STALLED_AT_END_SECONDS = 1.0

#: The headers that determine where a body ends.
_FRAMING = (b"content-length", b"transfer-encoding")

_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_LARGE = b'{"success":false,"error":"Too large","message":"The head of the request is too large."}'
_TOO_SLOW = b'{"success":false,"error":"Request timeout","message":"The head of the request did not arrive in time."}'
_BUSY = {
    Admission.TOO_MANY: (
        b"503 Service Unavailable",
        b'{"success":false,"error":"Service unavailable","message":"Too many connections are open. Try again."}',
    ),
    Admission.TOO_MANY_OF_ADDRESS: (
        b"429 Too Many Requests",
        b'{"success":false,"error":"Too many connections","message":"Too many connections from this address."}',
    ),
}
_NOT_HTTP = b'{"success":false,"error":"Invalid request","message":"The request is not valid HTTP."}'


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounded heads, framing, pipelines and waiting times (the module lists them).

    `timeout`: seconds in which the head of a request, and the first byte of a connection, must arrive, and in which a
    client must read some of the response that is waiting for it. `limits`: the connections of this worker.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, timeout: float = 10.0, **named: Any) -> None:
        super().__init__(*args, **named)
        self._limits = limits
        self._timeout = timeout
        #: Bytes of this message so far that are not body, and the bytes of its headers.
        self._overhead = 0
        self._header_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        #: Whether the parser is in the head, so that headers are not trailers.
        self._in_head = False
        #: Whether a new parser reads a head again, after `Upgrade`.
        self._repeating = False
        #: The request that is being answered; `cycle` is the last one that was received.
        self._running: RequestResponseCycle | None = None
        self._writes: JoinedWrites | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout for the first byte; refuse the connection if there are too many."""
        super().connection_made(transport)
        self.flow = _PipelineFlowControl(transport, self.pipeline)
        admission = self._limits.admit(self, self._host)
        if admission is Admission.ADMITTED:
            self._start_timer()
        else:
            self._refuse(*_BUSY[admission])

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the running request, and drop those in the queue."""
        self._limits.remove(self)
        self._stop_timer()
        self._stop_stall_timer()
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data; refuse the request if there is too much of it that is not body."""
        self._unset_keepalive_if_required()
        self._overhead += len(data)
        self._parse(data)
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer()  # empty lines between requests
        # also what the parser buffers or discards: an endless header, empty lines, tiny chunks
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
        """The head for a new parser, which goes on with the body of a request with `Upgrade`.

        The old parser would take the body for the next request.
        """
        framing = b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] in _FRAMING)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._repeating = True
        return b"POST / HTTP/1.1\r\n%b\r\n" % framing

    def on_message_begin(self) -> None:
        """Start the timeout of the head."""
        if self._repeating:
            return
        super().on_message_begin()
        self._overhead = self._header_bytes = 0
        self._in_head = True
        self._start_timer()

    def on_url(self, url: bytes) -> None:
        """Receive a part of the URL."""
        if not self._repeating:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Receive a header, or a trailer, which only counts."""
        if self._repeating:
            return
        if self._in_head:
            super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if self._header_bytes + len(self.url) > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(_HEAD_TOO_LARGE, _TOO_LARGE)
            raise ValueError("the head is too large")  # stops the parser

    def on_headers_complete(self) -> None:
        """Start or queue the request."""
        if self._repeating:
            self._repeating = False
            return
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Complete the body."""
        if not self.parser.should_upgrade():  # otherwise the body is still to come
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        self._writes = JoinedWrites(cycle)
        cycle.transport = self._writes  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        super().on_body(body)
        self._overhead = max(0, self._overhead - len(body))

    def on_response_complete(self) -> None:
        """Start the next request, or wait for it."""
        if self._writes is not None:
            self._writes.flush()  # there is no body, as in reply to HEAD
        self._limits.responded(self)
        super().on_response_complete()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered, or only the rest of its body is still awaited."""
        if self._running is not None and DRAINING in self._running.scope:
            return not self.pipeline
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def close_idle(self) -> None:
        """Close the connection, also if its client has not read the last response."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    @property
    def _host(self) -> str:
        return self.client[0] if self.client else ""

    def pause_writing(self) -> None:
        """Start to watch whether the client reads: the write buffer is full."""
        super().pause_writing()
        self._start_stall_timer(self._timeout)

    def resume_writing(self) -> None:
        """The client has read."""
        self._stop_stall_timer()
        super().resume_writing()

    def shutdown(self) -> None:
        """Close the connection after the running request; soon if its client does not read."""
        super().shutdown()
        if self.flow.write_paused:
            self._start_stall_timer(STALLED_AT_END_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        log.debug("closed a connection that was idle for %s s", self.timeout_keep_alive, extra={"address": self._host})
        self.close_idle()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with 400."""
        self._refuse(b"400 Bad Request", _NOT_HTTP)

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if self.flow.read_paused:
            self._start_timer()
        elif self._overhead:
            self._refuse(b"408 Request Timeout", _TOO_SLOW)
        elif not self.transport.is_closing():
            log.debug("closed a connection without a request", extra={"address": self._host})
            self.transport.close()

    def _refuse(self, status: bytes, body: bytes) -> None:
        """Close the connection, after an error response unless another response is being sent."""
        if self.transport.is_closing():
            return
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        running = self._running
        unanswered = (
            running is self.cycle and running is not None and running.more_body and not running.response_started
        )
        if running is None or running.response_complete or unanswered:
            self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _stalled(self, seconds: float, before: int) -> None:
        """Abort the connection if `before` bytes or more are still in the write buffer."""
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
            self._head_timer = self.loop.call_later(self._timeout, self._head_timed_out)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _PipelineFlowControl(FlowControl):
    """Does not resume reading while requests are queued. The body of the running request is complete then."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Resume reading if no request is queued."""
        if not self._pipeline:
            super().resume_reading()
