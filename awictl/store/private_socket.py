"""Unix sockets in folders that no other user can access, and connections whose peer is this user.

A path may lead elsewhere by the time it is used. So a folder is opened once and checked on its descriptor, and sockets
are connected through that descriptor, which also serves paths that are too long for a socket address. Who listens is
checked on the connected socket, before anything is sent.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Refused

#: Format of `struct ucred`: process id, user id, group id.
_CREDENTIALS = struct.Struct("3i")


@contextmanager
def open_folder(folder: Path) -> Iterator[int]:
    """Open a folder that belongs to this user, and that no other user can access. Yields its descriptor.

    Raises Refused if it is not such a folder, or a symbolic link; FileNotFoundError.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and folder.is_symlink():
            raise Refused(f"{folder} is a symbolic link; name the folder itself for the embedded server") from None
        raise
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise Refused(
                f"{folder} belongs to another user (uid {found.st_uid}), who could read everything; choose another "
                "folder for the embedded server (AWI_EMBEDDED_DIR)"
            )
        if found.st_mode & 0o077:
            raise Refused(
                f"{folder} can be accessed by other users (mode {stat.S_IMODE(found.st_mode):04o}); run "
                f"`chmod 700 '{folder}'`, or choose another folder for the embedded server (AWI_EMBEDDED_DIR)"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def connect(path: Path, timeout: float) -> tuple[socket.socket, int | None]:
    """Connect to the socket at `path`. Returns the connection, and the process that listens; see `check_peer`.

    `timeout`: of each operation, in seconds. Raises OSError, and Refused if another user could receive what is sent.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with open_folder(path.parent) as folder:
            connection.connect(address_in(folder, path))
        return connection, check_peer(connection, path)
    except BaseException:
        connection.close()
        raise


def address_in(descriptor: int, path: Path) -> str:
    """The address of the socket at `path`, whose folder is open as `descriptor`."""
    return f"/proc/self/fd/{descriptor}/{path.name}" if sys.platform == "linux" else str(path)


def check_peer(connection: socket.socket, path: Path) -> int | None:
    """The process that listens at the other end; None if the system does not report it.

    Raises Refused if it belongs to another user.
    """
    if sys.platform != "linux":
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    if uid != os.geteuid():
        raise Refused(f"a process of another user (uid {uid}) listens on {path}; nothing was sent to it")
    return int(pid)
