"""Where a server is, and how a connection to it is opened: TLS, user name, password, database."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ...errors import AwiError
from ...settings import Settings
from ...util.addresses import in_brackets
from .replies import ErrorReply, Lost

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Address(NamedTuple):
    """The address of one server: a host and a port, or a Unix socket."""

    host: str = ""
    port: int = 0
    socket: str | None = None


class Losses:
    """Counts the connections that were lost: closed by the server or the network, and not by this process."""

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True)
class Access:
    """How to open connections: the same for all servers of a deployment."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    tls_ca_certs: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    #: Whether the socket is one of this user's embedded server; see `private_socket`.
    private: bool = False
    #: Seconds to wait for a connection, and for a reply.
    timeout: float = 5.0
    #: Maximum size of a document, in bytes.
    max_bytes: int = 67_108_864
    #: Commands that a server must answer before it is used: a frozen one accepts connections too.
    probe: Sequence[Sequence[str]] = ()
    #: Raises an exception if the replies to `probe` are not those of the server to be used.
    check: Callable[[Sequence[Any]], None] = field(default=lambda replies: None, compare=False)
    #: The connections to all servers of the deployment that were lost.
    losses: Losses = field(default_factory=Losses, compare=False)

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """How the settings say that the servers with the data are accessed."""
        return cls(
            settings.redis_username,
            settings.redis_password,
            settings.redis_db,
            settings.redis_tls,
            settings.redis_tls_ca_certs,
            settings.redis_tls_cert,
            settings.redis_tls_key,
            settings.embedded,
            settings.timeout,
            settings.max_document_bytes,
        )

    def with_probe(self, probe: Sequence[Sequence[str]], check: Callable[[Sequence[Any]], None]) -> Access:
        """The same access with another probe."""
        return replace(self, probe=probe, check=check)

    @cached_property
    def greeting(self) -> list[Sequence[str | int]]:
        """The commands at the start of a connection; they never share a write with a request."""
        commands: list[Sequence[str | int]] = []
        if self.password is not None:
            commands.append(("AUTH", *([self.username] if self.username else []), self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        return [*commands, *self.probe]

    @cached_property
    def tls_context(self) -> ssl.SSLContext:
        """Verifies the server's certificate and its host name. Raises InvalidInput if a file cannot be used."""
        from .tls import context

        return context(self.tls_ca_certs, self.tls_cert, self.tls_key)

    def url(self, address: Address) -> str:
        """The URL of a server without credentials, for messages."""
        if address.socket:
            return f"unix://{address.socket}"
        host = in_brackets(address.host)
        return f"{'rediss' if self.tls else 'redis'}://{host}:{address.port}/{self.db}"

    async def connect(self, address: Address, protocol: Callable[[], P]) -> P:
        """Connect a protocol to a server, without the greeting. Raises OSError, and Refused of the embedded server."""
        loop = asyncio.get_running_loop()
        if address.socket is None:
            context = self.tls_context if self.tls else None
            return (await loop.create_connection(protocol, address.host, address.port, ssl=context))[1]
        if not self.private:
            return (await loop.create_unix_connection(protocol, address.socket))[1]
        from ..private_socket import address_in, check_peer, open_folder

        path = Path(address.socket)
        with open_folder(path.parent) as folder:
            transport, connected = await loop.create_unix_connection(protocol, address_in(folder, path))
        try:
            check_peer(transport.get_extra_info("socket"), path)
        except BaseException:
            transport.abort()
            raise
        return connected


def opening_failed(where: str, error: Exception) -> Exception:
    """The exception to raise if a connection could not be opened: Lost, unless the error says more."""
    if isinstance(error, (Lost, ErrorReply, AwiError)):
        return error
    timed_out = isinstance(error, TimeoutError)
    lost = Lost(where, reason_of(error), sent=False, timed_out=timed_out, opening=True)
    lost.__cause__ = error
    return lost


def reason_of(error: BaseException | None) -> str:
    """Why a connection failed, without the address."""
    if error is None:
        return "the connection was closed"
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        from .tls import reason

        return reason(error)
    numbers = {int(one) for one in re.findall(r"\[Errno (\d+)\]", str(error))}  # of several addresses, perhaps
    if isinstance(error, OSError) and (error.errno or numbers):
        number = error.errno or min(numbers)
        if "Connect call failed" in str(error):
            return "connection refused" if number == 111 else os.strerror(number)
        return error.strerror or os.strerror(number)
    return str(error).strip().rstrip(".") or type(error).__name__
