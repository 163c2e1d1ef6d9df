"""The commands that a server runs, as its MONITOR command tells: from all clients, each with all of its arguments.

A client that reads them too slowly makes the server keep what it has not read yet, without a limit. So what cannot
concern AWI is dropped at first sight, and reading ends where it falls behind all the same.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ...errors import Refused
from .connection import Script, Server

#: Seconds by which reading may fall behind the server.
MOST_BEHIND = 2.0
#: Lines after which other tasks get their turn, and are looked at for being late.
_TURN = 200

_HEAD = re.compile(rb'(\d+)\.(\d{6}) \[(\d+) (.*?)\](?= "|$)', re.DOTALL)
_WORD = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class MonitoredCommand(NamedTuple):
    """A command that the server ran."""

    #: Microseconds since 1970, by the server's clock.
    at_us: int
    db: int
    #: The address of who sent it; `lua` where a script ran it.
    client: str
    words: list[bytes]


def parse(line: bytes) -> MonitoredCommand | None:
    """A line of MONITOR; None where it is none."""
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


def script_name(given: bytes) -> str | None:
    """The name of a script of `scripts/`, by its source or its hash; None where it is none."""
    return _scripts().get(given) or _scripts().get(given.lower())


class Monitor:
    """Reads the commands of one server for a while."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: How many commands there were, wanted or not.
        self.seen = 0

    async def commands(self, wanted: re.Pattern[bytes], seconds: float) -> AsyncGenerator[MonitoredCommand, None]:
        """The commands in whose lines `wanted` is found, as they are run, for so many seconds.

        Raises AccessDenied, Unreachable, and Refused where the server runs more of them than can be read.
        """
        ahead: float | None = None
        async with aclosing(self._server.stream(("MONITOR",), seconds)) as lines:
            async for line in lines:
                self.seen += 1
                if self.seen % _TURN == 1:
                    await asyncio.sleep(0)
                    late = time.time() - float(line[: line.index(b" ")])
                    ahead = late if ahead is None else min(late, ahead)  # by what the clocks differ
                    if late - ahead > MOST_BEHIND:
                        raise Refused(
                            f"{self._server.where} runs more commands than can be followed: ended after {self.seen:,} "
                            "of them, before it had to keep what is not read"
                        )
                if wanted.search(line) and (command := parse(line)) is not None:
                    yield command
