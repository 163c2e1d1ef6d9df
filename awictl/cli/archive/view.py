"""How archived sessions, sweeps and statistics look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...util.humanize import duration, plural
from ..framework.cells import AGENT_ID, SESSION_ID, known, moment
from ..framework.tables import Column, Rows, fields_of

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Number of latest days in the chart, and width of its longest bar in columns.
CHART_DAYS = 30
CHART_WIDTH = 40

SESSIONS = [
    SESSION_ID,
    Column("AGENT", lambda row: row["agent_name"] or row["agent_id"] or "-", narrow="cut", width=10),
    Column("LAST ACTIVITY", lambda row: moment(row["last_activity_at"], "minutes"), width=17),
    Column("DURATION", lambda row: duration(row["duration_ms"]), right=True, drop=5),
    Column("ACTIONS", lambda row: f"{row['total_actions']:,}", right=True, drop=3),
    Column("FAILED", lambda row: f"{row['failed_actions']:,}", right=True, drop=2),
    Column("MISSING", lambda row: _missing(row), right=True, drop=4),
    Column("STATE", lambda row: row["state"] + (", app" if row["shape"] == "app" else ""), drop=1, width=10),
    Column("ROUTE", lambda row: known(row["route"]), narrow="cut", drop=6),
]

CANDIDATES = [
    SESSION_ID,
    Column("REASON", lambda row: row["why"]),
    Column("EXPIRES IN", lambda row: duration(row["ttl_ms"]), right=True),
    Column("BYTES", lambda row: f"{row['bytes']:,}", right=True),
]

RESTORED = [
    SESSION_ID,
    AGENT_ID,
    Column("CURRENT SESSION", lambda row: known(row["agent_session"]), narrow="id", least=15, drop=1),
    Column("EXPIRES IN", lambda row: duration(row["ttl_ms"]), right=True),
]


def _missing(row: Mapping[str, Any]) -> str:
    """The number of missing actions; followed by `+` if there may be more."""
    more = "+" if any(gap["count"] is None for gap in row["gaps"]) else ""
    return f"{row['missing_actions']:,}{more}" if row["gaps"] else "-"


def sweep(row: Mapping[str, Any]) -> str:
    """The counts of a sweep, in one line."""
    parts = [f"{plural(row['found'], 'session')} due", f"{row['archived']:,} archived", f"{row['deleted']:,} deleted"]
    parts += [f"{row['expired']:,} marked as expired"]
    if row["ended_by_app"]:
        parts.append(f"{row['ended_by_app']:,} as ended by the app")
    if row["vanished"]:
        parts.append(f"{row['vanished']:,} as vanished")
    if row.get("snapshots"):
        parts.append(plural(row["snapshots"], "snapshot"))
    if row["failed"]:
        parts.append(f"{row['failed']:,} failed ({row['held']:,} kept from expiring)")
    return f"{', '.join(parts)}, in {row['seconds']:.1f} s"


def migrated(row: Mapping[str, Any]) -> str:
    """The counts of a migration, in one line."""
    parts = [f"{plural(row['found'], 'session')} of earlier versions", f"{row['migrated']:,} migrated"]
    if row["chunks"]:
        parts.append(f"{plural(row['chunks'], 'chunk')} of trimmed actions moved")
    if row["failed"]:
        parts.append(f"{row['failed']:,} failed")
    return ", ".join(parts)


def stats(row: Mapping[str, Any], *, blocks: bool) -> RenderableType:
    """Statistics with a bar chart of the days. `blocks`: whether the terminal supports block characters."""
    from rich.console import Group

    rate = row["success_rate"]
    parts: list[RenderableType] = [
        fields_of(
            [
                ("sessions", f"{row['sessions']:,}{_states(row['states'])}"),
                ("actions", f"{row['actions']:,}"),
                ("success rate", "-" if rate is None else f"{rate:.1%} ({row['failed_actions']:,} failed)"),
                ("duration", _percentiles(row["durations"])),
                *_incomplete(row),
            ]
        )
    ]
    days = row["days"][-CHART_DAYS:]
    if days:
        most = max(day["actions"] for day in days) or 1
        bar = "█" if blocks else "#"
        columns = [
            Column("DAY", lambda day: day["day"]),
            Column("SESSIONS", lambda day: f"{day['sessions']:,}", right=True),
            Column("ACTIONS", lambda day: f"{day['actions']:,}", right=True),
            Column("FAILED", lambda day: f"{day['failed_actions']:,}", right=True),
            Column("", lambda day: bar * -(-day["actions"] * CHART_WIDTH // most), narrow="cut"),
        ]
        parts += ["", Rows(days, columns)]
        if len(days) < len(row["days"]):
            parts.append(f"(the latest {CHART_DAYS} of {len(row['days']):,} days)")
    if row["most_used_actions"]:
        columns = [
            Column("MOST USED ACTIONS", lambda one: one["action"], narrow="cut"),
            Column("COUNT", lambda one: f"{one['count']:,}", right=True),
            Column("FAILED", lambda one: f"{one['failed']:,}", right=True),
        ]
        parts += ["", Rows(row["most_used_actions"], columns)]
    return Group(*parts)


def _states(states: Mapping[str, int]) -> str:
    """The numbers of sessions by state, of those states that there are."""
    found = [f"{count:,} {state}" for state, count in states.items() if count]
    return f" ({', '.join(found)})" if found else ""


def _incomplete(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if row["sessions_with_gaps"]:
        missing, sessions = row["missing_actions"], row["sessions_with_gaps"]
        yield "missing", f"{plural(missing, 'action')}, in {plural(sessions, 'session')}"
    if row["overwritten_actions"]:
        yield "overwritten", plural(row["overwritten_actions"], "action")


def _percentiles(durations: Mapping[str, int | None]) -> str:
    median, p90, longest = (durations[name] for name in ("median_ms", "p90_ms", "max_ms"))
    if longest is None:
        return "-"
    return f"p50 {duration(median)}, p90 {duration(p90)}, max {duration(longest)}"
