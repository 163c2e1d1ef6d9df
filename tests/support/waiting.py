"""Bounds on how long something waits that do not depend on the speed of the machine."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
#: Seconds between two looks at what is awaited.
_TICK = 0.02
#: Seconds after which something that is waited for will not happen any more.
LIMIT_SECONDS = 60.0


async def within(seconds: float, awaited: Awaitable[_T]) -> _T:
    """Await something of this event loop that must not wait for longer than `seconds`; otherwise fail.

    The time is counted in short sleeps of the same loop. A time in which a busy machine ran nothing counts as one of
    them, and so does a time in which the loop was at work: what is bounded is waiting, as for a timeout.
    """
    task = asyncio.ensure_future(awaited)
    for _ in range(int(seconds / _TICK) + 1):
        await asyncio.wait([task], timeout=_TICK)
        if task.done():
            return task.result()
    task.cancel()
    await asyncio.wait([task])
    raise AssertionError(f"it waits for longer than {seconds} s")


def suspend(pid: int) -> None:
    """Suspend a process, and wait until it is: the signal may take a moment to arrive."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TtZ":
        time.sleep(0.001)


def eventually(condition: Callable[[], Any]) -> None:
    """Wait until something holds; fail if that takes very long."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(_TICK)
