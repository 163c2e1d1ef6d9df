"""How agents and their API keys look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framework.tables import Column

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "-"


AGENTS = [
    Column("AGENT", lambda row: row["agent_id"]),
    Column("NAME", lambda row: row["name"], narrow="cut"),
    Column("PERMISSIONS", lambda row: ", ".join(row["permissions"]) or "-", narrow="fold"),
    Column("STATE", lambda row: row["state"]),
    Column("EXPIRES", lambda row: _minute(row["expires_at"]), drop=1),
    Column("CREATED", lambda row: _minute(row["created_at"]), drop=2),
    Column("CREATED BY", lambda row: row["made_by"], drop=3),
]


def fields(key: AgentKey) -> list[tuple[str, str]]:
    """The fields of an agent's key."""
    row = key.row()
    return [
        ("agent", key.agent_id),
        ("name", key.name),
        ("permissions", ", ".join(key.permissions) or "-"),
        ("state", row["state"]),
        ("expires", row["expires_at"] or "-"),
        ("created", row["created_at"] or "-"),
        ("rate limit", f"{key.requests_per_hour:,} requests per hour" if key.requests_per_hour else "server default"),
        ("description", key.description or "-"),
        ("created by", row["made_by"]),
    ]
