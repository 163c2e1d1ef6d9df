"""`python -I -S forked.py SOCKET WORDS...`: run `awictl WORDS` through the forking process, from a shell script.

It starts in a fraction of the time that an interpreter needs to import awictl.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys

SIZE = 4

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    request = pickle.dumps(([os.fsencode(word) for word in sys.argv[2:]], os.getcwd(), dict(os.environ), False))  # noqa: PTH109  # the import of pathlib is slow
    socket.send_fds(connection, [len(request).to_bytes(SIZE, "big")], [0, 1, 2])
    connection.sendall(request)
    connection.recv(SIZE, socket.MSG_WAITALL)  # the process id
    code = int.from_bytes(connection.recv(SIZE, socket.MSG_WAITALL), "big", signed=True)
os._exit(code if code >= 0 else 128 - code)
