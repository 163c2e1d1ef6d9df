"""How the app's audit log and security events look on a terminal.

The fields of these documents are not known for certain (see `agents/audit.py`): the first of several usual names that a
document has is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...document.timestamps import timestamp
from ..framework.cells import known, moment, shortened
from ..framework.tables import Column

if TYPE_CHECKING:
    from ..framework.context import CommandContext

#: Maximum number of characters of a text in a table.
_MAX_TEXT = 300


def first_of(*names: str) -> Callable[[Mapping[str, Any]], str]:
    """A function that returns the first of these fields that a document has, in one line; `-` without any."""

    def cell(row: Mapping[str, Any]) -> str:
        found = next((row[name] for name in names if row.get(name) not in (None, "", [], {})), None)
        return shortened(known(found), _MAX_TEXT)

    return cell


def _time(row: Mapping[str, Any]) -> str:
    """The time in a document; if it has none, the time in its id."""
    for name in ("timestamp", "createdAt", "time"):
        if isinstance(row.get(name), str):
            return moment(row[name], "seconds")
    try:
        return moment(timestamp(datetime.fromtimestamp(int(str(row["_id"])[:8], 16), UTC)), "seconds")
    except (ValueError, OverflowError, OSError):
        return "-"


def _success(row: Mapping[str, Any]) -> str:
    success = row.get("success")
    return ("yes" if success else "NO") if isinstance(success, bool) else "-"


def _resolved(row: Mapping[str, Any]) -> str:
    if row.get("resolved") is not True:
        return "NO"
    return moment(row.get("resolvedAt"), "seconds") if row.get("resolvedAt") else "yes"


AUDIT = [
    Column("TIME", _time),
    Column("AGENT", first_of("agentName", "agentId", "agent", "agentKeyId", "apiKeyId"), narrow="cut", drop=3),
    Column("OPERATION", first_of("operation", "action", "event"), narrow="cut"),
    Column("OK", _success),
    Column("STATUS", first_of("statusCode", "status"), narrow="cut", drop=1),
    Column("IP", first_of("ip", "ipAddress", "clientIp"), narrow="cut", drop=2),
    Column("DETAILS", first_of("error", "errorMessage", "message", "endpoint", "path", "details"), narrow="cut"),
    Column("ID", lambda row: known(row["_id"]), wide=True),
]
#: The fields of `-o csv`.
AUDIT_FIELDS = [
    *(
        "_id",
        "timestamp",
        "createdAt",
        "agentId",
        "agentName",
        "operation",
        "action",
        "success",
        "statusCode",
        "status",
    ),
    *("ip", "ipAddress", "endpoint", "method", "error", "message", "details"),
]

EVENTS = [
    Column("EVENT", lambda row: known(row["_id"]), narrow="id", least=8),
    Column("TIME", _time, drop=2),
    Column("SEVERITY", first_of("severity"), narrow="cut"),
    Column("TYPE", first_of("type", "eventType", "event"), narrow="cut"),
    Column("AGENT", first_of("agentName", "agentId", "agent", "agentKeyId", "apiKeyId"), narrow="cut", drop=1),
    Column("RESOLVED", _resolved),
    Column("DETAILS", first_of("description", "message", "details"), narrow="cut"),
    Column("NOTES", first_of("notes"), wide=True),
]
EVENT_FIELDS = [
    *("_id", "timestamp", "createdAt", "severity", "type", "eventType", "agentId", "agentName", "ip", "description"),
    *("message", "details", "resolved", "resolvedAt", "notes"),
]


def note_limit(ctx: CommandContext, printed: int, limit: int) -> None:
    """Say on a terminal that there may be more than what was printed."""
    if printed == limit and ctx.out.is_table:
        ctx.out.notice(f"{printed:,} shown (--limit; there may be more)")
