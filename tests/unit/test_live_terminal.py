"""The terminal is restored, however a command ends that draws on it and reads keys."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from awictl.cli.framework.live_terminal import LiveTerminal
from awictl.cli.framework.params import CommandExit


class Part:
    """Stands for the display, or for the keyboard."""

    def __init__(self) -> None:
        self.running = False
        self.starts = 0

    def start(self) -> None:
        self.running = True
        self.starts += 1

    def stop(self) -> None:
        self.running = False

    def update(self, picture: Any, refresh: bool) -> None:
        assert self.running and refresh


@pytest.fixture
def parts() -> tuple[Part, Part]:
    return Part(), Part()


@pytest.fixture
def terminal(parts: tuple[Part, Part]) -> Iterator[LiveTerminal]:
    display, keyboard = parts
    yield LiveTerminal(lambda: display, keyboard)  # type: ignore[arg-type, return-value]
    assert not display.running and not keyboard.running and display.starts


async def test_an_error(terminal: LiveTerminal) -> None:
    with pytest.raises(RecursionError), terminal.running():
        terminal.show("")
        raise RecursionError


async def test_a_lost_terminal_ends_the_command_as_sighup_does(terminal: LiveTerminal, parts: Any) -> None:
    with pytest.raises(CommandExit) as exit, terminal.running():
        terminal.show("")
        asyncio.get_running_loop().call_soon(parts[1].on_lost)
        await asyncio.sleep(10)
    assert exit.value.code == 128 + signal.SIGHUP


async def test_another_process_changed_the_terminal(terminal: LiveTerminal, parts: Any) -> None:
    with terminal.running():
        terminal.show("")
        os.kill(os.getpid(), signal.SIGCONT)
        while parts[1].starts < 2:  # the modes are set again
            await asyncio.sleep(0.01)
        assert parts[0].running and parts[0].starts == 2
