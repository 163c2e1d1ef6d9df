"""The health check: whether Redis and the archive respond. At most one check per second, whoever asks how often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from ..errors import AwiError, Unreachable
from ..sessions.manager import StateManager
from .response_types import Status

log = logging.getLogger("awictl.server")

#: Seconds after which a health check reports a backend as disconnected.
HEALTH_SECONDS = 2.0
#: Seconds for which the result of a check is reported.
REPEAT_SECONDS = 1.0


class HealthCheck:
    """Checks the backends of one worker. Requests at the same time share one check."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._checking = asyncio.Lock()
        self._result: tuple[Status, Status] | None = None
        self._valid_until = 0.0

    async def statuses(self, manager: StateManager) -> tuple[Status, Status]:
        """The statuses of Redis and of the archive."""
        async with self._checking:
            if self._result is None or self._clock() >= self._valid_until:
                archive = manager.archive
                self._result = await asyncio.gather(
                    _status(manager.store.ping()), _status(archive.ping() if archive is not None else None)
                )
                self._valid_until = self._clock() + REPEAT_SECONDS
            return self._result


async def _status(ping: Awaitable[object] | None) -> Status:
    if ping is None:
        return "disabled"
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await ping
    except (Unreachable, TimeoutError):
        return "disconnected"
    except AwiError as error:
        log.warning("health check failed: %s", error)
        return "error"
    return "connected"
