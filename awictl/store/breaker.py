"""A circuit breaker: sends nothing to a server that is away, until probes show that it is back.

It is closed while the server answers. It opens after FAILURES failures in a row, or after one request that took the
full timeout; then every request fails at once. After a pause it is half-open: one probe at a time is sent. PROBES
successful probes in a row close it, and a failed one opens it again for the next, longer pause.

It does no I/O, and each process has its own. Requests that began before the last counted failure are of the same
incident and do not count again: a broken connection is one failure, however many requests it carried.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from enum import StrEnum

from ..errors import Unreachable

log = logging.getLogger("awictl")

#: Failures in a row, without a success between them, that open the breaker.
FAILURES = 3
#: Share of the timeout after which a failed request counts as one that took all of it: clocks are not exact, and a
#: router stops to repeat a request shortly before its deadline.
FULL_TIMEOUT = 0.9
#: Seconds from opening to the first probe, and after each failed probe to the next; the last one is repeated.
PAUSE_SECONDS = (0.5, 1.0, 2.0)
#: Successful probes in a row that close the breaker.
PROBES = 2
#: Seconds after closing within which opening again continues with the next longer pause instead of the first one.
RELAPSE_SECONDS = 10.0


class BreakerState(StrEnum):
    """Whether requests are sent, from best to worst."""

    #: All are sent.
    CLOSED = "closed"
    #: Only one probe at a time is sent.
    HALF_OPEN = "half-open"
    #: None is sent.
    OPEN = "open"


class CircuitBreaker:
    """The breaker of one deployment. `where`: its address for messages; `timeout`: that of a request, in seconds.

    `lost_connections`: returns how many connections to it were lost, also idle ones: it may have been away since.
    """

    def __init__(
        self,
        where: str,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        lost_connections: Callable[[], int] = lambda: 0,
    ) -> None:
        self.state = BreakerState.CLOSED
        self.lost_connections = lost_connections
        #: Called after the state has changed.
        self.on_change: Callable[[], object] = lambda: None
        #: How often it has opened.
        self.times_opened = 0
        self._where = where
        self._full_timeout = timeout * FULL_TIMEOUT
        self._clock = clock
        self._failures = 0
        #: When the last failure was counted, and when the latest successful request began.
        self._failed_at = self._success_began_at = -math.inf
        #: Why the last request failed.
        self._why = ""
        #: Index of the current pause.
        self._pause = 0
        self._probe_at = 0.0
        self._probing = False
        self._successful_probes = 0
        self._opened_at = self._closed_at = -math.inf

    # -- around each request

    def before(self) -> float:
        """When the request begins, which `succeeded` or `failed` is called with. Raises Unreachable unless closed."""
        if self.state is not BreakerState.CLOSED:
            raise self.refusal()
        return self._clock()

    def succeeded(self, began_at: float) -> None:
        """The server has answered a request, be it with an error."""
        if self._failures:
            self._failures = 0
        if began_at > self._success_began_at:
            self._success_began_at = began_at

    def failed(self, began_at: float, why: str) -> bool:
        """A request failed: refused, disconnected or timed out. Returns whether that opened the breaker."""
        if self.state is not BreakerState.CLOSED or began_at < self._failed_at:
            return False
        now = self._clock()
        # if a request that began later was answered, only this one was slow, or only this node of a cluster
        waited_in_vain = now - began_at >= self._full_timeout and began_at >= self._success_began_at
        self._failed_at = now
        self._failures += 1
        self._why = why
        if waited_in_vain or self._failures >= FAILURES:
            self._open(now)
            return True
        return False

    def refusal(self) -> Unreachable:
        """The error for a request that is not sent."""
        seconds = max(0.0, self._probe_at - self._clock())
        return Unreachable(f"{self._why} (no request is sent before it answers; it is asked again in {seconds:.1f} s)")

    @property
    def is_closed(self) -> bool:
        """Whether requests are sent."""
        return self.state is BreakerState.CLOSED

    def seconds_closed(self) -> float:
        """For how many seconds it has been closed since it was open; 0 while it is not, infinite if it never was."""
        return self._clock() - self._closed_at if self.state is BreakerState.CLOSED else 0.0

    # -- probes

    def seconds_to_probe(self) -> float | None:
        """Seconds until the next probe is due; None if it is closed."""
        if self.state is BreakerState.CLOSED:
            return None
        return max(0.0, self._probe_at - self._clock())

    def begin_probe(self) -> bool:
        """Whether to send a probe now: one is due, and no other is under way. Half-open then."""
        if self.state is BreakerState.CLOSED or self._probing or self._clock() < self._probe_at:
            return False
        self._probing = True
        self._set(BreakerState.HALF_OPEN)
        return True

    def probe_succeeded(self) -> None:
        """The server has answered the probe: the next one is due, or the breaker is closed."""
        self._probing = False
        self._successful_probes += 1
        if self._successful_probes < PROBES:
            return
        now = self._clock()
        self._closed_at = now
        self._failures = 0
        self._set(BreakerState.CLOSED)
        log.info("%s answers again after %.1f s", self._where, now - self._opened_at)

    def probe_failed(self, why: str = "") -> None:
        """The server has not answered the probe: open for the next pause. `why`: empty if it was given up."""
        self._probing = False
        self._successful_probes = 0
        self._why = why or self._why
        self._pause = min(self._pause + 1, len(PAUSE_SECONDS) - 1)
        self._probe_at = self._clock() + PAUSE_SECONDS[self._pause]
        self._set(BreakerState.OPEN)

    def _open(self, now: float) -> None:
        relapse = now - self._closed_at < RELAPSE_SECONDS
        self._pause = min(self._pause + 1, len(PAUSE_SECONDS) - 1) if relapse else 0
        self._probe_at = now + PAUSE_SECONDS[self._pause]
        self._successful_probes = self._failures = 0
        self._opened_at = now
        self.times_opened += 1
        self._set(BreakerState.OPEN)
        log.info("no more requests are sent to %s until it answers: %s", self._where, self._why)

    def _set(self, state: BreakerState) -> None:
        if state is not self.state:
            self.state = state
            self.on_change()
