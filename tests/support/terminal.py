"""Run a command on a pseudo-terminal and read its screen through a terminal emulator."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pexpect
import pyte

from . import forking
from .cli import LIMIT_SECONDS, Cli

#: Escape sequences that the emulator would print in part: the keyboard protocol of newer terminals.
_UNKNOWN = re.compile(rb"\x1b\[[<>=?]\d*u")
#: Where Rich begins to redraw a live view or a progress bar in place: it erases the previous picture.
_REDRAW = re.compile(rb"(?=\r\x1b\[2K)")
ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"
CTRL_C, CTRL_Z, ESCAPE, ENTER = "\x03", "\x1a", "\x1b", "\r"
#: Height of the terminal, in rows.
ROWS = 30


def lines_of(screen: pyte.Screen) -> list[str]:
    """The lines on a screen, without trailing spaces: as `screen.display`, which takes ten times as long."""
    rows = [screen.buffer.get(y, {}) for y in range(screen.lines)]
    # the cell behind a wide character is empty
    return ["".join(row[x].data for x in range(max(row, default=-1) + 1)).rstrip() for row in rows]


class _ForkedOnTerminal:
    """A forked command on a pseudo-terminal, with the methods of `pexpect.spawn` that the tests use."""

    def __init__(self, user: Cli, words: Sequence[str], dimensions: tuple[int, int]) -> None:
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, dimensions)
        self._forked = forking.start(words, cwd=user.home, env=user.env, fds=(theirs,) * 3, on_terminal=True)
        os.close(theirs)
        self.pid = self._forked.pid
        self.exitstatus: int | None = None
        self.signalstatus: int | None = None

    def read_nonblocking(self, size: int, timeout: float) -> bytes:
        if not select.select([self._ours], [], [], timeout)[0]:
            raise pexpect.TIMEOUT("no output")
        try:
            if data := os.read(self._ours, size):
                return data
        except OSError:  # EIO: the command has closed the terminal
            pass
        raise pexpect.EOF("no more output")

    def send(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._ours, data) :]

    def setwinsize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._ours, (rows, columns))

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    def isalive(self) -> bool:
        try:
            self._forked.wait(0)
        except subprocess.TimeoutExpired:
            return True
        return False

    def close(self, force: bool = False) -> None:
        if self._ours < 0:
            return
        if force and self.isalive():
            self.kill(signal.SIGKILL)
        code = self._forked.wait(LIMIT_SECONDS)
        self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)
        self._forked.close()
        os.close(self._ours)
        self._ours = -1


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(
        self,
        user: Cli,
        words: Sequence[str],
        columns: int,
        rows: int = ROWS,
        script: str | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        #: All bytes that were sent to the terminal.
        self.sent = b""
        #: Those that the emulator has not processed yet, one item per picture that is drawn in place.
        self._unseen: deque[bytes] = deque()
        if script is None and not user.starts_afresh:
            self.process = _ForkedOnTerminal(user, words, (rows, columns))
            return
        command = [sys.executable, "-m", "awictl", *words]
        if script is not None:
            command = ["bash", "-mc", script, "bash", *command]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+: forkpty in a process with threads
            self.process = pexpect.spawn(
                command[0],
                command[1:],
                cwd=str(user.home),
                env=user.env,
                dimensions=(rows, columns),
                timeout=LIMIT_SECONDS,
            )

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without trailing spaces."""
        return lines_of(self.screen)

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines)

    def until(self, *shown: str | Callable[[str], bool]) -> str:
        """Wait until the screen contains all these texts, and fulfils all these conditions; return its text.

        A screen arrives in pieces: what is asserted of it afterwards has to be among `shown`, or it may not be there
        yet. A picture that is soon drawn over is not missed.
        """
        deadline = time.monotonic() + LIMIT_SECONDS
        while not all(one in text if isinstance(one, str) else one(text) for text in [self.text] for one in shown):
            assert time.monotonic() < deadline, f"never shown: {shown}\n{self.text}"
            assert self._read(0.2), f"ended before it showed {shown}\n{self.text}\n{self.sent[-500:]!r}"
        return self.text

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.process.send(key)

    def resize(self, columns: int, rows: int | None = None) -> None:
        """Change the size of the terminal, as a user resizes the window. `rows`: None keeps the height."""
        self.screen.resize(rows or self.screen.lines, columns)
        self.process.setwinsize(self.screen.lines, columns)

    def interrupt(self) -> None:
        """Send SIGINT to the process, without the terminal."""
        self.process.kill(signal.SIGINT)

    def end(self) -> int | None:
        """Wait until the command has ended; return its exit code."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while self._read(0.2):
            assert time.monotonic() < deadline, self.text
        self.process.close()
        code: int | None = self.process.exitstatus
        return code

    def _read(self, seconds: float) -> bool:
        """Show one more picture of the output, for which it waits up to `seconds`; return whether there may be more."""
        if self._unseen:
            self._stream.feed(self._unseen.popleft())
            return True
        try:
            data = self.process.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.sent += data
        self._unseen.extend(_REDRAW.split(_UNKNOWN.sub(b"", data)))
        return True


@contextmanager
def on_terminal(
    user: Cli, *words: str, columns: int = 80, rows: int = ROWS, script: str | None = None
) -> Iterator[Terminal]:
    """Run `awictl WORDS` on a terminal; it is killed when the block ends.

    `script`: one of bash, with job control, that runs the command as `"$@"`.
    """
    terminal = Terminal(user, words, columns, rows, script)
    try:
        yield terminal
    finally:
        terminal.process.close(force=True)
