"""How cached results and the diagnosis of a query look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...util.humanize import duration, lifetime, plural
from ..framework.cells import number
from ..framework.tables import Column, Rows, compact, fields_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...query_cache.diagnose import Diagnosis

#: Maximum number of sessions that a diagnosis names.
MOST_SESSIONS = 5


def _count(row: Mapping[str, Any]) -> str:
    return "unreadable" if row.get("error") else number(row["count"])


def _sessions(row: Mapping[str, Any]) -> str:
    first, *others = row["sessions"] or ["-"]
    return f"{first} and {len(others)} more" if others else str(first)


CACHED = [
    Column("KEY", lambda row: row["cache_key"], narrow="id", width=32),
    Column("TTL", lambda row: lifetime(row["ttl_ms"]), right=True),
    Column("BYTES", lambda row: f"{row['bytes']:,}", right=True, drop=1),
    Column("RESULTS", _count, right=True),
    Column("SESSIONS", _sessions, narrow="id", least=8),
]

NEAR = [
    Column("CACHED KEY", lambda row: row["cache_key"], narrow="id"),
    Column("TTL", lambda row: lifetime(row["ttl_ms"]), right=True),
    Column("DIFFERENCE", lambda row: row["words"], narrow="fold"),
    Column("FILTERS", lambda row: compact(row["filters"]), narrow="fold"),
    Column("SORT", lambda row: compact(row["sort"]), narrow="fold"),
]

DELETED = [
    Column("KEY", lambda row: row["cache_key"], narrow="id", width=32),
    Column("DELETED", lambda row: {True: "yes", False: "not found", None: "dry run"}[row["deleted"]]),
]


def diagnosis(found: Diagnosis) -> RenderableType:
    """The verdict, its evidence, and similar queries that are cached."""
    from rich.console import Group

    facts = [("cache key", found.cache_key), ("verdict", found.verdict)]
    if found.hit:
        facts += [
            ("expires in", lifetime(found.ttl_ms)),
            ("results", _count(found.row())),
            ("bytes", f"{found.bytes:,}"),
        ]
    else:
        facts.append(("scanned", plural(found.looked_at, "cache key")))
    facts += [
        ("referenced by", f"{one.session_id}, cached {duration(one.age_ms)} ago")
        for one in found.sessions[:MOST_SESSIONS]
    ]
    parts: list[RenderableType] = [fields_of(facts)]
    if found.near:
        parts += ["", Rows(found.row()["near"], NEAR)]
    return Group(*parts)
