"""How the server is run, and what it allows."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

#: Requests that an agent may make for one operation in an hour, unless its key says otherwise.
REQUESTS_PER_HOUR = 1_000
#: Fields of a session that the site decides on, and no agent for itself.
SITE_FIELDS = ("permissions", "user_id", "agent_name", "query_cache")


@dataclass(frozen=True)
class ServerOptions:
    """What the operator chose."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    #: Whether agents may register themselves.
    allow_register: bool = False
    #: Requests that an agent may make for one operation in an hour; 0: any number.
    rate_limit: int = REQUESTS_PER_HOUR
    #: Largest body of a request, in bytes.
    max_body_bytes: int = 1_048_576
    #: Seconds that a request may take, its body's arrival included.
    request_seconds: float = 10.0
    access_log: bool = False

    @property
    def body_seconds(self) -> float:
        """Seconds in which a body must arrive: what is left of a request's time is for its work."""
        return self.request_seconds * 0.8

    @property
    def wide(self) -> bool:
        """Whether other machines can connect."""
        try:
            return not ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host != "localhost"
