"""How a migration looks on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...util.humanize import plural
from ..framework.cells import AGENT_ID, SESSION_ID, known
from ..framework.tables import Column

EXCEPTIONS = [
    SESSION_ID,
    Column("OUTCOME", lambda row: row["outcome"], width=8),
    AGENT_ID,
    Column("AGENT IS IN", lambda row: known(row["agent_session"]), narrow="id", least=11, drop=2),
    Column("REASON", lambda row: known(row["reason"]), narrow="cut", drop=1),
]


def summary(row: Mapping[str, Any]) -> str:
    """The counts, in one line."""
    would = "would be " if row["dry_run"] else ""
    parts = [f"{plural(row['found'], 'session')} found", f"{row['moved']:,} {would}moved to {row['to']}"]
    if row["replaced"]:
        parts[-1] += f" ({row['replaced']:,} in place of an older version)"
    shown = {
        "ended": f"{would}ended, since their end was interrupted",
        "gone": "ended or expired meanwhile",
        "from_app": f"{would}copied from the app",
        "skipped": "of the app exist already",
        "conflicts": "left because of a conflict",
        "failed": "left because of an error",
    }
    parts += [f"{row[name]:,} {text}" for name, text in shown.items() if row[name]]
    return f"{', '.join(parts)}, in {row['seconds']:.1f} s"
