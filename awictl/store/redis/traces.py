"""What a server reports about a session that does not exist."""

from __future__ import annotations

import re

from ...document import keys
from ..base import Traces
from .server import Server

_DATABASES = re.compile(rb"^db(\d+):keys=(\d+)", re.MULTILINE)


async def traces(server: Server, session_id: str, database: int) -> Traces:
    """What a server reports about a session that does not exist. `database`: the number of the one in use."""
    ttl, info = await server.execute_idempotent(("PTTL", keys.diff_key(session_id)), ("INFO", "keyspace"))
    databases = _DATABASES.findall(info) if isinstance(info, bytes) else []
    return Traces(
        ttl if isinstance(ttl, int) and ttl >= 0 else None,
        {int(number): int(count) for number, count in databases},
        database,
    )
