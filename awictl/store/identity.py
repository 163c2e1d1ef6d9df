"""The identity of the server that a session is live on, as archives record it."""

from __future__ import annotations

import socket

from ..settings import Settings


def identity_of(settings: Settings) -> str:
    """Return the identity of the server and database in the settings: their address, and for a local one, the host.

    Two names of one server are two identities. That is safe: what only one of them archived is left to that one.
    """
    where, port, database = settings.keyspace_id
    if settings.redis_socket:
        return f"unix://{socket.gethostname()}{where}#{database}"
    host = f"{socket.gethostname()}/localhost" if where == "localhost" else where
    return f"redis://{host}:{port}/{database}"
