"""Agents that update and read their sessions through several servers, and check every answer.

An agent does one thing after the other, so it knows what each answer must contain. It repeats what was not
acknowledged, under the op_id that it chose, or that the server named; an update that was sent without one, and never
answered, is given up: it may be in the session or not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .agent_requests import Answer, Connection, NoAnswer

#: Seconds between two attempts.
RETRY_SECONDS = 0.05
#: Actions of a page of the history.
PAGE = 12


class Act(NamedTuple):
    """An acknowledged update."""

    n: int
    op_id: str
    session_id: str
    degraded: bool
    #: When it was acknowledged, in seconds of the monotonic clock.
    at: float


class Read(NamedTuple):
    """An answered read."""

    path: str
    sent: float
    seconds: float
    degraded: bool


@dataclass
class Ledger:
    """What an agent was told."""

    acts: list[Act] = field(default_factory=list)
    #: Numbers of updates that may have been applied.
    maybe: set[int] = field(default_factory=set)
    #: Markers of attempts of which the server said that nothing was changed.
    refused: set[str] = field(default_factory=set)
    reads: list[Read] = field(default_factory=list)
    #: Times at which 503 was answered.
    refusals: list[float] = field(default_factory=list)
    #: Answers that contradict what the agent was told before, and when they came.
    wrong: list[tuple[float, str]] = field(default_factory=list)
    #: Sessions that the agent has ended.
    ended: list[str] = field(default_factory=list)
    #: Ports of the servers that the agent uses, and by session, those of the servers that have answered with it.
    ports: set[int] = field(default_factory=set)
    seen_by: dict[str, set[int]] = field(default_factory=dict)
    broken: int = 0

    @property
    def last(self) -> Act | None:
        return self.acts[-1] if self.acts else None

    def has_left(self, session_id: str) -> bool:
        """Whether the agent got another session after this one, which it had not ended."""
        return session_id not in self.ended and self.acts[-1].session_id != session_id

    def may_leave(self, session_id: str) -> bool:
        """Whether some of the servers have never seen a session.

        If Redis goes away, an agent gets another session from such a server, until the others have recorded what they
        know.
        """
        return self.seen_by.get(session_id, self.ports) < self.ports

    def journaled(self, session_id: str) -> list[int]:
        """Numbers of the updates of a session that were acknowledged as degraded, the newest first."""
        return [act.n for act in reversed(self.acts) if act.degraded and act.session_id == session_id]


class Agent:
    """One agent. `ports`: of the servers, one of which is chosen for each request."""

    def __init__(
        self, number: int, secret: str, ports: Sequence[int], think: float, exact: bool = True, ends: float = 0.0
    ) -> None:
        """`ends`: share of the updates after which it ends its session."""
        self.number = number
        self.ledger = Ledger()
        self.ledger.ports = set(ports)
        self._connections = [Connection(port, secret) for port in ports]
        self._random = random.Random(number)
        self._think = think
        #: Whether answers that are not degraded have all that was acknowledged; not if a server is cut off on its own.
        self._exact = exact
        self._ends = ends
        self._n = 0
        #: The last request.
        self._doing = ""

    def moved(self, ports: Sequence[int]) -> None:
        """Use servers on other ports from now on."""
        self.ledger.ports = set(ports)
        for one, port in zip(self._connections, ports, strict=True):
            one.port = port

    async def run(self, going: asyncio.Event, stop: asyncio.Event) -> None:
        """Work while `going` is set, until `stop` is."""
        try:
            await asyncio.sleep(self._random.uniform(0, self._think))  # not all at once
            while not stop.is_set():
                await going.wait()
                if stop.is_set():
                    break
                if await self.update(stop) and self._random.random() < self._ends:
                    await self.end()
                for _ in range(self._random.choice((1, 2, 3))):
                    await self.read()
                await asyncio.sleep(self._random.uniform(0.5, 1.5) * self._think)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        for one in self._connections:
            await one.close()

    async def update(self, stop: asyncio.Event | None = None) -> bool:
        """Send the next update until it is acknowledged. Returns whether it is.

        Half of the updates have an op_id that the agent chose. Some of these are sent to all servers at the same time.
        """
        self._n += 1
        n, attempt, known = self._n, 0, False
        op_id = f"agent{self.number}-op-{n}" if self._random.random() < 0.5 else None
        several = op_id is not None and self._exact and self._random.random() < 0.1
        while True:
            attempt += 1
            marker = f"{self.number}.{n}.{attempt}"
            body: dict[str, Any] = {
                "delta": {"page_state": {"filters": {"n": n}}},
                "action": "filter",
                "input": {"n": n, "marker": marker},
            }
            if op_id is not None:
                body["op_id"] = op_id
            chosen = self._connections if several else [self._random.choice(self._connections)]
            answers = await self._sent(chosen, "state", body)
            if any(isinstance(one, NoAnswer) and one.sent for one in answers):
                if op_id is None:
                    self.ledger.maybe.add(n)
                    return False
                known = True
            served = [one for one in answers if isinstance(one, Answer) and one.status == 200]
            if served:
                self._acknowledged(n, served)
                return True
            for one in answers:
                if isinstance(one, Answer) and "op_id" in one.body:
                    op_id, known = one.body["op_id"], True
                elif op_id is None and isinstance(one, Answer):
                    self.ledger.refused.add(marker)
            if stop is not None and stop.is_set():
                if known:
                    self.ledger.maybe.add(n)
                return False
            await asyncio.sleep(RETRY_SECONDS)

    async def end(self) -> None:
        """End the session, until that is acknowledged; the agent's next request begins another one."""
        if self.ledger.last is None or self.ledger.last.session_id in self.ledger.ended:
            return
        session_id, known = self.ledger.last.session_id, False
        while True:
            [answer] = await self._sent([self._random.choice(self._connections)], "end", {})
            if isinstance(answer, NoAnswer):
                known = known or answer.sent
            elif answer.status == 200 or (known and answer.status == 404):
                self.ledger.ended.append(session_id)
                if answer.body.get("sessionId", session_id) != session_id:
                    self._wrong(f"another session than {session_id} has ended: {answer.body}")
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _sent(self, chosen: Sequence[Connection], path: str, body: Any) -> list[Answer | NoAnswer]:
        """Send the same request over several connections at the same time."""

        async def one(connection: Connection) -> Answer | NoAnswer:
            self._doing = f"{path} at port {connection.port}"
            try:
                answer = await connection.send("POST", path, body)
            except NoAnswer as error:
                self.ledger.broken += 1
                return error
            if answer.status not in (200, 404):
                self._refused(answer)
            self._seen(answer, connection)
            return answer

        return await asyncio.gather(*map(one, chosen))

    def _seen(self, answer: Answer, connection: Connection) -> None:
        if "sessionId" in answer.body:
            self.ledger.seen_by.setdefault(answer.body["sessionId"], set()).add(connection.port)

    def _refused(self, answer: Answer) -> None:
        self.ledger.refusals.append(time.monotonic())
        if answer.status != 503 or "retry-after" not in answer.headers or answer.body.get("success") is not False:
            self._wrong(f"not a 503 with Retry-After: {answer}")

    def _acknowledged(self, n: int, answers: Sequence[Answer]) -> None:
        [session_id] = {one.body["sessionId"] for one in answers}
        [op_id] = {one.body["op_id"] for one in answers}
        self.ledger.acts.append(Act(n, op_id, session_id, any(one.degraded for one in answers), time.monotonic()))
        if session_id in self.ledger.ended:
            self._wrong(f"update {n} is in {session_id}, which has ended")
        for one in answers:
            if one.body["appliedTo"] is None and one.body["currentState"]["filters"] != {"n": n}:
                self._wrong(f"update {n} is answered with {one.body['currentState']['filters']}")

    async def read(self, path: str | None = None) -> Answer | None:
        """Read something, and compare it with what the agent was told. Returns the answer; None without one."""
        path = path or self._random.choice(("state", "state", "diff", f"history?limit={PAGE}"))
        sent = time.monotonic()
        connection = self._random.choice(self._connections)
        self._doing = f"{path} at port {connection.port}"
        try:
            answer = await connection.send("GET", path)
        except NoAnswer:
            self.ledger.broken += 1
            return None
        if answer.status != 200:
            self._refused(answer)
            return answer
        self._seen(answer, connection)
        now = time.monotonic()
        self.ledger.reads.append(Read(path.partition("?")[0], sent, now - sent, answer.degraded))
        last = self.ledger.last
        if "sessionId" in answer.body and answer.body["sessionId"] in self.ledger.ended:
            self._wrong(f"{path} is that of {answer.body['sessionId']}, which has ended")
        elif last is not None and last.session_id not in self.ledger.ended:
            match path.partition("?")[0]:
                case "state":
                    self._check_state(answer, last)
                case "diff":
                    self._check_diff(answer, last)
                case _:
                    self._check_history(answer, last)
        return answer

    def _may_be(self, last: Act) -> set[int]:
        return {last.n} | {n for n in self.ledger.maybe if n > last.n}

    def _check_state(self, answer: Answer, last: Act) -> None:
        n = (answer.body["currentState"]["filters"] or {}).get("n", 0)
        if answer.degraded or not self._exact:
            journaled = self.ledger.journaled(answer.body["sessionId"])
            if journaled and n < journaled[0] and answer.degraded:
                self._wrong(f"degraded state {n} lacks the journaled {journaled[0]}")
        elif n not in self._may_be(last):
            self._wrong(f"state {n} instead of {last.n}")

    def _check_diff(self, answer: Answer, last: Act) -> None:
        if answer.body["success"] and not answer.degraded and self._exact:
            n = answer.body["last_action"]["input"]["n"]
            if n not in self._may_be(last):
                self._wrong(f"diff of {n} instead of {last.n}")

    def _check_history(self, answer: Answer, last: Act) -> None:
        session_id = answer.body["sessionId"]
        seen = numbers(answer.body["trajectory"])
        sure = [n for n in seen if n not in self.ledger.maybe]
        if len(set(seen)) < len(seen):
            self._wrong(f"history has actions twice: {seen}")
        journaled = self.ledger.journaled(session_id)
        if answer.degraded:
            there = [n for n in sure if n in set(journaled)]
            complete = len(answer.body["trajectory"]) < PAGE
            newer = not complete and sure and min(sure) > journaled[0] if journaled else True
            if there != journaled[: len(there)] or not (there or newer) or (complete and there != journaled):
                self._wrong(f"degraded history {seen} lacks some of the journaled {journaled[:PAGE]}")
        elif self._exact:
            acknowledged = [act.n for act in reversed(self.ledger.acts) if act.session_id == session_id]
            if sure != acknowledged[: len(sure)] or (not sure and last.session_id == session_id):
                self._wrong(f"history {seen} instead of {acknowledged[:PAGE]}")

    def _wrong(self, what: str) -> None:
        self.ledger.wrong.append((time.monotonic(), f"agent {self.number}: {what} ({self._doing})"))


def numbers(actions: Sequence[dict[str, Any]]) -> list[int]:
    """The numbers of an agent's updates among actions, in their order."""
    return [action["input"]["n"] for action in actions if "marker" in (action.get("input") or {})]
