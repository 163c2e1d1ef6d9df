"""A picture that is redrawn in place, and the signals that end or suspend its command."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

#: Signals that end a command; it restores the terminal first.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def ending_signals() -> list[signal.Signals]:
    """The signals that end a command, except those that its parent has it ignore, as `nohup` does."""
    return [one for one in _ENDING if signal.getsignal(one) is not signal.SIG_IGN]


def can_be_suspended() -> bool:
    """Whether a shell with job control can continue this process. If not, the kernel ignores Ctrl-Z, too."""
    parent = os.getppid()
    try:
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    except ProcessLookupError:
        return False


class LiveTerminal:
    """Draws pictures over each other. The cursor is shown again at the end, however that comes, and while suspended."""

    def __init__(self, new_live: Callable[[], Live]) -> None:
        """`new_live`: makes the display. It is started at the first picture."""
        self._new_live = new_live
        self._live: Live | None = None
        self._picture: RenderableType = ""

    def show(self, picture: RenderableType) -> None:
        """Draw a picture over the last one."""
        self._picture = picture
        if self._live is None:
            self._live = self._new_live()
            self._live.start()
        self._live.update(picture, refresh=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Handle signals. The last picture stays on the terminal."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        ended: list[signal.Signals] = []

        def end(number: signal.Signals) -> None:
            ended.append(number)
            if task is not None:
                task.cancel()

        ending = ending_signals()
        for number in ending:
            loop.add_signal_handler(number, end, number)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        try:
            yield
        except asyncio.CancelledError:
            if ended:
                raise typer.Exit(128 + ended[0]) from None
            raise
        finally:
            for number in (*ending, signal.SIGTSTP):
                loop.remove_signal_handler(number)
            self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

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
