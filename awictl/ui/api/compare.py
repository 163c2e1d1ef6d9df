"""The data of the page `compare`: two sessions aligned, as `awictl session compare` does it, some lines at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...document import keys
from ...document.history.run_lines import FOLDED
from ...document.redaction.redact import Redactor
from ...document.timestamps import timestamp
from ...errors import InvalidInput
from ...sessions.whole_session import WholeSession
from ...util.daemon_thread import in_daemon_thread
from ..http.responses import json_response
from ..inspector import Inspector, inspector_of, manager_of
from ..results.comparison import SideBySide, Wanted, opened
from ..results.redacted_sessions import redacted_sessions

#: Maximum number of comparisons that are made, and that are kept, at the same time: each has two sessions in memory.
MAX_COMPARISONS = 2
#: Seconds for which one is kept.
KEPT_SECONDS = 60.0
_ACTION = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)


async def comparison(request: Request) -> Response:
    """Where two sessions diverge, and a part of their lines.

    `a`, `b`: ids of the sessions; `all`: 1 for a line for each of many equal actions. The part begins with the line
    `offset`; without it, it has the action `first` of the first session in it, or `second` of the second one, or else
    the first divergence. `version`: of an earlier response, of which this is another part.
    """
    offset, wanted = _offset(request), _wanted(request)
    folded = None if request.query_params.get("all") == "1" else FOLDED
    async with inspector_of(request).shared(_KeptPairs).pair(request) as pair:
        value = await in_daemon_thread(lambda: pair.aligned(folded).part(offset, wanted))
    return json_response(
        request, value | {"version": pair.version, "compared_at": pair.at, "now": timestamp()}, redacted=True
    )


async def step(request: Request) -> Response:
    """An action of one session, or of both, with its input and outcome, and in what they differ.

    `a`, `b`: ids of the sessions; `first`, `second`: the names of the actions in them; see `Wanted`. `version`: of the
    comparison.
    """
    wanted = _wanted(request)
    async with inspector_of(request).shared(_KeptPairs).pair(request) as pair:
        value = await in_daemon_thread(lambda: opened(*pair.wholes, wanted))
    return json_response(request, value, redacted=True)


ROUTES = [Route("/api/compare", comparison), Route("/api/compare/step", step)]


def _wanted(request: Request) -> Wanted:
    found = Wanted(*(request.query_params.get(name) or None for name in Wanted._fields))
    for one in found:
        if one is not None and not _ACTION.fullmatch(one):
            raise InvalidInput(f"an action is named by its number, such as 17, and not {one!r:.80}")
    return found


def _offset(request: Request) -> int | None:
    text = request.query_params.get("offset")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InvalidInput(f"offset must be a number from 0 on, not {text!r:.80}")
    return int(text)


class _Pair:
    """Two sessions as they were at a time."""

    def __init__(self, version: str, wholes: tuple[WholeSession, WholeSession]) -> None:
        self.version = version
        self.wholes = wholes
        self.at = timestamp()
        self._aligned: dict[int | None, SideBySide] = {}

    def aligned(self, folded: int | None) -> SideBySide:
        """The sessions, aligned."""
        if folded not in self._aligned:
            self._aligned[folded] = SideBySide(*self.wholes, folded)
        return self._aligned[folded]


class _KeptPairs:
    """The pairs that were compared last, for the further parts that their pages load."""

    def __init__(self, _: Inspector) -> None:
        self._turns = asyncio.Semaphore(MAX_COMPARISONS)
        self._pairs: dict[tuple[str, str, str], _Pair] = {}
        self._versions = count(1)

    @asynccontextmanager
    async def pair(self, request: Request) -> AsyncIterator[_Pair]:
        """The sessions that a request names, while few others are compared."""
        first, second = _ids(request)
        async with self._turns:
            pair = self._pairs.get((first, second, request.query_params.get("version", "")))
            if pair is None:
                pair = _Pair(str(next(self._versions)), await _sessions(request, first, second))
                self._keep(first, second, pair)
            yield pair

    def _keep(self, first: str, second: str, pair: _Pair) -> None:
        if any(one.degraded for one in pair.wholes):
            return
        key = first, second, pair.version
        while len(self._pairs) >= MAX_COMPARISONS:
            del self._pairs[next(iter(self._pairs))]
        self._pairs[key] = pair
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._pairs.pop, key, None)


def _ids(request: Request) -> tuple[str, str]:
    first, second = (request.query_params.get(name, "") for name in ("a", "b"))
    if not (first and second):
        raise InvalidInput("the ids of two sessions are needed: a and b")
    return keys.check_session_id(first), keys.check_session_id(second)


async def _sessions(request: Request, first: str, second: str) -> tuple[WholeSession, WholeSession]:
    """Both sessions, redacted if that is wanted."""
    read = {one: await manager_of(request).time_travel.whole(one) for one in dict.fromkeys((first, second))}
    wholes = read[first], read[second]
    redaction = inspector_of(request).options.redaction
    if redaction is None:
        return wholes
    one, other = await in_daemon_thread(lambda: redacted_sessions(wholes, Redactor(redaction)))
    return one, other
