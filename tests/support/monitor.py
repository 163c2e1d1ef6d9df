"""What a server was asked to do, as its MONITOR command tells."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from .valkey import ValkeyServer

_LINE = re.compile(rb'\+[0-9.]+ \[[0-9]+ (?P<client>[^\]]*)\] "(?P<name>[^"]*)"(?P<rest>.*)')


class FingerprintSet(list[tuple[str, str]]):
    """(name in upper case, the whole line) of each command, those of scripts included; filled when its block ends."""

    @property
    def names(self) -> list[str]:
        """The names alone."""
        return [name for name, _ in self]


@contextmanager
def monitored(server: ValkeyServer) -> Iterator[FingerprintSet]:
    """Records the commands that the server executes inside the block."""
    seen = FingerprintSet()
    token = secrets.token_hex(16).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(server.socket))
        lines = connection.makefile("rb")
        try:
            connection.sendall(b"MONITOR\r\n")
            assert lines.readline() == b"+OK\r\n"
            yield seen
            server.raw.echo(token)
            for line in lines:
                if token in line:
                    break
                found = _LINE.match(line)
                assert found is not None, line
                seen.append((found["name"].decode().upper(), line.decode("utf-8", "replace").strip()))
        finally:
            lines.close()
