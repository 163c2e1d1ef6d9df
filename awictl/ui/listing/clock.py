"""The clock of a list, which tests replace."""

from __future__ import annotations

import asyncio
import time


class ListClock:
    """Time that passes."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
