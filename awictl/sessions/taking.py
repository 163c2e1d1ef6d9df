"""Take a session away from its agent, and record its end.

The app updates a session by reading it, changing it, and writing all of it, without comparing. A `session_end` that is
written into the session of a busy agent is followed or overwritten by the agent's next update, so that one end would
take many attempts, and leave many marks. So a session is taken first: one script moves its string, whatever it is at
that moment, into the hash AWI:ENDING. The agent's next read finds no session. The string stays in Redis until it is
archived; only then is it deleted. No other writer can hold that up.

An update that the agent read before that and writes after it brings the session back, without the end. So a session
that was updated just now is observed for a moment: if it comes back, that version is taken, too, and rejoined with the
first, so that no action is lost. The end is recorded when the agent has noticed; that is why there is only one. If an
even later write brings back a session that has been archived, its actions are archived after the end: by the same
`session end` if it sees them, which then records another end, or by a sweep.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from ..document.action_numbers import required_actions
from ..document.rejoin import rejoined
from ..document.schema import SESSION_END, as_object, has_ended
from ..document.splice import base_from_string
from ..document.timestamps import parse_timestamp
from ..document.update import ending
from ..store.base import SessionStore
from ..store.endings import SEPARATOR
from .update import Updater

#: Seconds after which a session that was taken is expected to stay away: an update of the app takes a few milliseconds
#: between its read and its write.
QUIET_SECONDS = 0.03
#: Seconds for which to wait until a session stays away; then its end is recorded in any case.
MAX_SECONDS = 1.0
#: A session without an update for this long is taken not to be updated at this moment.
IDLE = timedelta(seconds=5)


class Taking:
    """Takes one session of a store to end it."""

    def __init__(self, store: SessionStore, updater: Updater, session_id: str) -> None:
        self._store = store
        self._updater = updater
        self._session_id = session_id

    async def ended(self) -> bytes | None:
        """Take the session and record its end. Returns the string to archive; None if there is no such session.

        What another process has taken is continued. Raises InvalidData; then what was taken stays taken.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + MAX_SECONDS
        while True:
            value = (await self._store.endings.take(self._session_id)).value
            if not value:
                return None
            string = rejoined(value.split(SEPARATOR))
            if _may_be_in_use(string) and clock() < until:
                await asyncio.sleep(QUIET_SECONDS)
                if (await self._store.endings.take(self._session_id)).added:
                    continue
            final = await self._with_end(string)
            if final == value or await self._store.endings.replace(self._session_id, value, final):
                return final

    async def _with_end(self, string: bytes) -> bytes:
        """The string of a session with its end recorded, unless it is its last action already. Raises InvalidData."""
        base = base_from_string(string)
        last = required_actions(base.document)[-1:]
        if has_ended(base.document) and last and as_object(last[0]).get("action") == SESSION_END:
            return string
        change = (await self._updater.change(self._session_id, base, ending())).splice
        return change.head + string[change.keep_from : change.keep_to] + change.tail


def _may_be_in_use(string: bytes) -> bool:
    updated = parse_timestamp(base_from_string(string).document.get("last_updated"))
    return updated is None or abs(datetime.now(UTC) - updated) < IDLE
