"""One connection to one server. Requests of concurrent tasks share it: they leave together, and replies come in order.

All requests of one tick of the event loop leave in one write, and are answered in that order, so each waiter gets the
replies to its own request. The reply to a waiter that was cancelled is discarded when it arrives. If the connection
breaks, every waiter learns whether its request was sent; see `Lost`.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import hiredis

from .address import Access, Address, Losses, opening_failed, reason_of
from .replies import PARTIAL, ErrorReply, Lost, NotAReply, ReplyReader

Command = Sequence[bytes | str | int]

#: Maximum number of commands that are sent but not answered yet (DESIGN, promise 9); further ones wait.
MAX_IN_FLIGHT = 1_000
#: Number of lines of a stream that are kept for its reader; then the server has to wait.
_MAX_STREAMED = 1_000
#: Seconds without a request after which a connection is checked before it is used: the server may have closed it.
_IDLE_SECONDS = 1.0


class _Request:
    __slots__ = ("count", "future", "packed", "replies", "sent_at")

    def __init__(self, future: asyncio.Future[list[Any]], packed: bytes, count: int) -> None:
        self.future = future
        self.packed = packed
        #: Number of its commands, and the replies so far.
        self.count = count
        self.replies: list[Any] = []
        self.sent_at = 0.0


class Connection(asyncio.Protocol):
    """An open connection. Every method must be called in the event loop in which it was opened."""

    def __init__(self, where: str, timeout: float, max_bytes: int, losses: Losses | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.where = where
        self._timeout = timeout
        self._losses = losses
        self._reader = ReplyReader(max_bytes)
        self._transport: asyncio.Transport | None = None
        #: Requests that wait to be sent, and those that were sent, in this order.
        self._unsent: deque[_Request] = deque()
        self._pending: deque[_Request] = deque()
        #: Number of commands in `_pending`.
        self._in_flight = 0
        self._flushing = False
        self._writable = True
        #: When the server stopped to read what is sent.
        self._paused_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: When the last bytes arrived, and the last complete reply.
        self._received_at = self._replied_at = self._loop.time()
        #: The lines of a stream, once it has begun, and the reader that waits for the next one.
        self._streamed: deque[Any] | None = None
        self._stream_waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        #: Whether it can still be used.
        self.is_open = True
        #: Whether any reply has arrived.
        self.answered = False

    @classmethod
    async def open(cls, address: Address, access: Access) -> Connection:
        """Open a connection, and greet the server.

        Raises Lost, or an ErrorReply with which the server rejected the greeting; no request was sent then.
        """
        where = access.url(address)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(access.timeout):
                connection = await access.connect(
                    address, lambda: cls(where, access.timeout, access.max_bytes, access.losses)
                )
                if access.greeting:
                    replies = await connection.send(access.greeting)
                    for reply in replies:
                        if isinstance(reply, ErrorReply):
                            raise reply
                    access.check(replies[len(replies) - len(access.probe) :])
        except BaseException as error:
            if connection is not None:
                connection.abort()
            if isinstance(error, Lost):
                lost = Lost(where, error.reason, sent=False, timed_out=error.timed_out, opening=True)
                raise lost from error.__cause__
            if isinstance(error, Exception):
                failed = opening_failed(where, error)
                raise failed from failed.__cause__
            raise
        return connection

    @property
    def is_idle(self) -> bool:
        """Whether no request waits for its replies, or to be sent: a server may reply before it has read a request."""
        buffered = self._transport is not None and self._transport.get_write_buffer_size()
        return not self._pending and not self._unsent and not buffered

    def send(self, commands: Sequence[Command], packed: bytes | None = None) -> asyncio.Future[list[Any]]:
        """Send commands together. The future gets their replies, error replies among them; or Lost.

        `packed`: the commands as they are sent, if the caller has that already.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if not commands:
            future.set_result([])
            return future
        if packed is None:
            packed = pack(commands)
        if not self.is_open:
            future.set_exception(self._lost(sent=False))
            return future
        self._unsent.append(_Request(future, packed, len(commands)))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    def is_usable(self) -> bool:
        """Whether a request may be sent. Closes the connection if the server has closed it, as far as is known."""
        if (
            self.is_open
            and not self._pending
            and self._transport is not None
            and self._loop.time() - self._received_at > _IDLE_SECONDS
        ):
            poll = select.poll()
            poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
            if poll.poll(0):  # no reply is due
                self.connection_lost(None)
        return self.is_open

    def _flush(self) -> None:
        self._flushing = False
        now = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._timeout, self._check_time)
        if not self._writable or self._transport is None:
            return
        unsent, pending = self._unsent, self._pending
        parts = []
        while unsent and (self._in_flight < MAX_IN_FLIGHT):
            request = unsent.popleft()
            if request.future.done():
                continue  # cancelled, and never sent
            request.sent_at = now
            pending.append(request)
            self._in_flight += request.count
            parts.append(request.packed)
            request.packed = b""
        if not parts:
            return
        self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def _check_time(self) -> None:
        self._timer = None
        if not self._pending and not self._unsent:
            return
        since = self._pending[0].sent_at if self._pending else self._paused_at
        due = max(since, self._replied_at) + self._timeout
        if self._loop.time() >= due:
            self._close(TimeoutError())
        else:
            self._timer = self._loop.call_at(due, self._check_time)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self._transport = cast(asyncio.Transport, transport)
        if self._unsent:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Give the replies to their waiters."""
        try:
            self._take(data)
        except NotAReply as error:
            self._close(error)
        except TypeError as error:  # hiredis makes a dict of a map, whose keys may be arrays
            self._close(NotAReply(f"its reply cannot be parsed: {error}"))

    def _take(self, data: bytes) -> None:
        reader, pending = self._reader, self._pending
        reader.feed(data)
        gets = reader.gets
        complete = False
        while (reply := gets()) is not PARTIAL:
            complete = True
            if type(reply) is hiredis.PushNotification:
                raise NotAReply(f"it sent the message {reply!r:.80}, to which nothing subscribed")
            if not pending:
                self._take_unrequested(reply)
                continue
            request = pending[0]
            request.replies.append(reply)
            if len(request.replies) == request.count:
                pending.popleft()
                self._in_flight -= request.count
                if not request.future.done():
                    request.future.set_result(request.replies)
                reader.expect_replies()
        reader.rest()
        self._received_at = self._loop.time()
        if complete:
            self.answered = True
            self._replied_at = self._received_at
            if self._unsent and not self._flushing:
                self._flush()

    def _take_unrequested(self, reply: Any) -> None:
        if self._streamed is None:
            raise NotAReply(f"it sent {reply!r:.80} without a request")
        self._streamed.append(reply)
        self._reader.expect_replies(long_line=True)
        if self._stream_waiter is not None and not self._stream_waiter.done():
            self._stream_waiter.set_result(None)
        if len(self._streamed) >= _MAX_STREAMED and self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The server does not read: what was not sent waits."""
        self._writable = False
        self._paused_at = self._loop.time()

    def resume_writing(self) -> None:
        """The server reads again."""
        self._writable = True
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, by either side."""
        if self.is_open and self._losses is not None:
            self._losses.count += 1
        self._close(error)

    # -- streams and closing

    async def stream(self, command: Command, seconds: float) -> AsyncGenerator[Any, None]:
        """The endless replies to a command such as MONITOR, for a number of seconds. Nothing else may be sent then.

        Raises Lost, and the ErrorReply to the command.
        """
        self._streamed = deque()
        [reply] = await self.send([command])
        if isinstance(reply, ErrorReply):
            raise reply
        self._reader.expect_replies(long_line=True)
        streamed = self._streamed
        deadline = self._loop.time() + seconds
        while True:
            while streamed:
                yield streamed.popleft()
                if self._loop.time() >= deadline:
                    return
            if not self.is_open:
                raise self._lost(sent=True)
            if self._transport is not None and not self._transport.is_reading():
                self._transport.resume_reading()
            self._stream_waiter = self._loop.create_future()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._stream_waiter
            except TimeoutError:
                return

    def abort(self) -> None:
        """Close the connection at once. Requests that wait get Lost."""
        self._close(None)

    def _close(self, error: Exception | None) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._error = error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        if self._stream_waiter is not None and not self._stream_waiter.done():
            self._stream_waiter.set_result(None)
        for requests, sent in ((self._pending, True), (self._unsent, False)):
            for request in requests:
                if not request.future.done():
                    request.future.set_exception(self._lost(sent=sent))
            requests.clear()
        self._in_flight = 0

    def _lost(self, *, sent: bool) -> Lost:
        error = self._error
        if sent and not self.answered and isinstance(error, OSError):
            sent = not _ended_handshake(error)
        lost = Lost(self.where, reason_of(error), sent=sent, timed_out=isinstance(error, TimeoutError))
        lost.__cause__ = error
        return lost


def _ended_handshake(error: OSError) -> bool:
    """Whether a server with TLS rejected the client's certificate; see `tls.is_rejection`."""
    from .tls import is_rejection

    return is_rejection(error)


def pack(commands: Sequence[Command]) -> bytes:
    """The commands as they are sent. Raises hiredis.HiredisError for an argument of another type."""
    packed: bytes
    if len(commands) == 1:
        packed = hiredis.pack_command(tuple(commands[0]))  # type: ignore[arg-type]
        return packed
    return b"".join(hiredis.pack_command(tuple(one)) for one in commands)  # type: ignore[arg-type]
