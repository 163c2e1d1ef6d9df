"""Runs an ASGI application with uvicorn, in this process, until a signal."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from ..errors import Refused


class SignalledServer(uvicorn.Server):
    """uvicorn's server, except for signals: SIGTERM ends it with exit code 0, Ctrl-C with KeyboardInterrupt."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None] = lambda: None) -> None:
        """`on_stop`: called as soon as a signal arrives, so that responses without an end can be ended."""
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle SIGINT and SIGTERM in a block."""
        interrupted = False

        def stop(number: int) -> None:
            nonlocal interrupted
            interrupted = interrupted or number == signal.SIGINT
            self._on_stop()
            self.handle_exit(number, None)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        if interrupted:
            raise KeyboardInterrupt


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket. `port`: 0 selects a free one. Raises Refused."""
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=backlog)
    except (OSError, OverflowError) as error:
        raise Refused(f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}") from None
    listener.set_inheritable(True)
    return listener


def url_of_address(host: str, port: int) -> str:
    """The URL of a server that listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_wide(host: str) -> bool:
    """Whether other machines can connect to a server on this address: it is not a loopback address."""
    import ipaddress

    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host != "localhost"
