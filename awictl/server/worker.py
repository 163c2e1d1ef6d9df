"""What the endpoints of one worker share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from ..document.json_codec import dumps
from ..sessions.manager import StateManager
from ..settings import Settings
from .metrics import Metrics
from .openapi import document
from .options import ServerOptions
from .state_response_cache import StateResponseCache

if TYPE_CHECKING:
    from ..agents.registry import AgentRegistry


class Worker:
    """The state manager, the keys of agents, and what is told of them."""

    def __init__(self, settings: Settings, options: ServerOptions) -> None:
        self.options = options
        self.metrics = Metrics()
        self.answers = StateResponseCache()
        self._settings = settings
        self._manager: StateManager | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Opens the manager, and closes it in the end."""
        async with StateManager.open(self._settings) as manager:
            self._manager = manager
            yield
        self._manager = None

    @property
    def manager(self) -> StateManager:
        """The state manager, while the server runs."""
        if self._manager is None:
            raise RuntimeError("the server has not been started")
        return self._manager

    @property
    def agents(self) -> AgentRegistry:
        """The keys of agents."""
        return self.manager.agents

    @cached_property
    def archives_to_mongodb(self) -> bool:
        """Whether ended sessions go to MongoDB."""
        url = self.manager.settings.archive
        return url is not None and not url.startswith("sqlite:")

    @cached_property
    def openapi(self) -> bytes:
        """What `/openapi.json` answers."""
        return dumps(document(self.options))
