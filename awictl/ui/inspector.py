"""What the handlers of the inspector share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from starlette.requests import Request

from ..sessions.manager import StateManager
from ..settings import Settings
from .options import InspectorOptions

#: Maximum number of streams of events at the same time.
MAX_STREAMS = 256

Shared = TypeVar("Shared")


class Inspector:
    """The state manager, which refuses every write, and what the pages have in common."""

    def __init__(self, settings: Settings, options: InspectorOptions) -> None:
        self.settings = replace(settings, read_only=True)
        self.options = options
        #: Set when the server is about to stop: streams end then.
        self.stopping = asyncio.Event()
        #: Number of streams of events that are open.
        self.streams = 0
        #: Closed before the state manager is, for what runs in the background.
        self.background = AsyncExitStack()
        self._manager: StateManager | None = None
        self._shared: dict[Callable[[Inspector], Any], Any] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the state manager open in a block."""
        async with StateManager.open(self.settings) as manager:
            self._manager = manager
            try:
                yield
            finally:
                self.stopping.set()
                await self.background.aclose()
        self._manager = None

    def shared(self, make: Callable[[Inspector], Shared]) -> Shared:
        """What `make` returned when it was called the first time: for what all pages share."""
        if make not in self._shared:
            self._shared[make] = make(self)
        shared: Shared = self._shared[make]
        return shared

    @property
    def manager(self) -> StateManager:
        """The state manager. Raises RuntimeError outside of `opened`."""
        if self._manager is None:
            raise RuntimeError("the inspector has not been started")
        return self._manager


def inspector_of(request: Request) -> Inspector:
    """The inspector that a request is for."""
    inspector: Inspector = request.app.state.inspector
    return inspector


def manager_of(request: Request) -> StateManager:
    """The state manager of the inspector that a request is for."""
    return inspector_of(request).manager
