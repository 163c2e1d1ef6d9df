"""The options of the inspector, as the operator sets them."""

from __future__ import annotations

from dataclasses import dataclass

from ..document.redaction.rules import Redaction
from ..util.http_server import is_wide


@dataclass(frozen=True)
class InspectorOptions:
    """The options of `awictl ui`."""

    host: str = "127.0.0.1"
    #: 0 selects a free port.
    port: int = 0
    #: Whether a proxy terminates TLS: cookies are sent over HTTPS only.
    behind_tls: bool = False
    #: Names that the `Host` header may have, besides those of the address.
    allowed_hosts: tuple[str, ...] = ()
    #: What is replaced before it reaches the page; None: nothing.
    redaction: Redaction | None = None
    #: Maximum number of keys to scan per second; None: no limit.
    rate: float | None = None
    #: Name of the profile in use, which the page shows.
    profile: str | None = None

    @property
    def is_wide(self) -> bool:
        """Whether other machines can connect."""
        return is_wide(self.host)
