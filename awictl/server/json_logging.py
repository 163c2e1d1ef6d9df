"""Structured logs on stderr: a JSON object a line. No API key is ever among them."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from ..agents.secret import mask_secrets
from ..document.json_codec import dumps
from ..document.timestamps import timestamp

#: Attributes of every record: what else there is was given as `extra`.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
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
        except Exception:  # something that is no JSON was given as extra
            text = dumps({name: str(value) for name, value in row.items()}).decode()
        return mask_secrets(text)


def configure(level: int) -> None:
    """Log to stderr as JSON from now on, whatever was configured before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # every connection and every malformed request would be a line of its own
    for chatty in ("uvicorn", "uvicorn.error", "pymongo"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn.error").addFilter(lambda record: "Invalid HTTP request" not in record.getMessage())
