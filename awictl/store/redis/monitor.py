"""Read the commands that a server executes, from its MONITOR command: of all clients, with all arguments.

If a client reads them too slowly, the server buffers them without limit. So lines that cannot concern AWI are dropped
unparsed, and reading stops if it falls behind.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ...errors import Refused
from .server import Script, Server

#: Seconds by which reading may fall behind the server.
MAX_LAG_SECONDS = 2.0
#: Number of lines after which other tasks may run, and the lag is checked.
_CHECK_INTERVAL = 200

# the numbers are bounded, so that the time is one that datetime has
_HEAD = re.compile(rb'(\d{1,11})\.(\d{6}) \[(\d{1,9}) (.*?)\](?= "|$)', re.DOTALL)
_WORD = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class MonitoredCommand(NamedTuple):
    """A command that the server executed."""

    #: Microseconds since 1970, from the server's clock.
    at_us: int
    db: int
    #: Address of the client; `lua` if a script executed the command.
    client: str
    #: The name of the command and its arguments.
    words: list[bytes]


def parse_line(line: bytes) -> MonitoredCommand | None:
    """Parse a line of MONITOR; None if it is not one."""
    head = _HEAD.match(line)
    if head is None:
        return None
    seconds, microseconds, db, client = head.groups()
    words = [_unescaped(word) for word in _WORD.findall(line, head.end())]
    return MonitoredCommand(
        int(seconds) * 1_000_000 + int(microseconds), int(db), client.decode("utf-8", "replace"), words
    )


def _unescaped(word: bytes) -> bytes:
    if b"\\" not in word:
        return word
    return _ESCAPE.sub(lambda one: bytes([int(one[1], 16)]) if one[1] else _CONTROLS.get(one[2], one[2]), word)


@cache
def _scripts() -> dict[bytes, str]:
    scripts = {path.stem: Script(path.stem) for path in (Path(__file__).parent / "scripts").glob("*.lua")}
    sources = {script.source: name for name, script in scripts.items()}
    return sources | {script.sha.encode(): name for name, script in scripts.items()}


def script_name(source_or_hash: bytes) -> str | None:
    """The name of a script in `scripts/`, by its source or its hash; None if it is not one of them."""
    return _scripts().get(source_or_hash) or _scripts().get(source_or_hash.lower())


class Monitor:
    """Reads the commands of one server, or of all masters, for a limited time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: Number of commands read, including those that did not match.
        self.total = 0

    async def commands(
        self, pattern: re.Pattern[bytes], seconds: float, on_change: Callable[[str], None] = lambda _: None
    ) -> AsyncGenerator[MonitoredCommand, None]:
        """The commands whose lines match a pattern, as they are executed, for a number of seconds.

        `on_change`: called with a sentence for operators when a master of a deployment is lost or replaced.
        Raises AccessDenied, Unreachable, and Refused if the server executes more commands than can be read.
        """
        clock_offsets: dict[str, float] = {}
        async with aclosing(self._lines(seconds, on_change)) as lines:
            async for where, line in lines:
                self.total += 1
                if self.total % _CHECK_INTERVAL == 1:
                    await asyncio.sleep(0)
                    try:
                        age = time.time() - float(line.partition(b" ")[0])
                    except ValueError:
                        raise self._server.malformed(f"its MONITOR sends {line!r:.80}") from None
                    # the smallest age of a line so far approximates the difference between the two clocks
                    clock_offset = clock_offsets[where] = min(age, clock_offsets.get(where, age))
                    if age - clock_offset > MAX_LAG_SECONDS:
                        raise Refused(
                            f"{where} executes more commands than can be read: stopped after "
                            f"{self.total:,}, so that the server need not buffer them"
                        )
                if pattern.search(line) and (command := parse_line(line)) is not None:
                    yield command

    async def _lines(self, seconds: float, on_change: Callable[[str], None]) -> AsyncGenerator[tuple[str, bytes], None]:
        """The address of a server, and a line that its MONITOR sent."""
        from .master_streams import MasterStreams, has_one_server

        where = self._server.where
        if await has_one_server(self._server):
            async with aclosing(self._server.stream(("MONITOR",), seconds)) as lines:
                async for line in lines:
                    yield where, line
            return
        async with aclosing(MasterStreams(self._server, ("MONITOR",), on_change).read(seconds)) as found:
            async for one in found:
                yield one
