"""The addresses of clients, and a limit on their requests with unknown API keys. Kept in memory, by each worker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from ..util.bounded_dict import BoundedDict
from ..util.http.connections import network_of
from .asgi import Scope

#: Maximum number of addresses that are remembered.
MAX_ADDRESSES = 10_000
#: Maximum length of an address, in characters: what a proxy forwards is cut.
MAX_ADDRESS = 64


def client_address(scope: Scope) -> str:
    """The address of the client of a request; of an IPv6 address the network. Empty if it is unknown."""
    client = scope.get("client")
    return network_of(client[0][:MAX_ADDRESS]) if client else ""


class UnknownKeyLimit:
    """Limits the requests with unknown API keys of each address: at most `per_minute`, which come back evenly.

    0: no limit. Only lookups that found nothing count, so that many known agents of one address (of a proxy, say) can
    come at once. For an address that had unknown keys lately, the lookups that are still running count as well;
    otherwise as many keys as it has connections could be looked up at each moment.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = per_minute
        self._clock = clock
        #: By address: the number of unknown keys, which decreases with time, and when that was.
        self._unknown: BoundedDict[str, tuple[float, float]] = BoundedDict(MAX_ADDRESSES)
        #: By address: the number of lookups that are running.
        self._running: Counter[str] = Counter()

    def begin(self, address: str) -> float:
        """Begin a lookup and return 0; or return the seconds to wait, if the limit is reached."""
        count = self._count_at(address, self._clock())
        excess = count + self._running[address] + 1 - self._limit
        if self._limit and count >= 1 and excess > 0:
            return excess * 60 / self._limit
        self._running[address] += 1
        return 0.0

    def end(self, address: str, *, unknown: bool) -> None:
        """End a lookup. `unknown`: whether there is no such key."""
        self._running[address] -= 1
        if not self._running[address]:
            del self._running[address]
        if unknown:
            now = self._clock()
            self._unknown[address] = min(self._count_at(address, now) + 1, 2.0 * self._limit), now

    def _count_at(self, address: str, now: float) -> float:
        count, since = self._unknown.get(address, (0.0, now))
        return max(0.0, count - (now - since) * self._limit / 60)
