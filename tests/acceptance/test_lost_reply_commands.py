"""Commands whose reply is lost after the server has executed the request: what was done counts as done."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.cli import Cli
from support.documents import compact, document, put, session_key
from support.proxy import Cut, Proxy, once
from support.valkey import ValkeyServer

from awictl.store.redis.connection import Script


async def test_discard_and_restore(awictl: Cli, valkey: ValkeyServer, proxy: Proxy, tmp_path: Path) -> None:
    user = awictl.having(REDIS_PORT=str(proxy.port), AWI_ARCHIVE_URL=f"sqlite:///{tmp_path}/archive.db")
    for name in ("sess_a", "sess_b", "sess_c"):
        put(valkey, compact(document([0], session_id=name)), name)

    async def run(*words: str) -> list[str]:
        result = await asyncio.to_thread(user.ok, *words)
        assert result.err == ""
        return [row["session_id"] for row in result.rows]

    # the server knows the scripts afterwards, so that each is executed by its first request
    assert await run("session", "end", "sess_a") == await run("archive", "restore", "sess_a") == ["sess_a"]

    proxy.rule = once(Cut.REPLY, Script("delete").sha.encode())
    assert await run("session", "end", "--discard", "--yes", "sess_b", "sess_c") == ["sess_b", "sess_c"]
    assert not valkey.raw.exists(session_key("sess_b"), session_key("sess_c"))

    assert await run("session", "end", "sess_a") == ["sess_a"]
    proxy.rule = once(Cut.REPLY, Script("restore").sha.encode())
    assert await run("archive", "restore", "sess_a") == ["sess_a"]
    assert valkey.raw.exists(session_key("sess_a")) and proxy.cuts[Cut.REPLY] == 2
    assert await run("archive", "restore", "sess_a") == ["sess_a"], "and once more"
