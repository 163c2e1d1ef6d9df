"""How keys, and the numbers about each kind of key, look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...util.humanize import duration, lifetime
from ..framework.cells import known, number
from ..framework.tables import Column

#: Width in characters of the longest bar of a histogram.
CHART_WIDTH = 30


def _estimate(row: Mapping[str, Any], value: int | None) -> str:
    """A number, marked with ~ if it is extrapolated from a sample."""
    return f"{'~' if value and _sampled(row) else ''}{number(value)}"


def _sampled(row: Mapping[str, Any]) -> bool:
    return bool(row["looked_at"] + row["not_permitted"] < row["count"])


def _spread(row: Mapping[str, Any]) -> str:
    ttl = row["ttl_ms"]
    return " / ".join(duration(ttl[name]) for name in ("min", "median", "max")) if ttl else "-"


def _forbidden(row: Mapping[str, Any]) -> bool:
    from ...diagnostics.inventory import NOT_PERMITTED

    return row.get("error") == NOT_PERMITTED


def _bytes(row: Mapping[str, Any]) -> str:
    if not row.get("error"):
        return number(row["bytes"])
    return row["error"] if _forbidden(row) else "not a string"


def _value(row: Mapping[str, Any]) -> str:
    """The holder of a lock, or the counted requests; `~` marks a limit that `serve --rate-limit` may have changed."""
    if "holder" in row:
        return f"held by {known(row['holder'])}"
    if "requests" not in row:
        return "-"
    return f"{number(row['requests'])} of {'~' if row['limit_is_default'] else ''}{number(row['limit'])} requests"


def _largest(row: Mapping[str, Any]) -> str:
    """The largest key; of a sample there may be larger ones."""
    biggest = row["biggest"]
    return f"{'≥' if _sampled(row) else ''}{biggest[0]['bytes']:,} {biggest[0]['key']}" if biggest else "-"


KEYS = [
    Column("KEY", lambda row: row["key"], narrow="id", width=37),
    Column("KIND", lambda row: row["kind"], width=9),
    Column("TTL", lambda row: "-" if _forbidden(row) else lifetime(row["ttl_ms"]), right=True, width=7),
    Column("BYTES", _bytes, right=True, width=7),
    Column("VALUE", _value, narrow="cut", drop=1),
]

STATS = [
    Column("KIND", lambda row: row["kind"]),
    Column("KEYS", lambda row: f"{row['count']:,}", right=True),
    Column("BYTES", lambda row: _estimate(row, row["bytes"]), right=True),
    Column("MEMORY", lambda row: f"~{row['memory_bytes']:,}" if row["memory_bytes"] else "-", right=True, drop=3),
    Column("NO TTL", lambda row: _estimate(row, row["without_ttl"]), right=True),
    Column("TTL MIN / MEDIAN / MAX", _spread, drop=1),
    Column("LARGEST", _largest, narrow="id", least=8),
]

BARS = [
    Column("KIND", lambda row: row["kind"]),
    Column("EXPIRES IN", lambda row: row["left"], right=True),
    Column("KEYS", lambda row: row["count"], right=True),
    Column("", lambda row: row["bar"], narrow="cut"),
]


def bars(rows: Sequence[Mapping[str, Any]], block: str) -> list[dict[str, str]]:
    """The lines of a histogram: for each kind those from its first bar to its last."""
    lines = []
    for row in rows:
        counts = [(_within(i, row["left"]), one["count"]) for i, one in enumerate(row["left"])]
        used = [i for i, (_, count) in enumerate(counts) if count]
        shown = counts[used[0] : used[-1] + 1] if used else []
        if row["without_ttl"]:
            shown.append(("never", row["without_ttl"]))
        most = max((count for _, count in shown), default=0)
        for i, (label, count) in enumerate(shown):
            width = -(-count * CHART_WIDTH // most) if most else 0
            kind = f"{row['kind']} ({row['count']:,})" if i == 0 else ""
            lines.append({"kind": kind, "left": label, "count": _estimate(row, count), "bar": block * width})
    return lines


def _within(i: int, left: Sequence[Mapping[str, Any]]) -> str:
    bound = left[i]["below_ms"]
    return f"< {duration(bound)}" if bound is not None else f"≥ {duration(left[i - 1]['below_ms'])}"
