"""The one failure of a server after which it is not known what happened."""

from ..errors import Unreachable


class ReplyLost(Unreachable):
    """The server went away after a request was sent: it may have been carried out."""
