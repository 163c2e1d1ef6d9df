"""Server-sent events: a response that goes on as long as its page is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ...errors import AwiError, Unreachable
from ...util.end_tasks import end_tasks
from ..inspector import MAX_STREAMS, inspector_of
from .responses import encoded, problem_of, problem_response

#: Seconds without an event after which a comment is sent, so that a connection that is lost is noticed.
HEARTBEAT_SECONDS = 15.0
#: The event that ends a stream with an error.
PROBLEM_EVENT = "problem"
_EVENTS = "text/event-stream"
_HEARTBEAT = b":\n\n"
#: Size of an event in bytes from which it matters how long it stays in memory.
_LARGE = 65_536


def event_stream(
    request: Request, events: AsyncGenerator[tuple[str, Any], None], *, redacted: bool = False
) -> Response:
    """A stream of events. `events`: their names and values; an AwiError that it raises is the last event, `problem`.

    A value of bytes is JSON of `encoded` or `encoded_redacted`; a large one should be made in a thread.
    `redacted`: what is to be redacted in the values has been replaced already. Responds with a problem if too many
    streams are open.
    """
    inspector = inspector_of(request)
    if request.method == "HEAD":
        return Response(media_type=_EVENTS)
    if inspector.streams >= MAX_STREAMS:
        return problem_response(request, Unreachable(f"{MAX_STREAMS} pages are open already; close some"))
    return StreamingResponse(_counted(request, events, redacted), media_type=_EVENTS)


async def _counted(
    request: Request, events: AsyncGenerator[tuple[str, Any], None], redacted: bool
) -> AsyncIterator[bytes]:
    inspector = inspector_of(request)
    inspector.streams += 1
    try:
        yield _HEARTBEAT  # with which the head is sent: the page knows that it is connected, also if a server hangs
        async with aclosing(events), aclosing(_until(events, inspector.stopping)) as found:
            async for one in found:
                if one is None:
                    yield _HEARTBEAT
                else:
                    name, value = one
                    data = value if isinstance(value, bytes) else encoded(request, value, redacted=redacted)
                    yield event(name, data)
                    if len(data) > _LARGE:
                        del one, value, data  # the next event may be far
                        yield _HEARTBEAT  # Starlette keeps what it sent last, too
    except AwiError as error:
        yield event(PROBLEM_EVENT, encoded(request, problem_of(error)))
    finally:
        inspector.streams -= 1


def event(name: str, data: bytes) -> bytes:
    """An event as it is sent. `data`: JSON, which has no line breaks."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


async def _until(
    events: AsyncGenerator[tuple[str, Any], None], stopping: asyncio.Event
) -> AsyncGenerator[tuple[str, Any] | None, None]:
    """The events until the server stops; None where there was none for a while."""
    stopped = asyncio.ensure_future(stopping.wait())
    following: asyncio.Future[tuple[str, Any]] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events))
            either: list[asyncio.Future[Any]] = [stopped, following]
            await asyncio.wait(either, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                try:
                    one = following.result()
                except StopAsyncIteration:
                    return
                following = None
                yield one
                del one
            elif stopped.done():
                return
            else:
                yield None
    finally:
        stopped.cancel()
        if following is not None:
            await end_tasks(following)
            await asyncio.gather(following, return_exceptions=True)
