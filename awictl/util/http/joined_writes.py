"""Write the head of a response together with its body: uvicorn writes them apart."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class JoinedWrites:
    """The transport of one response: writes its head together with its body, which saves a system call and a packet.

    A response whose head is not followed by a body at once is not delayed: `flush` writes what is held.
    """

    __slots__ = ("_cycle", "_head", "_joined", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport: Any = cycle.transport
        self._head: bytes | None = None
        self._joined = False

    def write(self, data: bytes) -> None:
        """Hold the head of the response; write it with what follows."""
        if self._head is not None:
            data, self._head = self._head + data, None
        elif self._cycle.response_started and not self._joined:
            self._joined = True
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write what is held."""
        if self._head is not None:
            data, self._head = self._head, None
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether the connection is closed or being closed."""
        return bool(self._transport.is_closing())

    def close(self) -> None:
        """Close the connection after the response."""
        self.flush()
        self._transport.close()
