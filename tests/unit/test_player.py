"""The player of `session replay`, with a clock of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from awictl.cli.session.player import MAX_PAUSE_SECONDS, MAX_SPEED, MIN_SPEED, Player, pause_between
from awictl.errors import NotFound

START = datetime(2026, 11, 23, 7, tzinfo=UTC)
#: Seconds after the start at which the actions were taken.
SECONDS = (0, 1, 3, 3, 303, 304)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def find(text: str) -> int:
    if not text.isdecimal():
        raise NotFound(f"there is no action {text}")
    return int(text)


def player(clock: Clock, **given: Any) -> Player:
    return Player([START + timedelta(seconds=one) for one in SECONDS], find, clock, **given)


def press(one: Player, *keys: str) -> None:
    for key in keys:
        one.press(key)


def played(one: Player, clock: Clock) -> list[tuple[int, float]]:
    """The index and the time of each action that is shown until nothing is played any more."""
    found = []
    while (remaining := one.remaining) is not None:
        clock.now += remaining
        one.play_next()
        found.append((one.index, clock.now - 100))
    return found


def test_it_plays_at_the_pace_of_the_timestamps(clock: Clock) -> None:
    one = player(clock)
    assert played(one, clock) == [(1, 1), (2, 3), (3, 3), (4, 3 + MAX_PAUSE_SECONDS), (5, 4 + MAX_PAUSE_SECONDS)]
    assert not one.playing and not one.ended, "it stays at the end"


def test_speed_divides_the_pauses(clock: Clock) -> None:
    one = player(clock, speed=4)
    assert [at for _, at in played(one, clock)] == [0.25, 0.75, 0.75, 3.75, 4]
    one = player(clock, speed=200)
    press(one, "end", "left", "left")
    assert one.pause == (300, 1.5) and not one.pause.is_shortened
    press(one, "-")
    assert one.pause == (300, 3.0) and one.pause.is_shortened and one.speed == 100


def test_a_key_meanwhile_does_not_prolong_the_pause(clock: Clock) -> None:
    one = player(clock)
    clock.now += 0.75
    press(one, "?")
    assert one.remaining == 0.25 and one.shows_help
    press(one, "+")
    assert one.remaining == 0, "its time at the new speed is over"
    clock.now += 3600
    one.play_next()
    assert (one.index, one.remaining) == (1, 1), "after a suspension, the next pause is a whole one"


def test_pauses_that_are_not_known() -> None:
    assert pause_between(None, START, 4) == (None, 0.25) == pause_between(START, None, 4)
    assert pause_between(START, START - timedelta(hours=1), 1) == (0, 0), "the clock of the writer was set back"
    assert not pause_between(None, None, 0.01).is_shortened


def test_step_back_jump_and_ends(clock: Clock) -> None:
    one = player(clock)
    for keys, index in [
        (("right",), 1),
        (("n", "n"), 3),
        (("left", "p"), 1),
        (("home", "left"), 0),
        (("end", "right"), 5),
        (("page up",), 0),
        (("page down",), 5),
        (("g", "3", "enter"), 3),
        ((":", "2", "2", "backspace", "enter"), 2),
        (("g", "5", "escape"), 2),
        (("g", "backspace", "n"), 3),
        (("g", "9", "9", "enter"), 5),
        (("g", "enter"), 5),
    ]:
        press(one, *keys)
        assert (one.index, one.playing, one.typed, one.message) == (index, False, None, ""), keys
    press(one, "g", "x", "enter")
    assert (one.index, one.message) == (5, "there is no action x")
    press(one, "left")
    assert one.message == ""
    press(one, "q")
    assert one.ended


def test_what_is_typed_is_no_command(clock: Clock) -> None:
    one = player(clock)
    press(one, "g", "q", "?", "left", *"x" * 100)
    assert not one.ended and not one.shows_help and one.typed is not None and one.typed.startswith("q?x")
    assert len(one.typed) <= 40


def test_pause_and_play(clock: Clock) -> None:
    one = player(clock, playing=False)
    assert one.remaining is None
    press(one, " ")
    assert one.remaining == 1
    press(one, " ")
    assert one.remaining is None
    press(one, "end", " ")
    assert (one.index, one.playing) == (0, True), "at the end, it plays from the start again"
    press(one, "right")
    assert not one.playing


def test_a_part(clock: Clock) -> None:
    one = player(clock, start=1, stop=3)
    assert [index for index, _ in played(one, clock)] == [2, 3]
    press(one, " ")
    assert [index for index, _ in played(one, clock)] == [4, 5], "and then on to the end"
    one = player(clock, start=1, stop=3)
    press(one, "home")
    assert one.index == 0, "keys reach all actions"
    assert player(clock, start=3, stop=3).remaining is None


def test_scrolling_starts_again_at_the_next_action(clock: Clock) -> None:
    one = player(clock, playing=False)
    press(one, "up", "down", "j", "k", "down")
    assert one.scrolled == 2
    press(one, "left")
    assert one.scrolled == 2, "there was none to go to"
    press(one, "right")
    assert one.scrolled == 0


def test_speeds_have_limits(clock: Clock) -> None:
    one = player(clock)
    press(one, *"+" * 30)
    assert one.speed == MAX_SPEED
    press(one, *"-" * 30)
    assert one.speed == MIN_SPEED


def test_a_single_action(clock: Clock) -> None:
    one = Player([None], find, clock)
    assert one.remaining is None
    press(one, " ", "right", "left", "end", "home")
    assert (one.index, one.playing) == (0, False)
