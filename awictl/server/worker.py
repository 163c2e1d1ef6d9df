"""What the endpoints of one worker process share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..sessions.manager import StateManager
from ..settings import Settings
from ..store.breaker import BreakerState
from ..util.keyed_slots import KeyedSlots
from .addresses import UnknownKeyLimit
from .health import HealthCheck
from .metrics import Metrics
from .options import CONCURRENT_REQUESTS, ServerOptions
from .request_limit import RequestLimit
from .state_response_cache import StateResponseCache

if TYPE_CHECKING:
    from ..agents.registry import AgentRegistry


class Descriptions(NamedTuple):
    """The descriptions of the server, as they are sent."""

    openapi: bytes
    capabilities: bytes
    llm_text: bytes


class Worker:
    """The state manager, the metrics and the response cache of one worker process."""

    def __init__(self, settings: Settings, options: ServerOptions, describe: Callable[[], Descriptions]) -> None:
        self.options = options
        self._describe = describe
        self.metrics = Metrics()
        self.state_responses = StateResponseCache()
        self.unknown_keys = UnknownKeyLimit(options.unknown_keys)
        self.agent_requests = RequestLimit(options.agent_requests)
        self.agent_slots = KeyedSlots(CONCURRENT_REQUESTS)
        self.health = HealthCheck()
        self._settings = settings
        self._manager: StateManager | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the state manager open in a block."""
        async with StateManager.open(self._settings) as manager:
            self._manager = manager
            self._report_breaker(manager)
            async with manager.journal_watched():
                yield
        self._manager = None

    def _report_breaker(self, manager: StateManager) -> None:
        """Keep the metric of the breaker's state up to date."""
        breaker = manager.breaker
        if breaker is not None:
            breaker.on_change = lambda: self.metrics.breaker_state.set(list(BreakerState).index(breaker.state))

    @property
    def manager(self) -> StateManager:
        """The state manager. Raises RuntimeError outside of `opened`."""
        if self._manager is None:
            raise RuntimeError("the server has not been started")
        return self._manager

    @property
    def agents(self) -> AgentRegistry:
        """The agents and their API keys."""
        return self.manager.agents

    @cached_property
    def descriptions(self) -> Descriptions:
        """The descriptions of the server. Generated at first use, since that takes tens of milliseconds."""
        return self._describe()

    @cached_property
    def archives_to_mongodb(self) -> bool:
        """Whether ended sessions are archived in MongoDB."""
        url = self.manager.settings.archive
        return url is not None and not url.startswith("sqlite:")
