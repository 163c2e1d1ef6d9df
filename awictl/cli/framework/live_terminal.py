"""A picture that is redrawn in place, and the signals that end or suspend its command."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from .exit_after import exit_after
from .params import CommandExit

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from .keyboard import Keyboard

#: Signals that end a command; it restores the terminal first.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
#: Seconds that a command may take to end after a signal.
STUCK_SECONDS = 2.0


def ending_signals() -> dict[signal.Signals, int]:
    """The signals that end a command, with its exit codes, except signals that are ignored, as `nohup` has it."""
    return {one: 128 + one for one in _ENDING if signal.getsignal(one) is not signal.SIG_IGN}


@contextmanager
def ended_by(codes: Mapping[signal.Signals, int], end: Callable[[int], object]) -> Iterator[None]:
    """Call `end` with the exit code of a signal when it arrives. `codes`: the signals with their exit codes.

    If the command has not ended STUCK_SECONDS later, its process ends: a terminal that takes no output blocks the loop.
    """
    loop = asyncio.get_running_loop()
    for number, code in codes.items():
        loop.add_signal_handler(number, end, code)
        signal.signal(number, partial(_exit_later, code))  # called besides, even while the loop is blocked
    try:
        yield
    finally:
        for number in codes:
            loop.remove_signal_handler(number)


def _exit_later(code: int, *_: object) -> None:
    exit_after(STUCK_SECONDS, lambda: code)


def can_be_suspended() -> bool:
    """Whether a shell with job control can continue this process. If not, the kernel ignores Ctrl-Z, too."""
    parent = os.getppid()
    try:
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    except ProcessLookupError:
        return False


class LiveTerminal:
    """Draws pictures over each other. The cursor is shown again at the end, however that comes, and while suspended."""

    def __init__(self, new_live: Callable[[], Live], keyboard: Keyboard | None = None) -> None:
        """`new_live`: makes the display. It is started at the first picture, and with it the `keyboard`."""
        self._new_live = new_live
        self._keyboard = keyboard
        self._live: Live | None = None
        self._picture: RenderableType = ""

    def show(self, picture: RenderableType) -> None:
        """Draw a picture over the last one."""
        self._picture = picture
        if self._live is None:
            if self._keyboard is not None:
                self._keyboard.start()
            self._live = self._new_live()
            self._live.start()
        self._live.update(picture, refresh=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Handle signals. The last picture stays on the terminal."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        codes: list[int] = []

        def end(code: int) -> None:
            codes.append(code)
            if task is not None:
                task.cancel()

        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        if self._keyboard is not None:
            self._keyboard.on_lost = partial(end, 128 + signal.SIGHUP)
            # the shell has changed the terminal meanwhile, also if it was SIGSTOP that suspended this process
            loop.add_signal_handler(signal.SIGCONT, self._draw_again)
            loop.add_signal_handler(signal.SIGWINCH, self._redraw)
        try:
            with ended_by(ending_signals(), end):
                try:
                    yield
                finally:
                    self._stop()
        except asyncio.CancelledError:
            if codes:
                raise CommandExit(codes[0]) from None
            raise
        finally:
            for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self._keyboard is not None:
            self._keyboard.stop()
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _redraw(self) -> None:
        """Draw the picture again, in the size that the terminal has now."""
        if self._live is not None:
            self.show(self._picture)

    def _draw_again(self) -> None:
        """Draw the picture on a terminal whose modes another process may have changed."""
        if self._live is not None:
            self._stop()
            self.show(self._picture)

    def _suspend(self) -> None:
        """Restore the terminal, suspend this process as Ctrl-Z does by default, and draw again below."""
        drawn = self._live is not None
        self._stop()
        loop = asyncio.get_running_loop()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        if drawn:
            self.show(self._picture)
