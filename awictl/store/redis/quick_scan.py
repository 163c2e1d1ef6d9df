"""Find a few keys by a prefix over a plain socket, for shell completion.

redis-py alone takes longer to import than a completion may take in all.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import hiredis

from ...settings import Settings
from .. import private_socket

#: COUNT of each SCAN, and pause after it in seconds, so that other clients hardly wait.
SCAN_COUNT = 500
PAUSE_SECONDS = 0.001
#: Seconds that a sentinel, or a node of a cluster, may take to say where the primaries are; then the next one is asked.
#: If none answers in that time, all are asked once more, with more time.
ASK_SECONDS = 0.05
#: Maximum number of bytes that are read in all.
MAX_BYTES = 4_194_304
#: The announcement of a reply that would not fit: hiredis would reserve memory for it.
_HUGE = re.compile(rb"[*$~%>]\d{7}")


def quick_scan(settings: Settings, prefix: str, limit: int) -> list[bytes]:
    """The names of keys that start with a prefix: all of them, or the first ones once there are `limit`.

    Blocks; the caller limits the time. Raises OSError, ValueError and hiredis errors if the server does not answer as
    Redis does, or with an error.
    """
    found: list[bytes] = []
    for server in _servers(settings):
        found += _scan(server, prefix, limit - len(found))
        if len(found) >= limit:
            break
    return found


def _servers(settings: Settings) -> list[Settings]:
    """Settings for each server that has keys of its own."""
    if settings.topology == "standalone":
        return [settings]
    from ..one_server import node_settings, sentinel_settings

    if settings.topology == "sentinel":
        question: Sequence[Any] = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings.redis_sentinel_master)
        asked = [sentinel_settings(settings, *one) for one in settings.sentinel_addresses]
    else:
        question = ("CLUSTER", "SLOTS")
        asked = [node_settings(settings, *one) for one in settings.cluster_seeds]
    for seconds, one in product((ASK_SECONDS, settings.timeout), asked):
        try:
            with _connected(replace(one, timeout=min(one.timeout, seconds))) as connection:
                replies = _replies(connection)
                for command in (*_greeting(one), question):
                    _send(connection, command)
                    answer = next(replies)
        except (OSError, hiredis.HiredisError):
            continue
        if settings.topology == "sentinel":
            return [node_settings(settings, answer[0].decode(), int(answer[1]))] if answer else []
        masters = {(master[0].decode() or one.redis_host, master[1]) for _, _, master, *_ in answer}
        return [node_settings(settings, *master) for master in sorted(masters)]
    return []


def _scan(settings: Settings, prefix: str, limit: int) -> list[bytes]:
    pattern = re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix) + "*"
    with _connected(settings) as connection:
        replies = _replies(connection)
        for command in _greeting(settings):
            _send(connection, command)
            next(replies)
        found: list[bytes] = []
        cursor = b"0"
        while True:
            _send(connection, ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT))
            cursor, names = next(replies)
            found += names
            if cursor == b"0" or len(found) >= limit:
                return found
            time.sleep(PAUSE_SECONDS)


def _connected(settings: Settings) -> socket.socket:
    if settings.redis_socket:
        if settings.embedded:
            return private_socket.connect(Path(settings.redis_socket), settings.timeout)[0]
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(settings.timeout)
        connection.connect(settings.redis_socket)
        return connection
    connection = socket.create_connection((settings.redis_host, settings.redis_port), settings.timeout)
    if not settings.redis_tls:
        return connection
    from .tls import context

    made = context(settings.redis_tls_ca_certs, settings.redis_tls_cert, settings.redis_tls_key)
    return made.wrap_socket(connection, server_hostname=settings.redis_host)


def _greeting(settings: Settings) -> Iterator[Sequence[Any]]:
    """The commands that a new connection starts with."""
    if settings.redis_password is not None:
        user = [settings.redis_username] if settings.redis_username else []
        yield ("AUTH", *user, settings.redis_password)
    if settings.redis_db:
        yield ("SELECT", settings.redis_db)


def _send(connection: socket.socket, command: Sequence[Any]) -> None:
    connection.sendall(hiredis.pack_command(tuple(command)))


def _replies(connection: socket.socket) -> Iterator[Any]:
    """The replies of the server. Raises one that is an error."""
    reader = hiredis.Reader()
    left = MAX_BYTES
    while True:
        reply = reader.gets()
        if reply is False:
            data = connection.recv(65_536)
            left -= len(data)
            if not data or left < 0 or _HUGE.search(data):
                raise ConnectionError("the server closed the connection, or sends too much")
            reader.feed(data)
        elif isinstance(reply, Exception):
            raise reply
        else:
            yield reply
