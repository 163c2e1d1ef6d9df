"""The options of the server, as the operator sets them."""

from __future__ import annotations

from dataclasses import dataclass

from ..agents.api_keys import Permission
from ..util.http_server import is_wide

#: Default maximum number of requests per hour, for each agent and operation. An API key may have its own.
REQUESTS_PER_HOUR = 1_000
#: Default maximum number of requests with unknown API keys per minute, and of registrations per hour, for each address.
UNKNOWN_KEYS_PER_MINUTE = 60
REGISTRATIONS_PER_HOUR = 10
#: Time after which a key that an agent registered itself expires if it has not been used, in milliseconds: a day.
UNUSED_KEY_MS = 86_400_000
#: Maximum number of requests of one agent that a worker handles at the same time; further ones wait in turn. Each may
#: read a session of up to AWI_MAX_DOCUMENT_BYTES: some dozens at once would delay all other agents, and take memory.
#: Requests that read only the head of a session do not count; see `Route.takes_slot`.
CONCURRENT_REQUESTS = 4
#: Fields of a session document that only the site can change, not the agent.
SITE_FIELDS = ("permissions", "user_id", "agent_name", "query_cache")


@dataclass(frozen=True)
class ServerOptions:
    """The options of `awictl serve`."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    #: Whether agents can register themselves.
    allow_register: bool = False
    #: The permissions that an agent can have if it registers itself.
    register_permissions: tuple[Permission, ...] = (Permission.READ,)
    #: Maximum number of registrations per hour, for each address; 0: no limit.
    register_limit: int = REGISTRATIONS_PER_HOUR
    #: Maximum number of requests per hour, for each agent and operation; 0: no limit.
    rate_limit: int = REQUESTS_PER_HOUR
    #: Maximum size of a request body, in bytes.
    max_body_bytes: int = 1_048_576
    #: Timeout of a request in seconds, from its head to its response.
    request_seconds: float = 10.0
    access_log: bool = False
    #: Maximum number of requests with unknown API keys per minute, for each address; 0: no limit.
    unknown_keys: int = UNKNOWN_KEYS_PER_MINUTE
    #: Maximum number of requests of one agent at the same time that may read or write a whole session, those that wait
    #: for their turn included; further ones are refused. `awictl serve` sets it by the number of connections.
    agent_requests: int = 5_000
    #: Addresses and networks of proxies whose `X-Forwarded-For` is trusted.
    proxies: tuple[str, ...] = ()
    #: Origins of web pages that may call the API; `*`: any. None: no web page of another origin.
    cors: tuple[str, ...] = ()
    #: Whether a proxy terminates TLS.
    behind_tls: bool = False

    @property
    def body_seconds(self) -> float:
        """Timeout of the request body in seconds; the rest of `request_seconds` is for the handler."""
        return self.request_seconds * 0.8

    @property
    def wide(self) -> bool:
        """Whether other machines can connect: the host is not a loopback address."""
        return is_wide(self.host)
