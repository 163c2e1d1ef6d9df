"""Connections of redis-py to a server of this user, on a socket in a private folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import redis.asyncio as aioredis

from ..private_socket import address_in, check_peer, open_folder


class PrivateConnection(aioredis.UnixDomainSocketConnection):
    """A connection to the embedded server. Nothing is sent if another user could receive it; see `private_socket`."""

    async def _connect(self) -> None:
        path = Path(self.path)
        with open_folder(path.parent) as folder:
            async with asyncio.timeout(self.socket_connect_timeout):
                reader, writer = await asyncio.open_unix_connection(address_in(folder, path))
        try:
            check_peer(writer.get_extra_info("socket"), path)
        except BaseException:
            writer.close()
            raise
        self._reader, self._writer = reader, writer
        await self.on_connect()
