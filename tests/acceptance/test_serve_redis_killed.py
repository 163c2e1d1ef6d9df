"""Redis is killed and restarted while agents send requests: they get 503, and no acknowledged update is lost."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.cli import Cli
from support.serving import Server, serving
from support.valkey import ValkeyServer

from awictl import StateManager

#: Seconds in which all agents must be served again, in the long test.
RECOVERY_SECONDS = 2.0
#: The same in the short one, on a machine that is busy with other tests.
BUSY_RECOVERY_SECONDS = 15.0
#: Seconds after which an agent that gets nothing but 503 gives up.
NEVER_SECONDS = 60.0
#: Seconds for which Redis is down.
DOWN_SECONDS = 1.5


@dataclass
class AgentLog:
    """The responses that one agent got."""

    acknowledged: list[str] = field(default_factory=list)
    requests: int = 0
    #: Times of 503 responses.
    refusals: list[float] = field(default_factory=list)
    #: Times of successful responses.
    served: list[float] = field(default_factory=list)
    unknown_outcomes: int = 0
    #: Request and response times of updates that the first attempt reported as already applied.
    found_there: list[tuple[float, float]] = field(default_factory=list)


class WorkingAgent:
    """An agent that updates and reads its session over one connection, and checks every response."""

    def __init__(self, server: Server, secret: str, number: int) -> None:
        self._server = server
        self._secret = secret
        self._number = number
        self._done = 0
        self.session_id = ""
        self.seen = AgentLog()

    async def work(self, going: Callable[[], bool]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            while going():
                await self._update(reader, writer)
                if random.random() < 0.3:
                    await self._read_something(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def _update(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One update, repeated under its op_id until it is acknowledged."""
        op_id = f"agent-{self._number}-op-{self._done + 1}"
        body = {
            "delta": {"page_state": {"filters": {"n": self._done + 1}}},
            "action": "step",
            "input": {"n": self._done + 1},
            "op_id": op_id,
        }
        tried, began = False, time.monotonic()
        while True:
            sent = time.monotonic()
            status, answer = await self._send(reader, writer, "POST", "state", body)
            if status == 503:
                self.seen.unknown_outcomes += "op_id" in answer
                assert answer.get("op_id", op_id) == op_id
                tried = True
                await asyncio.sleep(0.02)
                if time.monotonic() > began + NEVER_SECONDS:
                    raise AssertionError("never served again")
                continue
            assert status == 200, (status, answer)
            self._done += 1
            self.seen.acknowledged.append(op_id)
            assert answer["op_id"] == op_id
            if not (answer["applied"] or tried):  # the server lost a reply and found the update: only in an outage
                self.seen.found_there.append((sent, time.monotonic()))
            assert answer["currentState"]["filters"] == {"n": self._done}
            self.session_id = self.session_id or answer["sessionId"]
            assert answer["sessionId"] == self.session_id, "the same session all the time"
            return

    async def _read_something(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = random.choice(["state", "diff", "history?limit=1"])
        status, answer = await self._send(reader, writer, "GET", path)
        if status == 503:
            return
        assert status == 200, (status, answer)
        match path:
            case "state":
                assert answer["currentState"]["filters"] == {"n": self._done}
                assert answer["statistics"]["totalActions"] == self._done
            case "diff":
                assert answer["last_action"]["op_id"] == self.seen.acknowledged[-1]
            case _:
                assert answer["total"] == self._done + 1
                assert answer["trajectory"][0]["op_id"] == self.seen.acknowledged[-1]

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        sent = json.dumps(body).encode() if body is not None else b""
        head = f"{method} /api/agent/session/{path} HTTP/1.1\r\nHost: x\r\nX-Agent-API-Key: {self._secret}\r\n"
        writer.write(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answered.partition(b"content-length:")[2].partition(b"\r")[0])
        status, told = int(answered[9:12]), json.loads(await reader.readexactly(length))
        self.seen.requests += 1
        now = time.monotonic()
        if status == 503:
            assert told["success"] is False
            self.seen.refusals.append(now)
        else:
            self.seen.served.append(now)
        return status, told


async def run_agents(
    user: Cli,
    redis: ValkeyServer,
    *,
    agents: int,
    seconds: float,
    kills: int,
    recovery: float,
    acts: int,
    refusals: int,
) -> dict[str, Any]:
    """Run agents while Redis is killed. Every acknowledged action must be in its session once. Returns figures.

    On a slow machine it takes longer than `seconds`: until this many `acts` and `refusals` have been counted.
    """
    secrets = []
    async with StateManager.open(redis.settings(archive_url=user.env["AWI_ARCHIVE_URL"])) as manager:
        for number in range(agents):
            made = await manager.agents.register(f"agent {number}", permissions=["read", "write"])  # type: ignore[list-item]
            secrets.append(made.secret)
    with serving(user, "--rate-limit", "0") as server:
        outages: list[tuple[float, float]] = []
        working = [WorkingAgent(server, secret, number) for number, secret in enumerate(secrets)]
        until = time.monotonic() + seconds
        acted = lambda: sum(len(one.seen.acknowledged) for one in working)  # noqa: E731
        refused = lambda: sum(len(one.seen.refusals) for one in working)  # noqa: E731
        going = lambda: time.monotonic() < until or acted() <= acts or len(outages) < kills  # noqa: E731
        tasks = [asyncio.create_task(one.work(going)) for one in working]
        for _ in range(kills):
            await asyncio.sleep((seconds - kills * DOWN_SECONDS) / (kills + 1))
            while not all(one.seen.served for one in working):
                await asyncio.sleep(0.02)
            killed = time.monotonic()
            await asyncio.to_thread(redis.kill)
            await asyncio.sleep(DOWN_SECONDS)
            while refused() <= refusals:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(redis.start)
            outages.append((killed, time.monotonic()))
        await asyncio.gather(*tasks)
        assert "traceback" not in server.log()

    seen = [one.seen for one in working]
    slowest = 0.0
    for _, back in outages:
        for one in seen:
            slowest = max(slowest, next(moment for moment in one.served if moment > back) - back)
    for one in seen:
        for moment in one.refusals:
            assert any(killed <= moment <= back + recovery for killed, back in outages), "503 for no reason"
        for sent, answered in one.found_there:
            assert any(sent <= back and killed <= answered for killed, back in outages), "applied before it was sent"
    assert slowest <= recovery

    lost = twice = 0
    async with StateManager.open(redis.settings()) as manager:
        for worker in working:
            document = await manager.get_session_state(worker.session_id)
            assert document is not None
            actions = document["history"]["actions"]
            assert [action["t"] for action in actions] == list(range(len(actions)))
            there = [action["op_id"] for action in actions[1:]]
            lost += len(set(worker.seen.acknowledged) - set(there))
            twice += len(there) - len(set(there))
            assert len(set(there) - set(worker.seen.acknowledged)) == 0
    assert (lost, twice) == (0, 0)
    return {
        "requests": sum(one.requests for one in seen),
        "acknowledged actions": sum(len(one.acknowledged) for one in seen),
        "answers of 503": sum(len(one.refusals) for one in seen),
        "outcomes unknown": sum(one.unknown_outcomes for one in seen),
        "lost": lost,
        "applied twice": twice,
        "slowest recovery, s": round(slowest, 3),
    }


def user_and_redis(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> tuple[Cli, ValkeyServer]:
    redis = new_valkey("--appendonly", "yes", "--appendfsync", "always")
    return user.having(
        REDIS_SOCKET=str(redis.socket),
        AWI_ARCHIVE_URL=f"sqlite:///{user.home}/archive.db",
        AWI_MAX_ACTIONS_PER_SESSION="1000000",
    ), redis


async def test_redis_is_killed_once(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    having, redis = user_and_redis(user, new_valkey)
    recovery = BUSY_RECOVERY_SECONDS
    told = await run_agents(having, redis, agents=8, seconds=4, kills=1, recovery=recovery, acts=30, refusals=8)
    assert told["acknowledged actions"] > 30 and told["answers of 503"] > 8


@pytest.mark.soak
async def test_64_agents_for_a_minute_and_redis_is_killed_twice(
    user: Cli, new_valkey: Callable[..., ValkeyServer]
) -> None:
    having, redis = user_and_redis(user, new_valkey)
    recovery = RECOVERY_SECONDS
    told = await run_agents(having, redis, agents=64, seconds=60, kills=2, recovery=recovery, acts=1_000, refusals=8)
    print("\n" + "\n".join(f"{name}: {value:,}" for name, value in told.items()))
    assert told["acknowledged actions"] > 1_000
