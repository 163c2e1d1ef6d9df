"""The identity of the server that a session is live on, as archives record it."""

from __future__ import annotations

import socket

from ..settings import Settings
from ..util.urls import canonical_mongodb


def identity_of(settings: Settings) -> str:
    """Return the identity of the deployment and database in the settings: their address, and for a local one, the host.

    Two names of one server are two identities. That is safe: what only one of them archived is left to that one. So
    every awictl that sweeps a deployment has to name the same sentinels, or the same nodes of a cluster, in any order.
    """
    where, port, database = settings.keyspace_id
    if settings.redis_socket:
        return f"unix://{socket.gethostname()}{where}#{database}"
    if settings.topology != "standalone":
        scheme, _, addresses = where.partition("://")
        hosts = addresses.partition("/")[0].split(",")
        local = f"{socket.gethostname()}/" if any(one.startswith("localhost:") for one in hosts) else ""
        return f"redis+{scheme}://{local}{addresses}/{database}"
    host = f"{socket.gethostname()}/localhost" if where == "localhost" else where
    return f"redis://{host}:{port}/{database}"


def identity_of_mongodb(url: str, prefix: str) -> str:
    """Return the identity of live sessions in a MongoDB database: its address without credentials, and the collections.

    `prefix`: of the names of the collections.
    """
    scheme, _, rest = canonical_mongodb(url).partition("://")
    hosts = rest.partition("/")[0].split(",")
    local = f"{socket.gethostname()}/" if any(one.startswith("localhost:") for one in hosts) else ""
    return f"{scheme}://{local}{rest}#{prefix}"
