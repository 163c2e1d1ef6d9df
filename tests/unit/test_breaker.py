"""The circuit breaker: thresholds, pauses, one probe at a time, no flapping."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from awictl import Settings, StateManager
from awictl.errors import Unreachable
from awictl.store.breaker import (
    FAILURES,
    PAUSE_SECONDS,
    PROBES,
    BreakerState,
    CircuitBreaker,
)

TIMEOUT = 5.0
WHY = "cannot reach Redis at redis://localhost:6379/0: connection refused"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("redis://localhost:6379/0", TIMEOUT, clock)


def fail(breaker: CircuitBreaker, clock: Clock, seconds: float = 0.001) -> bool:
    """One request that fails after some seconds."""
    began_at = breaker.before()
    clock.now += seconds
    return breaker.failed(began_at, WHY)


def succeed(breaker: CircuitBreaker, clock: Clock) -> None:
    began_at = breaker.before()
    clock.now += 0.001
    breaker.succeeded(began_at)


def opened(breaker: CircuitBreaker, clock: Clock) -> None:
    while not fail(breaker, clock):
        pass


def closed_again(breaker: CircuitBreaker, clock: Clock) -> None:
    clock.now += breaker.seconds_to_probe() or 0.0
    for _ in range(PROBES):
        assert breaker.begin_probe()
        breaker.probe_succeeded()


def test_opens_after_three_failures_in_a_row_and_then_refuses_at_once(breaker: CircuitBreaker, clock: Clock) -> None:
    assert [fail(breaker, clock) for _ in range(FAILURES)] == [False, False, True]
    assert breaker.state is BreakerState.OPEN
    with pytest.raises(Unreachable, match=r"connection refused \(no request is sent .* asked again in 0\.5 s\)"):
        breaker.before()


def test_an_answer_between_failures_starts_the_count_anew(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(5):
        assert not fail(breaker, clock)
        assert not fail(breaker, clock)
        succeed(breaker, clock)
    assert breaker.is_closed


def test_opens_after_one_request_that_took_the_full_timeout(breaker: CircuitBreaker, clock: Clock) -> None:
    succeed(breaker, clock)
    assert fail(breaker, clock, TIMEOUT)


def test_one_slow_request_does_not_open_it_if_a_later_one_was_answered(breaker: CircuitBreaker, clock: Clock) -> None:
    slow = breaker.before()
    clock.now += 1
    succeed(breaker, clock)
    clock.now += TIMEOUT - 1
    assert not breaker.failed(slow, "timed out")
    assert breaker.is_closed


def test_many_requests_on_one_broken_connection_are_one_failure(breaker: CircuitBreaker, clock: Clock) -> None:
    began = [breaker.before() for _ in range(64)]
    clock.now += 0.01
    assert not any(breaker.failed(one, "disconnected") for one in began)
    assert breaker.is_closed
    assert not fail(breaker, clock)
    assert fail(breaker, clock)


def test_failures_of_requests_that_began_before_it_closed_do_not_open_it_again(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    frozen = [breaker.before() for _ in range(3)]
    clock.now += 0.001
    opened(breaker, clock)
    clock.now += TIMEOUT
    closed_again(breaker, clock)
    assert not any(breaker.failed(one, "timed out") for one in frozen)
    assert breaker.is_closed


def test_half_open_one_probe_at_a_time_and_two_close_it(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker, clock)
    assert not breaker.begin_probe()
    clock.now += PAUSE_SECONDS[0]
    assert breaker.begin_probe()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.begin_probe()
    with pytest.raises(Unreachable):
        breaker.before()
    breaker.probe_succeeded()
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.seconds_to_probe() == 0
    assert breaker.begin_probe()
    breaker.probe_succeeded()
    assert breaker.is_closed
    assert breaker.seconds_to_probe() is None
    succeed(breaker, clock)


def test_failed_probes_wait_longer_each_time_up_to_two_seconds(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker, clock)
    pauses = []
    for _ in range(5):
        pause = breaker.seconds_to_probe()
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
        assert breaker.begin_probe()
        breaker.probe_failed(WHY)
        assert breaker.state is BreakerState.OPEN
    assert pauses == pytest.approx([0.5, 1.0, 2.0, 2.0, 2.0])


def test_a_failed_second_probe_starts_the_count_of_probes_anew(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker, clock)
    clock.now += 0.5
    assert breaker.begin_probe()
    breaker.probe_succeeded()
    assert breaker.begin_probe()
    breaker.probe_failed(WHY)
    clock.now += 1.0
    assert breaker.begin_probe()
    breaker.probe_succeeded()
    assert not breaker.is_closed


@pytest.mark.parametrize(("seconds", "pause"), [(9.0, 1.0), (11.0, 0.5)])
def test_opening_again_soon_goes_on_with_the_longer_pause(
    breaker: CircuitBreaker, clock: Clock, seconds: float, pause: float
) -> None:
    opened(breaker, clock)
    closed_again(breaker, clock)
    clock.now += seconds
    opened(breaker, clock)
    assert breaker.seconds_to_probe() == pytest.approx(pause)
    assert breaker.times_opened == 2


def test_reports_each_change_once(breaker: CircuitBreaker, clock: Clock) -> None:
    states: list[BreakerState] = []
    breaker.on_change = lambda: states.append(breaker.state)
    opened(breaker, clock)
    clock.now += 0.5
    assert breaker.begin_probe()
    breaker.probe_failed(WHY)
    closed_again(breaker, clock)
    once = [BreakerState.OPEN, BreakerState.HALF_OPEN]
    assert states == [*once, *once, BreakerState.CLOSED]


def test_says_for_how_long_it_has_been_closed(breaker: CircuitBreaker, clock: Clock) -> None:
    assert breaker.seconds_closed() == math.inf
    opened(breaker, clock)
    assert breaker.seconds_closed() == 0
    closed_again(breaker, clock)
    clock.now += 3
    assert breaker.seconds_closed() == 3


class BreakerMachine(RuleBasedStateMachine):
    """Requests and probes in any order, some of them late, against what the documentation says."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker("redis", TIMEOUT, self.clock)
        self.running: list[float] = []
        self.probing = False
        self.opened_at: list[float] = []

    def opened(self) -> None:
        self.opened_at.append(self.clock.now)

    @rule(seconds=st.sampled_from([0.001, 0.1, 0.5, 1.0, 2.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.breaker.is_closed)
    @rule()
    def begin(self) -> None:
        self.clock.now += 0.001
        self.running.append(self.breaker.before())

    @precondition(lambda self: not self.breaker.is_closed)
    @rule()
    def refused(self) -> None:
        with pytest.raises(Unreachable):
            self.breaker.before()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), answered=st.booleans())
    def finish(self, data: st.DataObject, *, answered: bool) -> None:
        self.clock.now += 0.001
        began_at = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before = self.breaker.state
        if answered:
            self.breaker.succeeded(began_at)
            assert self.breaker.state is before  # only probes close it
        elif self.breaker.failed(began_at, WHY):
            assert before is BreakerState.CLOSED
            self.opened()

    @rule()
    def begin_probe(self) -> None:
        due = self.breaker.seconds_to_probe() == 0
        begun = self.breaker.begin_probe()
        assert begun == (due and not self.probing)
        self.probing = self.probing or begun

    @precondition(lambda self: self.probing)
    @rule(answered=st.booleans())
    def finish_probe(self, *, answered: bool) -> None:
        self.clock.now += 0.001
        self.probing = False
        if answered:
            self.breaker.probe_succeeded()
        else:
            self.breaker.probe_failed(WHY)
            assert self.breaker.state is BreakerState.OPEN

    @invariant()
    def never_flaps(self) -> None:
        # the pauses alone: 0.5 s between two openings, 1 s to the third, and then 2 s
        gaps = [b - a for a, b in zip(self.opened_at, self.opened_at[1:], strict=False)]
        assert all(gap >= PAUSE_SECONDS[0] for gap in gaps)
        for first, third in zip(self.opened_at, self.opened_at[2:], strict=False):
            assert third - first >= PAUSE_SECONDS[0] + PAUSE_SECONDS[1]

    @invariant()
    def counts(self) -> None:
        assert self.breaker.times_opened == len(self.opened_at)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("given", "falls_back"),
    [
        ({"mongodb_uri": "mongodb://localhost/awi"}, True),
        ({"archive_url": "mongodb+srv://mongo.example.com/awi"}, True),
        ({}, False),
        ({"archive_url": "sqlite:///archive.db"}, False),
        ({"archive_url": "sqlite:///archive.db", "mongodb_uri": "mongodb://localhost/awi"}, False),
        ({"mongodb_uri": "mongodb://localhost/awi", "fallback": False}, False),
        ({"mongodb_uri": "mongodb://localhost/awi", "use_redis": False}, False),
    ],
)
async def test_there_is_a_breaker_only_with_a_fallback(given: dict[str, Any], *, falls_back: bool) -> None:
    async with StateManager.open(Settings(**given)) as manager:
        assert (manager.breaker is not None) == manager.settings.falls_back == falls_back
