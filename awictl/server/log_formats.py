"""Logging to stderr, with API keys masked: one JSON object per line; on a terminal, text."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from ..agents.secret import mask_secrets
from ..document.json_codec import dumps
from ..document.timestamps import timestamp
from ..util.printable import printable, printable_lines

#: Attributes of every record; all others were passed as `extra`.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its time, level, logger, message, extra attributes and traceback."""
        row: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        row |= _extra(record)
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        try:
            text = dumps(row).decode()
        except Exception:  # an extra attribute cannot be serialized
            text = dumps({name: str(value) for name, value in row.items()}).decode()
        return mask_secrets(text)


class TextFormatter(logging.Formatter):
    """Formats a log record as one line of text, and its traceback as more lines, for a terminal.

    Control characters are escaped, and tracebacks indented: parts of a record may come from a client or from a store,
    and must not forge further records.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record with its time, level and message, the extra attributes that are not in it, and its traceback."""
        message = record.getMessage()
        more = "".join(f" {name}={value}" for name, value in _extra(record).items() if str(value) not in message)
        text = printable(f"{_time_of(record)} {record.levelname.lower():8}{message}{more}")
        if record.exc_info:
            text += "\n" + printable_lines(self.formatException(record.exc_info), "  ")
        return mask_secrets(text)


def _time_of(record: logging.LogRecord) -> str:
    return timestamp(datetime.fromtimestamp(record.created, UTC))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _USUAL}


def _log_thread_error(arguments: threading.ExceptHookArgs) -> None:
    """Log an error that ended a thread, which Python would print as it is."""
    error = arguments.exc_value
    if error is not None and not isinstance(error, SystemExit):
        logging.getLogger("awictl.server").error("a thread failed", exc_info=error)


def configure(level: int) -> None:
    """Log to stderr, warnings included, and remove all other handlers. `level`: one of the module `logging`."""
    handler = logging.StreamHandler(sys.stderr)
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    handler.setFormatter(TextFormatter() if on_terminal else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    # they log every connection, and every malformed request
    for chatty in ("uvicorn", "uvicorn.error", "pymongo"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.error").addFilter(lambda record: "Invalid HTTP request" not in record.getMessage())
