"""The page of a session in a storm of everything that happens to sessions: in the end it shows what is stored."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from support.cli import LIMIT_SECONDS
from support.documents import action, compact, document, put, session_key
from support.mongo import MongoServer
from support.ui_client import EventStream, inspected, streamed
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.json_codec import json_equal, loads
from awictl.errors import AwiError, InvalidData

SESSION = "sess_storm"
KEY = session_key(SESSION)
#: Seconds that a storm lasts.
SECONDS = 8.0


class ShownSession:
    """What a page shows: it receives events, and requires that each action comes once."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.head: Any = None
        self.received: list[str] = []

    def receive(self, name: str, value: Any) -> None:
        self.received.append(name)
        if name == "session":
            self.steps, self.head = [*value["steps"]], value["head"]
        elif name == "change":
            last = self.steps[-1]["ordinal"] if self.steps else -1
            assert [one["ordinal"] for one in value["steps"]] == [last + 1 + at for at in range(len(value["steps"]))]
            self.steps += value["steps"]
            self.head = value["head"]

    def is_like(self, payload: Any) -> bool:
        """Whether it is the whole session. What the app has cut meanwhile, the page may still show.

        Ordinals are not compared: those of what the app cut are estimated, from less than the page has seen.
        """
        shown, wanted = ([one["action"] for one in steps] for steps in (self.steps, payload["steps"]))
        newest = shown[len(shown) - len(wanted) :]
        return json_equal(self.head, payload["head"]) and json_equal(newest, wanted)


class Storm:
    """What happens to a session, at random."""

    def __init__(self, manager: StateManager, valkey: ValkeyServer, seed: int) -> None:
        self._manager, self._valkey, self._random = manager, valkey, random.Random(seed)
        often = [self.update, self.rest]
        sometimes = [self.updates, self.app_writes, self.app_cuts, self.touch]
        self._all = often * 8 + sometimes * 2 + [self.end, self.corrupt, self.freeze, self.delete, self.replace]

    async def go_on(self, seconds: float) -> None:
        """Do one thing after the other, and keep the session alive."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            happening: Callable[[], Awaitable[Any]] = self._random.choice(self._all)
            with suppress(AwiError):
                await happening()
            if not self._valkey.raw.exists(KEY):
                await self._create()

    async def _create(self) -> None:
        try:
            await self._manager.restore_session(SESSION)
        except AwiError:
            with suppress(AwiError):
                await self._manager.initialize_session("agent", "Agent", session_id=SESSION)

    async def update(self) -> None:
        await self._manager.update_state_with_delta(SESSION, {"a": self._random.random()}, {"input": {"b": 1}})

    async def updates(self) -> None:
        for _ in range(self._random.randrange(60)):
            await self._manager.update_state_with_delta(SESSION, {"b": {"c": self._random.random()}})

    async def rest(self) -> None:
        await asyncio.sleep(self._random.random() * 0.4)

    async def touch(self) -> None:
        await self._manager.touch_session(SESSION)

    async def app_writes(self, most: int = 100) -> None:
        """The app reads the document, and writes it without comparing."""
        raw = self._valkey.raw.get(KEY)
        try:
            found = loads(raw or b"")
        except InvalidData:
            return
        history, statistics = found["history"], found["statistics"]
        made = action(len(history["actions"])) | {"input": {"x": self._random.random()}}
        history |= {"actions": [*history["actions"], made][-most:], "last_action": made}
        statistics["total_actions"] = statistics.get("total_actions", 0) + 1
        self._valkey.raw.set(KEY, compact(found), ex=1800)

    async def app_cuts(self) -> None:
        for _ in range(self._random.randrange(10)):
            await self.app_writes(7)

    async def end(self) -> None:
        await self._manager.end_session(SESSION)
        await asyncio.sleep(self._random.random() * 2.5)

    async def corrupt(self) -> None:
        raw = self._valkey.raw.get(KEY) or b""
        self._valkey.raw.set(KEY, raw[:-5], ex=1800)
        await self.rest()
        self._valkey.raw.set(KEY, raw, ex=1800)

    async def freeze(self) -> None:
        self._valkey.pause()
        try:
            await asyncio.sleep(self._random.random() * 2)
        finally:
            self._valkey.resume()

    async def delete(self) -> None:
        raw = self._valkey.raw.getdel(KEY)
        await asyncio.sleep(self._random.random() * 2)
        if raw:
            self._valkey.raw.set(KEY, raw, ex=1800)

    async def replace(self) -> None:
        made = document([self._random.randrange(50) for _ in range(self._random.randrange(30))], SESSION)
        made["statistics"]["total_actions"] = len(made["history"]["actions"])
        put(self._valkey, compact(made), SESSION, 1800)


async def converged(client: httpx.AsyncClient, page: ShownSession) -> bool:
    """Whether the page shows what is stored, as soon as it does."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        response = await client.get(f"/api/sessions/{SESSION}")
        if response.status_code == 200 and page.is_like(loads(response.content)):
            return True
        await asyncio.sleep(0.2)
    return False


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6))
async def test_the_page_converges(valkey: ValkeyServer, mongo: MongoServer, settings: Settings, seed: int) -> None:
    """Actions are trimmed at 25 in every other storm."""
    settings = replace(valkey.settings(mongodb_uri=mongo.uri), max_actions=25 if seed % 2 else 1_000)
    page = ShownSession()

    async def read(stream: EventStream) -> None:
        while True:
            with suppress(TimeoutError):
                page.receive(*await stream.next())

    async with StateManager.open(settings) as manager, inspected(settings) as client:
        await manager.initialize_session("agent", "Agent", session_id=SESSION)
        async with streamed(client, f"/api/sessions/{SESSION}/events") as stream, asyncio.TaskGroup() as group:
            reading = group.create_task(read(stream))
            await Storm(manager, valkey, seed).go_on(SECONDS)
            assert await converged(client, page), page.received[-20:]
            reading.cancel()
    assert "session" in page.received
