"""A scan that all pages share: once for those that ask together, not too often, and never forgotten."""

from __future__ import annotations

import asyncio
import logging

import pytest

from awictl import Unreachable
from awictl.ui.results.shared_scan import MIN_SECONDS, REST_FACTOR, OnStep, SharedScan


class Scene:
    """A scan that waits until it is released, and a clock that the test sets."""

    def __init__(self, turn: asyncio.Lock | None = None) -> None:
        self.now = 1_000.0
        self.runs = 0
        self.release = asyncio.Event()
        self.error: Exception | None = None
        self.scan: SharedScan[int] = SharedScan(self._scan, turn=turn, clock=lambda: self.now)

    async def _scan(self, on_step: OnStep) -> int:
        self.runs += 1
        on_step(7)
        await self.release.wait()
        on_step(5)
        if self.error is not None:
            raise self.error
        return self.runs

    async def finish(self, seconds: float = 0) -> None:
        """Let the scan end after so many seconds of the clock."""
        await asyncio.sleep(0)
        self.now += seconds
        self.release.set()
        await self.scan.wait(10)
        self.release.clear()


async def test_those_who_ask_together_share_one_scan() -> None:
    scene = Scene()
    assert scene.scan.report() == {
        "running": False, "visited": None, "at": None, "age_ms": None, "took_ms": None, "again_ms": 0, "problem": None
    }  # fmt: skip
    for _ in range(50):
        scene.scan.ask()
        scene.scan.ask(again=True)
    await asyncio.sleep(0)
    running = scene.scan.report()
    assert (running["running"], running["visited"], running["at"]) == (True, 7, None)
    await scene.scan.wait(0.001)
    assert scene.scan.running, "waiting has an end, and does not stop the scan"
    await scene.finish(2)
    scene.now += 3
    assert (scene.runs, scene.scan.result) == (1, 1)
    ended = scene.scan.report()
    assert (ended["running"], ended["visited"], ended["took_ms"], ended["age_ms"]) == (False, None, 2_000, 3_000)
    assert ended["at"].endswith("Z") and ended["again_ms"] == (MIN_SECONDS - 3) * 1_000


async def test_a_scan_rests_before_it_is_repeated() -> None:
    scene = Scene()
    scene.scan.ask()
    await scene.finish(2)
    scene.now += MIN_SECONDS - 0.01
    scene.scan.ask(again=True)
    assert not scene.scan.running, "not more often than that, even for an operator"
    scene.now += 0.01
    scene.scan.ask()
    assert not scene.scan.running, "a page that is only open does not keep a server busy with a long scan"
    scene.scan.ask(again=True)
    assert scene.scan.running
    await scene.finish(2)
    scene.now += 2 * REST_FACTOR
    scene.scan.ask()
    await scene.finish()
    assert scene.runs == 3


async def test_a_result_stays_if_a_later_scan_fails() -> None:
    scene = Scene()
    scene.scan.ask()
    await scene.finish()
    before = scene.scan.report()["at"]
    scene.now += MIN_SECONDS
    scene.error = Unreachable("127.0.0.1:1 is away")
    scene.scan.ask()
    await scene.finish()
    failed = scene.scan.report()
    assert (scene.scan.result, failed["problem"], failed["at"]) == (1, "127.0.0.1:1 is away", before)
    assert failed["age_ms"] == MIN_SECONDS * 1_000
    scene.now += MIN_SECONDS
    scene.error = None
    scene.scan.ask()
    await scene.finish()
    assert (scene.scan.result, scene.scan.report()["problem"]) == (3, None)


async def test_an_unexpected_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.error = ZeroDivisionError("a secret")
    scene.scan.ask()
    with caplog.at_level(logging.ERROR, "awictl.ui"):
        await scene.finish()
    assert "log" in (scene.scan.problem or "") and "a secret" not in (scene.scan.problem or "")
    assert "a secret" in caplog.text


async def test_scans_with_one_turn_run_one_after_the_other() -> None:
    turn = asyncio.Lock()
    first, second = Scene(turn), Scene(turn)
    first.scan.ask()
    second.scan.ask()
    await asyncio.sleep(0.001)
    assert (first.runs, second.runs, second.scan.running) == (1, 0, True)
    await first.finish()
    await second.finish()
    assert (first.scan.result, second.scan.result) == (1, 1)


async def test_closing_stops_the_scan() -> None:
    scene = Scene()
    await scene.scan.close()
    scene.scan.ask()
    await asyncio.sleep(0)
    await scene.scan.close()
    assert not scene.scan.running and scene.scan.result is None
