"""What the proofs of the fallback check can fail: it notices each kind of fault in a trajectory and in an answer."""

from __future__ import annotations

from typing import Any

import pytest
from support.agent_requests import Answer
from support.fallback_agents import Act, Agent, Ledger
from support.outage import Found, compare

SESSION_ID = "sess_1"


def act(n: int, degraded: bool = False) -> Act:
    return Act(n, f"op-{n}", SESSION_ID, degraded, float(n))


def action(n: int, t: int | None = None) -> dict[str, Any]:
    return {
        "t": n if t is None else t,
        "input": {"n": n, "marker": f"0.{n}.1"},
        "op_id": f"op-{n}",
        "timestamp": f"2026-11-27T10:00:0{n if t is None else t}.000Z",
    }


def faults(actions: list[dict[str, Any]], *, apart: bool = False) -> set[str]:
    """Of a session with four acknowledged updates, the third one degraded, and a fifth that may be there."""
    ledger = Ledger(acts=[act(n, n == 3) for n in (1, 2, 3, 4)], maybe={5}, refused={"0.6.1"})
    result = Found()
    compare(ledger, SESSION_ID, [{"t": 0, "input": None, "timestamp": ""}, *actions], result, apart)
    return set(result.faults)


@pytest.mark.parametrize(
    "ns, wrong",
    [
        ([1, 2, 3, 4], set()),
        ([1, 2, 3, 4, 5], set()),
        ([1, 2, 4], {"lost"}),
        ([1, 2, 2, 3, 4], {"twice"}),
        ([1, 2, 4, 3], {"swapped"}),
        ([1, 2, 3, 4, 6], {"refused_but_there", "strange"}),
        ([], {"lost"}),
    ],
)
def test_a_trajectory(ns: list[int], wrong: set[str]) -> None:
    assert faults([action(n, t) for t, n in enumerate(ns, 1)]) == wrong


def test_numbers_that_repeat_and_times_that_go_back() -> None:
    actions = [action(1), action(2), action(3), action(4)]
    assert faults([*actions[:3], action(4, t=3)]) == {"strange"}
    actions[3]["timestamp"] = actions[0]["timestamp"]
    assert faults(actions) == {"swapped"}


def test_one_server_cut_off() -> None:
    """Its updates may come later than those of the other one, but in order."""
    assert faults([action(n, t) for t, n in enumerate([1, 2, 4, 3], 1)], apart=True) == set()
    assert faults([action(n, t) for t, n in enumerate([2, 1, 4, 3], 1)], apart=True) == {"swapped"}


async def wrong_answers(path: str, body: dict[str, Any], *, degraded: bool, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many answers are wrong, of an agent with three acknowledged updates, the second one degraded."""
    agent = Agent(0, "", [1], 0)
    agent.ledger.acts += [act(1), act(2, True), act(3)]
    headers = {"x-awi-degraded": "1"} if degraded else {}
    marks = {"degraded": True} if degraded else {}

    async def answered(*_: object) -> Answer:
        return Answer(200, headers, {"sessionId": SESSION_ID, **body, **marks})

    monkeypatch.setattr("support.fallback_agents.Connection.send", answered)
    await agent.read(path)
    return len(agent.ledger.wrong)


@pytest.mark.parametrize(
    "n, degraded, wrong", [(3, False, 0), (2, False, 1), (4, False, 1), (3, True, 0), (2, True, 0), (1, True, 1)]
)
async def test_a_state(monkeypatch: pytest.MonkeyPatch, n: int, degraded: bool, wrong: int) -> None:
    body = {"currentState": {"filters": {"n": n}}}
    assert await wrong_answers("state", body, degraded=degraded, monkeypatch=monkeypatch) == wrong


@pytest.mark.parametrize(
    "ns, degraded, wrong",
    [
        ([3, 2, 1], False, 0),
        ([3, 1], False, 1),
        ([3, 2, 2, 1], False, 2),
        ([2, 1], True, 0),
        ([3, 2], True, 0),
        ([3, 1], True, 1),
        ([], True, 1),
    ],
)
async def test_a_history(monkeypatch: pytest.MonkeyPatch, ns: list[int], degraded: bool, wrong: int) -> None:
    body = {"trajectory": [action(n) for n in ns]}
    assert await wrong_answers("history?limit=12", body, degraded=degraded, monkeypatch=monkeypatch) == wrong
