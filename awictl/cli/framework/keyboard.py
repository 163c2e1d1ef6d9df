"""Keys from the terminal at stdin, one by one, while the event loop runs."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

#: What terminals send for keys that are no characters: ECMA-48, and the variants of xterm, rxvt and the Linux console.
_ENDS = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_NUMBERS = {"1": "home", "7": "home", "4": "end", "8": "end", "5": "page up", "6": "page down"}
_SEQUENCES = {f"\x1b{lead}{end}": key for lead in "[O" for end, key in _ENDS.items()} | {
    f"\x1b[{number}~": key for number, key in _NUMBERS.items()
}
_CONTROLS = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace"}
#: A whole escape sequence, and one that may still become longer.
_WHOLE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
_PART = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
#: Seconds after which the Escape key itself was pressed, and not a key with a sequence.
ESCAPE_SECONDS = 0.05


class KeyDecoder:
    """Turns what a terminal sends into keys: characters, or names such as `left`, `enter` and `page up`."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("ignore")
        self._pending = ""

    @property
    def is_pending(self) -> bool:
        """Whether the last characters may be the start of a sequence."""
        return bool(self._pending)

    def feed(self, data: bytes) -> Iterator[str]:
        """The keys in what was read. Unknown sequences and control characters are left out."""
        text = self._pending + self._text.decode(data)
        self._pending = ""
        while text:
            if match := _WHOLE.match(text):
                if match[0] in _SEQUENCES:
                    yield _SEQUENCES[match[0]]
            elif match := _PART.match(text):
                if match.end() == len(text):
                    self._pending = text
                    return
                if match[0] == "\x1b":  # the Escape key, or one with Alt
                    yield "escape"
            elif (key := _CONTROLS.get(text[0], text[0])).isprintable():
                yield key
            text = text[match.end() if match else 1 :]

    def end(self) -> Iterator[str]:
        """The key if nothing more follows."""
        pending, self._pending = self._pending, ""
        if pending == "\x1b":
            yield "escape"


class Keyboard:
    """Reads keys from the terminal at stdin. Ctrl-C and Ctrl-Z stay signals."""

    def __init__(self) -> None:
        self.keys: asyncio.Queue[str] = asyncio.Queue()
        #: Called when there is no terminal any more.
        self.on_lost: Callable[[], object] = lambda: None
        self._decoder = KeyDecoder()
        self._modes: list[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Let the terminal send each key at once, without showing it."""
        import termios
        import tty

        if self._modes is None:
            number = sys.stdin.fileno()
            self._modes = termios.tcgetattr(number)
            tty.setcbreak(number, termios.TCSANOW)  # does not wait until a blocked terminal has taken all output
            asyncio.get_running_loop().add_reader(number, self._read)

    def stop(self) -> None:
        """Restore the modes of the terminal."""
        import termios

        if self._timer is not None:
            self._timer.cancel()
        modes, self._modes = self._modes, None
        if modes is not None:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            with suppress(termios.error):  # the terminal is lost
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, modes)

    def _read(self) -> None:
        try:
            data = os.read(sys.stdin.fileno(), 1024)
        except BlockingIOError:  # another process made the terminal non-blocking, and read the key
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.on_lost()
        if self._timer is not None:
            self._timer.cancel()
        self._put(self._decoder.feed(data))
        if self._decoder.is_pending:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(ESCAPE_SECONDS, lambda: self._put(self._decoder.end()))

    def _put(self, keys: Iterator[str]) -> None:
        for key in keys:
            self.keys.put_nowait(key)
