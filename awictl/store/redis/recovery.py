"""Probes servers that are away, until they are back; see `breaker`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ...document import keys
from ...errors import AwiError, Unreachable
from ..breaker import CircuitBreaker

log = logging.getLogger("awictl")

#: `Server.execute` of the servers, without the breaker.
Execute = Callable[..., Awaitable[Any]]
#: Seconds after which a probe is given up, so that one that hangs does not delay the next.
PROBE_SECONDS = 1.0


async def recover(execute: Execute, breaker: CircuitBreaker) -> None:
    """Send the probes that are due until the breaker is closed.

    A probe reads a key, since a cluster that is down answers PING. The first one has a connection of its own, so that
    it does not wait behind one that hangs; the next one uses the connection that requests share.
    """
    own = True
    while (seconds := breaker.seconds_to_probe()) is not None:
        await asyncio.sleep(seconds)
        if not breaker.begin_probe():
            continue
        why = await _probe(execute, own=own)
        if why is None:
            breaker.probe_succeeded()
        else:
            breaker.probe_failed(why)
        own = why is not None


async def _probe(execute: Execute, *, own: bool) -> str | None:
    """Send a probe. Returns why there was no answer; None if there was one, be it an error."""
    key = keys.session_key(keys.new_session_id())
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await execute(("GETRANGE", key, 0, 0), idempotent=True, own=own)
    except Unreachable as error:
        return str(error)
    except TimeoutError:
        return f"no answer to a probe within {PROBE_SECONDS:g} s"
    except AwiError:
        return None
    except Exception as error:  # an unexpected one must not end the probes
        log.exception("a probe failed")
        return str(error)
    return None
