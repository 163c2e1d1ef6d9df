"""Limits on the number of open connections of a worker, in all and from each address.

Each connection takes a file descriptor, and its requests may take one each for Redis and MongoDB. Without a limit, idle
connections would use up the descriptors, and the server could neither accept a connection nor open one itself.
"""

from __future__ import annotations

import ipaddress
import logging
import resource
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

log = logging.getLogger("awictl.server")

#: File descriptors for everything but connections: standard streams, listener, event loop, SQLite files, metrics.
RESERVED_DESCRIPTORS = 32
#: Maximum number of connections to MongoDB: the default of its driver.
MONGO_CONNECTIONS = 100
#: Minimum and maximum number of connections of clients, however few or many descriptors there are.
MIN_CLIENTS = 8
MAX_CLIENTS = 10_000
#: Share of all connections that one address may have, and the requests of one agent at the same time.
ADDRESS_SHARE = AGENT_SHARE = 0.5
#: Length in bits of the IPv6 prefix that identifies a client: one network can use any number of addresses.
IPV6_PREFIX = 64
#: Key of the scope of a request that is answered, except that the rest of its body is received first. Its connection
#: may be closed for another one.
DRAINING = "awictl_draining"
#: Seconds between two messages about the same limit.
LOG_SECONDS = 10.0


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


class Admission(Enum):
    """Whether a connection is admitted, or which limit it exceeds."""

    ADMITTED = "admitted"
    TOO_MANY = "too many connections"
    TOO_MANY_OF_ADDRESS = "too many connections from one address"


class ClientConnection(Protocol):
    """A connection of a client."""

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""

    def close_idle(self) -> None:
        """Close the connection, which is idle."""


def max_connections(descriptors: int, redis: int) -> int:
    """The maximum number of connections of clients for a limit of file descriptors (RLIMIT_NOFILE).

    The greatest number n for which n clients, a connection to Redis and one to MongoDB for each of them up to their
    maximum (`redis`, MONGO_CONNECTIONS), and `RESERVED_DESCRIPTORS` are within the limit.
    """
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CLIENTS
    left = descriptors - RESERVED_DESCRIPTORS
    most = max(left // 3, (left - redis) // 2, left - redis - MONGO_CONNECTIONS)
    return min(max(most, MIN_CLIENTS), MAX_CLIENTS)


@dataclass
class _Reached:
    """How often a limit was reached since the last message about it, and when the next one is due."""

    closed: int = 0
    refused: int = 0
    log_at: float = 0.0


class ConnectionLimits:
    """The open connections of one worker. If there are too many, the one that has been idle longest is closed.

    `total`: maximum number of connections. `proxies`: addresses and networks without a limit for each address.
    """

    def __init__(self, total: int, proxies: Sequence[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.per_address = max(1, int(total * ADDRESS_SHARE))
        self.per_agent = max(1, int(total * AGENT_SHARE))
        self._proxies = [ipaddress.ip_network(one) for one in proxies]
        self._clock = clock
        #: The address of each connection, in the order of their last response.
        self._open: OrderedDict[ClientConnection, str] = OrderedDict()
        self._of_address: Counter[str] = Counter()
        self._reached = {Admission.TOO_MANY: _Reached(), Admission.TOO_MANY_OF_ADDRESS: _Reached()}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: ClientConnection, host: str) -> Admission:
        """Admit a connection; close an idle one for it if there are too many. It must be removed in the end."""
        address = network_of(host)
        if self._of_address.get(address, 0) >= self.per_address and not self._is_proxy(host):
            reached, victims = Admission.TOO_MANY_OF_ADDRESS, (one for one in self._open if self._open[one] == address)
        elif len(self._open) >= self.total:
            reached, victims = Admission.TOO_MANY, (one for one in self._open)
        else:
            return self._add(connection, address)
        victim = next((one for one in victims if one.idle), None)
        self._log(reached, address, closed=victim is not None)
        if victim is None:
            return reached
        self.remove(victim)
        victim.close_idle()
        return self._add(connection, address)

    def responded(self, connection: ClientConnection) -> None:
        """Note that a connection has just been used."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def remove(self, connection: ClientConnection) -> None:
        """Remove a connection that is closed or about to be; does nothing if it was removed before."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _is_proxy(self, host: str) -> bool:
        if not self._proxies:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:  # unknown: the client has gone already
            return False
        return any(address in network for network in self._proxies)

    def _add(self, connection: ClientConnection, address: str) -> Admission:
        self._open[connection] = address
        self._of_address[address] += 1
        return Admission.ADMITTED

    def _log(self, reached: Admission, address: str, *, closed: bool) -> None:
        """Log that a limit was reached, at most every LOG_SECONDS."""
        counts = self._reached[reached]
        counts.closed += closed
        counts.refused += not closed
        now = self._clock()
        if now < counts.log_at:
            return
        extra = {
            "address": address,
            "connections": len(self._open),
            "limit": self.total if reached is Admission.TOO_MANY else self.per_address,
            "closed_idle": counts.closed,
            "refused": counts.refused,
        }
        self._reached[reached] = _Reached(log_at=now + LOG_SECONDS)
        log.warning("%s; the limit follows from that of open files (ulimit -n)", reached.value, extra=extra)
