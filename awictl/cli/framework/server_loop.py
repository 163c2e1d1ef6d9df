"""The event loop of the commands that serve HTTP."""

import asyncio
from collections.abc import Callable

from ...errors import InvalidInput


def server_loop(extra: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """A factory of uvloop's event loop. It raises InvalidInput if the packages of this extra are not installed."""

    def new_loop() -> asyncio.AbstractEventLoop:
        try:
            import uvloop
        except ImportError:
            raise InvalidInput(f"the packages of the server are not installed: pip install 'awictl[{extra}]'") from None
        return uvloop.new_event_loop()

    return new_loop
