"""How agents and their API keys look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..framework.cells import known, moment, number, shortened
from ..framework.tables import Column

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey
    from ...agents.records import AgentRecord


#: Maximum number of characters of a text; a description that awictl accepts is not longer.
_MAX_TEXT = 2_000

KEYS = [
    Column("AGENT", lambda row: row["agent_id"], narrow="id", width=24),
    Column("NAME", lambda row: row["name"], narrow="cut"),
    Column("PERMISSIONS", lambda row: ", ".join(row["permissions"]) or "-", narrow="fold", drop=2),
    Column("STATE", lambda row: row["state"]),
    Column("EXPIRES", lambda row: moment(row["expires_at"], "minutes"), drop=3),
    Column("CREATED", lambda row: moment(row["created_at"], "minutes"), drop=4),
    Column("CREATED BY", lambda row: row["made_by"], drop=5),
]

SUSPENSIONS = [
    *KEYS[:2],
    Column("STATE", lambda row: row["state"]),
    Column("UNTIL", lambda row: moment(row["suspended_until"], "minutes"), drop=2),
    Column("REASON", lambda row: known(row["suspension_reason"]), narrow="cut", drop=1),
    Column("CREATED BY", lambda row: row["made_by"], drop=3),
]

AGENTS = [
    *KEYS[:2],
    Column("STATE", lambda row: row["state"]),
    Column("LAST USED", lambda row: moment(row["last_used_at"], "minutes"), drop=1),
    Column("SESSION", lambda row: known(row["session_id"]), narrow="id", least=8),
    Column("PERMISSIONS", lambda row: ", ".join(row["permissions"]) or "-", narrow="cut", drop=2),
    *KEYS[4:],
]

USAGE = [
    *KEYS[:2],
    Column("STATE", lambda row: row["state"], drop=1),
    Column("REQUESTS", lambda row: number(row["requests"]), right=True),
    Column("APP", lambda row: number(row["requests_of_app"]), right=True, wide=True),
    Column("AWICTL", lambda row: number(row["requests_of_awictl"]), right=True, wide=True),
    Column("LAST USED", lambda row: moment(row["last_used_at"], "minutes"), drop=3),
    Column("REPUTATION", lambda row: known(row["reputation"]), narrow="cut", drop=5),
    Column("SCORE", lambda row: known(row["reputation_score"]), right=True, drop=4),
    Column("VIOLATIONS", lambda row: known(row["violations"]), right=True, drop=2),
    Column("OPERATIONS", lambda row: operations(row["operations"]), narrow="cut", wide=True),
]
#: The columns that are not dropped from a table that is sorted by them.
USAGE_SORTED = {"last-used": "LAST USED", "violations": "VIOLATIONS", "score": "SCORE", "state": "STATE"}


def operations(counts: Mapping[str, Any] | None) -> str:
    """The number of requests for each operation, the most first; `-` without any."""
    if not counts:
        return "-"

    def count(item: tuple[str, Any]) -> float:
        return -item[1] if isinstance(item[1], (int, float)) else 0.0

    return ", ".join(f"{name} {known(value)}" for name, value in sorted(counts.items(), key=count))


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


def record_fields(record: AgentRecord, sessions: Sequence[str]) -> list[tuple[str, str]]:
    """All fields of an agent. `sessions`: its sessions, as text."""
    row = record.row()
    of_key = dict(fields(record.key))
    shown = [("agent", of_key.pop("agent")), ("name", of_key.pop("name")), ("state", of_key.pop("state"))]
    if row["state"] == "suspended":
        shown.append(("suspended until", moment(row["suspended_until"]) if row["suspended_until"] else "resumed"))
        shown.append(("reason", known(row["suspension_reason"])))
    shown += [(("session" if number == 0 else ""), text) for number, text in enumerate(sessions or ["-"])]
    of_key["last used"] = moment(row["last_used_at"])
    shown += of_key.items()
    shown.append(("requests", _requests(row)))
    shown.append(("operations", operations(row["operations"])))
    if record.key.of_app:
        shown += [
            ("operations of the app", operations(row["operations_of_app"])),
            ("reputation", known(row["reputation"])),
            ("reputation score", known(row["reputation_score"])),
            ("violations", known(row["violations"])),
            ("violations by type", operations(row["violations_by_type"])),
        ]
    shown.append(("suspensions", known(len(row["suspensions"]))))
    return [(name, shortened(text, _MAX_TEXT)) for name, text in shown]


def _requests(row: Mapping[str, Any]) -> str:
    if row["requests_of_app"] is None:
        return number(row["requests"])
    return (
        f"{number(row['requests'])} (app {number(row['requests_of_app'])}, awictl {number(row['requests_of_awictl'])})"
    )
