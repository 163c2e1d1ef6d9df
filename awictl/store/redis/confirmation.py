"""Writes that replicas have to acknowledge: AWI_WAIT_REPLICAS, and the error if too few do.

Creating, updating, restoring and putting a session are confirmed. What follows the archive, or only concerns TTLs, is
not: a session that is deleted after it was archived, a touch, and a session that a request creates for an agent without
one, which has no action yet: the first update of it confirms it, too, since WAIT covers all earlier writes of a server.
"""

from __future__ import annotations

from typing import Any

from ...document import keys
from ...errors import Unconfirmed
from ...settings import Settings
from .script import Call, Script
from .server import Server

_CONFIRM = Script("confirm")
#: By the name of a script, the first element of its reply if it has written.
_WRITTEN = {"commit": b"ok", "create": 1, "put": 1, "restore": 1}


class ConfirmedWrites:
    """Runs scripts that write, and waits until as many replicas acknowledge it as the settings demand."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._wanted = settings.wait_replicas
        self._timeout_ms = max(1, int(settings.timeout * 500))

    async def run(
        self, script: Script, call: Call, done: str, retry: str, *, op_id: str = "", idempotent: bool = False
    ) -> Any:
        """Run a script and return its reply. Raises Unconfirmed if it has written, and too few replicas acknowledge it.

        `done`, `retry`: for its message, what was written, as a sentence, and what to do. `op_id`: of an update.
        """
        # on the same connection: WAIT applies to the writes of its own
        then = [("WAIT", self._wanted, self._timeout_ms)] if self._wanted else []
        [reply, *waited] = await self._server.run(script, call, idempotent=idempotent, then=then)
        if not waited or not _has_written(script.name, reply):
            return reply
        [reached] = waited
        acknowledged = reached if isinstance(reached, int) else 0
        if acknowledged >= self._wanted:
            return reply
        why = f" ({reached})" if isinstance(reached, Exception) else ""
        raise Unconfirmed(
            f"unconfirmed: {self._server.where}: {done}, but only {acknowledged} of {self._wanted} replicas "
            f"(AWI_WAIT_REPLICAS) acknowledged it within {self._timeout_ms / 1000:g} s{why}, so a failover may lose "
            f"it; {retry}",
            op_id=op_id,
            acknowledged=acknowledged,
            wanted=self._wanted,
        )

    async def confirm(self, session_id: str, op_id: str) -> None:
        """Wait until replicas acknowledge all earlier writes to a session. Raises Unconfirmed. One round trip.

        `op_id`: the update that was found in it.
        """
        if self._wanted:
            key = keys.session_key(session_id)
            done = f"the update of {session_id} with op_id {op_id} was applied before"
            reply = await self.run(_CONFIRM, ([key], ()), done, retry_of(op_id), op_id=op_id, idempotent=True)
            self._server.checked(reply, key)


def _has_written(script: str, reply: Any) -> bool:
    first = reply[0] if isinstance(reply, list) else reply
    return bool(first == _WRITTEN.get(script, 1))


def retry_of(op_id: str) -> str:
    """How to wait for the acknowledgement of an update again."""
    return f"retry it with op_id {op_id}, which never applies it twice and waits again"
