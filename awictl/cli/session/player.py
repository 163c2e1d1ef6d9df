"""The player of `session replay`: which action is shown, until when, and what the keys do. It knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from ...errors import AwiError

#: Maximum number of seconds that an action is shown while playing; a longer pause is shortened.
MAX_PAUSE_SECONDS = 3.0
#: Seconds (at speed 1) that an action is shown if it is not known how long it was the last one.
UNKNOWN_PAUSE_SECONDS = 1.0
#: The speeds that the keys + and - can reach.
MIN_SPEED, MAX_SPEED = 1 / 16, 1024.0
#: Number of actions that Page Up and Page Down skip.
PAGE = 10
#: Maximum length of what is typed at the prompt.
_MAX_TYPED = 40


class Pause(NamedTuple):
    """How long an action was the last one, and for how long it is shown."""

    #: As recorded, in seconds; None if it is not known.
    recorded: float | None
    #: In seconds, at the present speed.
    shown: float

    @property
    def is_shortened(self) -> bool:
        """Whether it would be longer at this speed."""
        return self.recorded is not None and self.shown == MAX_PAUSE_SECONDS


def pause_between(earlier: datetime | None, later: datetime | None, speed: float) -> Pause:
    """The pause between two actions with these times. An action that is older than the one before follows at once."""
    if earlier is None or later is None:
        return Pause(None, min(UNKNOWN_PAUSE_SECONDS / speed, MAX_PAUSE_SECONDS))
    recorded = max((later - earlier).total_seconds(), 0.0)
    return Pause(recorded, min(recorded / speed, MAX_PAUSE_SECONDS))


class Player:
    """Plays actions, which it knows by index."""

    def __init__(
        self,
        times: Sequence[datetime | None],
        find: Callable[[str], int],
        clock: Callable[[], float],
        *,
        start: int = 0,
        stop: int | None = None,
        speed: float = 1.0,
        playing: bool = True,
    ) -> None:
        """`times`: when each action was taken. `find`: returns the index of the action that a user names; it raises
        AwiError. `clock`: returns seconds. `start`, `stop`: the indexes of the first action, and of the last one that
        is played."""
        self._times = times
        self._find = find
        self._clock = clock
        self._stop = stop if stop is not None else self.last
        self.index = start
        self.speed = speed
        self.playing = playing and start < self._stop
        #: What the user typed at the prompt for an action; None if there is no prompt.
        self.typed: str | None = None
        #: What he should know of the last key.
        self.message = ""
        self.shows_help = False
        #: Number of lines by which the state is scrolled.
        self.scrolled = 0
        self.ended = False
        self._shown_at = clock()

    @property
    def last(self) -> int:
        """The index of the last action."""
        return len(self._times) - 1

    @property
    def pause(self) -> Pause:
        """How long the action that is shown was the last one."""
        later = self._times[self.index + 1] if self.index < self.last else None
        return pause_between(self._times[self.index], later, self.speed)

    @property
    def remaining(self) -> float | None:
        """Seconds until the next action; None while nothing is played."""
        if not self.playing:
            return None
        return max(self._shown_at + self.pause.shown - self._clock(), 0.0)

    def play_next(self) -> None:
        """Show the next action, when its time has come."""
        self._go(self.index + 1)
        self.playing = self.index != self._stop and self.index < self.last

    def press(self, key: str) -> None:
        """Do what a key does: a character, or the name of a key."""
        self.message = ""
        if self.typed is not None:
            self._type(key)
            return
        match key:
            case "q":
                self.ended = True
            case " ":
                self._play_or_pause()
            case "right" | "n" | "l":
                self._step(1)
            case "left" | "p" | "h":
                self._step(-1)
            case "page down":
                self._step(PAGE)
            case "page up":
                self._step(-PAGE)
            case "home":
                self._step(-self.index)
            case "end":
                self._step(self.last - self.index)
            case "down" | "j":
                self.scrolled += 1
            case "up" | "k":
                self.scrolled = max(self.scrolled - 1, 0)
            case "+" | "=":
                self.speed = min(self.speed * 2, MAX_SPEED)
            case "-":
                self.speed = max(self.speed / 2, MIN_SPEED)
            case "g" | ":":
                self.typed = ""
                self.playing = False
            case "?":
                self.shows_help = not self.shows_help
            case "escape":
                self.shows_help = False

    def _type(self, key: str) -> None:
        typed = self.typed or ""
        if key == "enter":
            self.typed = None
            try:
                if typed:
                    self._go(self._find(typed))
            except AwiError as error:
                self.message = str(error)
        elif key == "escape" or (key == "backspace" and not typed):
            self.typed = None
        elif key == "backspace":
            self.typed = typed[:-1]
        elif len(key) == 1 and len(typed) < _MAX_TYPED:
            self.typed = typed + key

    def _play_or_pause(self) -> None:
        self.playing = not self.playing
        if self.playing:
            self._go(0 if self.index == self.last else self.index)
            if self.index >= self._stop:
                self._stop = self.last
            self.playing = self.index < self.last

    def _step(self, count: int) -> None:
        """Pause, and show the action that is `count` further on."""
        self.playing = False
        self._go(self.index + count)

    def _go(self, index: int) -> None:
        index = min(max(index, 0), self.last)
        if index != self.index:
            self.scrolled = 0
        self.index = index
        self._shown_at = self._clock()
