"""When a request is sent again, and how. At most one layer repeats, and until one deadline; see `Router`."""

from __future__ import annotations

from enum import Enum

from .replies import ErrorReply, Lost


class Repeat(Enum):
    """What to do after a failure."""

    #: Report it.
    NEVER = "never"
    #: Send it again at once, on a new connection.
    NOW = "now"
    #: Find out which server to ask, wait a moment, and send it again. Nothing was executed.
    LATER = "later"
    #: The slot belongs to another server: send it there, and remember that.
    MOVED = "moved"
    #: The slot moves to another server at the moment: send it there after ASKING, this time only.
    ASK = "ask"


#: By the code of an error reply. None of them is sent after a command has done something.
_CODES = {
    "MOVED": Repeat.MOVED,
    "ASK": Repeat.ASK,
    "TRYAGAIN": Repeat.LATER,
    "CLUSTERDOWN": Repeat.LATER,
    "LOADING": Repeat.LATER,
    "MASTERDOWN": Repeat.LATER,
    "READONLY": Repeat.LATER,
}


def after_error(reply: ErrorReply) -> Repeat:
    """What to do after an error reply."""
    return _CODES.get(reply.code, Repeat.NEVER)


def after_loss(lost: Lost, *, idempotent: bool) -> Repeat:
    """What to do if there is no reply. A request that was sent is repeated only if it is idempotent."""
    if lost.closed:
        return Repeat.NEVER
    if not lost.sent:
        return Repeat.LATER if lost.opening else Repeat.NOW
    return Repeat.NOW if idempotent and not lost.timed_out else Repeat.NEVER
