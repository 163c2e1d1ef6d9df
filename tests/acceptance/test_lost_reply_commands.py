"""Commands whose reply is lost after the server has executed the request: what was done counts as done."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

from support.cli import Cli, finish
from support.documents import compact, document, put, session_key
from support.proxy import Cut, Proxy, once
from support.valkey import ValkeyServer

from awictl.store.redis.server import Script


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


async def test_an_update_that_ctrl_c_interrupts_can_be_repeated(
    awictl: Cli, valkey: ValkeyServer, proxy: Proxy
) -> None:
    put(valkey, compact(document([0], session_id="sess_a")), "sess_a")
    user = awictl.having(REDIS_PORT=str(proxy.port))
    update = ("session", "apply", "sess_a", '{"n":1}', "--action", "sort")
    executed, ended = asyncio.Event(), asyncio.Event()

    async def hold_the_reply() -> None:
        executed.set()
        await ended.wait()

    await asyncio.to_thread(user.ok, "session", "apply", "sess_a", "{}", "--action", "filter")
    proxy.rule, proxy.before_cut = once(Cut.REPLY, b'"sort"'), hold_the_reply
    with user.start("--timeout", "30", *update) as process:
        await executed.wait()
        process.send_signal(signal.SIGINT)
        result = await asyncio.to_thread(finish, process)
    ended.set()
    line = result.error(130, "interrupted: outcome unknown: the update may have been applied")
    found = re.search(r"repeat it with --op-id (op_[0-9a-f]+),", line)
    assert found is not None
    again = await asyncio.to_thread(user.ok, *update, "--op-id", found[1])
    assert "already applied" in again.err and again.json["n"] == 1
    history = await asyncio.to_thread(user.ok, "session", "history", "sess_a")
    assert [row["action"] for row in history.rows].count("sort") == 1
