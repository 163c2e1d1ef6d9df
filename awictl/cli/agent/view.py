"""How agents and their API keys look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framework.cells import known, moment
from ..framework.tables import Column

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey


KEYS = [
    Column("AGENT", lambda row: row["agent_id"], narrow="id", width=24),
    Column("NAME", lambda row: row["name"], narrow="cut"),
    Column("PERMISSIONS", lambda row: ", ".join(row["permissions"]) or "-", narrow="fold", drop=2),
    Column("STATE", lambda row: row["state"]),
    Column("EXPIRES", lambda row: moment(row["expires_at"], "minutes"), drop=3),
    Column("CREATED", lambda row: moment(row["created_at"], "minutes"), drop=4),
    Column("CREATED BY", lambda row: row["made_by"], drop=5),
]

AGENTS = [
    *KEYS[:2],
    Column("STATE", lambda row: row["state"]),
    Column("LAST USED", lambda row: moment(row["last_used_at"], "minutes"), drop=1),
    Column("SESSION", lambda row: known(row["session_id"]), narrow="id", least=8),
    Column("PERMISSIONS", lambda row: ", ".join(row["permissions"]) or "-", narrow="cut", drop=2),
    *KEYS[4:],
]


def fields(key: AgentKey) -> list[tuple[str, str]]:
    """The fields of an agent's key."""
    row = key.row()
    return [
        ("agent", key.agent_id),
        ("name", key.name),
        ("permissions", ", ".join(key.permissions) or "-"),
        ("state", row["state"]),
        ("expires", moment(row["expires_at"])),
        ("created", moment(row["created_at"])),
        ("last used", moment(row["last_used_at"])),
        ("rate limit", f"{key.requests_per_hour:,} requests per hour" if key.requests_per_hour else "server default"),
        ("description", key.description or "-"),
        ("created by", row["made_by"]),
    ]
