"""Structured logging to stderr: one JSON object per line, with API keys masked."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from ..agents.secret import mask_secrets
from ..document.json_codec import dumps
from ..document.timestamps import timestamp

#: Attributes of every record; all others were passed as `extra`.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its time, level, logger, message, extra attributes and traceback."""
        row: dict[str, Any] = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        row |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        try:
            text = dumps(row).decode()
        except Exception:  # an extra attribute cannot be serialized
            text = dumps({name: str(value) for name, value in row.items()}).decode()
        return mask_secrets(text)


def configure(level: int) -> None:
    """Log to stderr as JSON, and remove all other handlers. `level`: one of the module `logging`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # they log every connection, and every malformed request
    for chatty in ("uvicorn", "uvicorn.error", "pymongo"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.error").addFilter(lambda record: "Invalid HTTP request" not in record.getMessage())
