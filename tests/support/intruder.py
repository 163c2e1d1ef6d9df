"""A process of another user that prepares attacks on the embedded server: it listens on a Unix socket."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Another user than the one who runs the tests.
NOBODY = "nobody"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")

#: Binds the socket with the rights of the tests' user, then becomes another user, listens, and answers every command.
#: Prints what it receives.
_LISTEN = """
import os, socket, sys
path, uid = sys.argv[1], int(sys.argv[2])
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o777)
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
listener.listen()
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    while data := connection.recv(65536):
        print(data, flush=True)
        connection.sendall(b"+PONG\\r\\n")
"""


def uid_of_nobody() -> int:
    """The user id of the other user."""
    return pwd.getpwnam(NOBODY).pw_uid


@contextmanager
def intruder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of another user that listens on a Unix socket."""
    process = subprocess.Popen([sys.executable, "-c", _LISTEN, str(path), str(uid_of_nobody())], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"listening\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def received(process: subprocess.Popen[bytes]) -> bytes:
    """End the process; return what it has received."""
    process.kill()
    assert process.stdout is not None
    return process.stdout.read()
