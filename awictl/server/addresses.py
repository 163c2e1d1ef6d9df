"""The addresses of clients, and a limit on their requests with unknown API keys. Kept in memory, by each worker."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

from ..util.bounded_dict import BoundedDict
from .asgi import Scope

#: Maximum number of addresses that are remembered.
MAX_ADDRESSES = 10_000
#: Maximum length of an address, in characters: what a proxy forwards is cut.
MAX_ADDRESS = 64
#: Length of the prefix by which IPv6 addresses are told apart: one network may have any number of addresses.
IPV6_PREFIX = 64


def client_address(scope: Scope) -> str:
    """The address of the client of a request; of an IPv6 address the network. Empty if it is unknown."""
    client = scope.get("client")
    return network_of(client[0][:MAX_ADDRESS]) if client else ""


def network_of(host: str) -> str:
    """What limits apply to: an IPv4 address as it is, an IPv6 address as its /64 network."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, IPV6_PREFIX), strict=False))


class UnknownKeyLimit:
    """Limits the requests with unknown API keys of each address: at most `per_minute`, which come back evenly.

    0: no limit.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = per_minute
        self._clock = clock
        #: By address: the number of counted requests, which decreases with time, and when that was.
        self._counted: BoundedDict[str, tuple[float, float]] = BoundedDict(MAX_ADDRESSES)

    def wait(self, address: str) -> float:
        """The seconds until a key may be looked up for an address; 0 if the limit is not reached."""
        if not self._limit:
            return 0.0
        return max(0.0, self._count_at(address, self._clock()) + 1 - self._limit) * 60 / self._limit

    def count(self, address: str) -> None:
        """Count a request whose key was looked up and is unknown, at most up to the limit."""
        if self._limit:
            now = self._clock()
            self._counted[address] = min(self._count_at(address, now) + 1, self._limit), now

    def _count_at(self, address: str, now: float) -> float:
        count, since = self._counted.get(address, (0.0, now))
        return max(0.0, count - (now - since) * self._limit / 60)
