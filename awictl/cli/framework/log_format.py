"""The format of log messages on stderr."""

import logging
from typing import Any

from .escape import printable, printable_lines


class EscapingFormatter(logging.Formatter):
    """Escapes control characters: messages may quote a server, and must not forge further lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message in one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The traceback, in its lines; indented, so that a message of several lines forges none of awictl's."""
        return printable_lines(super().formatException(ei), "  ")


def configure_logging(stream: Any, level: int) -> None:
    """Print log messages of a level and above on a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EscapingFormatter("awictl: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level)
