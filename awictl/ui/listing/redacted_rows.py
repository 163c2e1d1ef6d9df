"""Rows of the list without secrets: what may be shown of them with `--redact`."""

from __future__ import annotations

from typing import Any

from ...document.redaction.redact import Redactor
from ...document.redaction.rules import Redaction


def redacted_rows(rows: list[dict[str, Any]], redaction: Redaction) -> list[dict[str, Any]]:
    """Copies of rows in which secrets are replaced, also those that a pointer into the document names."""
    redactor = Redactor(redaction)
    for row in rows:
        redactor.state(_document(row), 0)
    redactor.learned()
    return [_redacted(row, redactor) for row in rows]


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row in the places that they have in the document of a session."""
    return {
        "session_id": row["session_id"],
        "agent_id": row["agent_id"],
        "agent_name": row["agent_name"],
        "page_state": {"route": row["route"]},
        "statistics": _statistics(row),
        "error": row["error"],
    }


def _redacted(row: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    document = _document(row)
    redactor.state(document, 0)
    page, statistics = document.pop("page_state"), document.pop("statistics")
    # a pointer may name the whole object
    route = page["route"] if isinstance(page, dict) else page
    known = statistics if isinstance(statistics, dict) else {}
    # a number that was replaced is unknown
    numbers = {name: value if known.get(name) == value else None for name, value in _statistics(row).items()}
    return {**row, **document, "route": route, **numbers}


def _statistics(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("total_actions", "failed_actions", "last_activity")}
