"""Record the commands that a server executes, through its MONITOR command."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from .valkey import ValkeyServer

_LINE = re.compile(rb'\+[0-9.]+ \[[0-9]+ (?P<client>[^\]]*)\] "(?P<name>[^"]*)"(?P<rest>.*)')


class RecordedCommands(list[tuple[str, str]]):
    """(name in upper case, complete line) of each command, those of scripts included; filled when the block ends."""

    @property
    def names(self) -> list[str]:
        """Names of the commands, without arguments."""
        return [name for name, _ in self]


@contextmanager
def monitored(server: ValkeyServer) -> Iterator[RecordedCommands]:
    """Record the commands that the server executes inside the block."""
    recorded = RecordedCommands()
    end_marker = secrets.token_hex(16).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(server.socket))
        lines = connection.makefile("rb")
        try:
            connection.sendall(b"MONITOR\r\n")
            assert lines.readline() == b"+OK\r\n"
            yield recorded
            server.raw.echo(end_marker)
            for line in lines:
                if end_marker in line:
                    break
                found = _LINE.match(line)
                assert found is not None, line
                recorded.append((found["name"].decode().upper(), line.decode("utf-8", "replace").strip()))
        finally:
            lines.close()
