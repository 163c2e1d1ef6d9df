"""How measurements look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...util.humanize import plural
from ..framework.cells import number
from ..framework.tables import Column, Rows

if TYPE_CHECKING:
    from rich.console import RenderableType

_TOKENS = [
    Column("WHAT", lambda row: row["what"]),
    Column("COUNT", lambda row: number(row["count"]), right=True, drop=2),
    Column("TOKENS", lambda row: number(row["tokens"]["median"]), right=True),
    Column("MIN TO MAX", lambda row: _spread(row["tokens"]), right=True, drop=1),
    Column("BYTES", lambda row: number(row["bytes"]["median"]), right=True, drop=3),
]


def _spread(row: Mapping[str, int]) -> str:
    return "" if row["min"] == row["max"] else f"{row['min']:,} to {row['max']:,}"


def tokens(row: Mapping[str, Any]) -> RenderableType:
    """The tokens of pages and of the parts of a session, the ratios, and how many of them reach the claim."""
    from rich.console import Group

    pages = [{"what": f"page ({kind})", **sizes} for kind, sizes in row["pages"].items()]
    parts = [{"what": _part(part), **sizes} for part, sizes in row["parts"].items()]
    shown: list[RenderableType] = [f"medians, in tokens of {row['vocabulary']}", "", Rows([*pages, *parts], _TOKENS)]
    if row["ratios"]:
        lowest, highest = row["claim"]["min"], row["claim"]["max"]
        claim = f"claim: state and diffs have {lowest:,} to {highest:,} times fewer tokens than a page"
        shown += ["", Rows(row["ratios"], [*_RATIOS, _reached(lowest), _reached(highest)]), "", claim]
    return Group(*shown)


def _part(name: str) -> str:
    return "API state" if name == "api_state" else name


_RATIOS = [
    Column("PAGE", lambda row: row["page"]),
    Column("AGAINST", lambda row: _part(row["part"])),
    Column("RATIO", lambda row: times(row["median"]), right=True),
    Column("MIN TO MAX", lambda row: f"{times(row['min'])} to {times(row['max'])}", right=True),
]


def _reached(bound: int) -> Column:
    """In how many of the comparisons the ratio is at least `bound`."""
    return Column(
        f"{bound:,} × IN",
        lambda row: f"{row[f'at_least_{bound}']:,} of {row['pairs']:,}",
        right=True,
        drop=1,
    )


def times(ratio: float) -> str:
    """A ratio with three digits at most: `0.25 ×`, `12.5 ×`, `1,234 ×`."""
    digits = 0 if ratio >= 100 else 1 if ratio >= 10 else 2
    return f"{ratio:,.{digits}f} ×"


_LATENCY = [
    Column("OPERATION", lambda row: row["operation"]),
    Column("SERVER", lambda row: row["server"]),
    Column("REQUESTS", lambda row: row["requests"], right=True, drop=1),
    Column("P50", lambda row: row["p50"], right=True),
    Column("P90", lambda row: row["p90"], right=True),
    Column("P99", lambda row: row["p99"], right=True),
    Column("CLAIMED", lambda row: row["claimed"], right=True),
]
_PERCENTILES = ("p50", "p90", "p99")
_SERVERS = {"redis": "Redis", "mongodb": "MongoDB"}


def latency(row: Mapping[str, Any]) -> RenderableType:
    """The times of each operation at each server, and the ratios."""
    from rich.console import Group

    shown = []
    for one in row["operations"]:
        name = one["operation"].replace("_", " ")
        for server, label in _SERVERS.items():
            if taken := one[server]:
                times_ms = {each: f"{taken[f'{each}_ms']:,.2f} ms" for each in _PERCENTILES}
                shown.append(_latency_row(name, label, number(taken["requests"]), times_ms, ""))
                name = ""
        if ratio := one["ratio"]:
            claimed = times(one["claimed_ratio"]) if one["claimed_ratio"] else "-"
            shown.append(_latency_row("", "ratio", "", {each: times(ratio[each]) for each in _PERCENTILES}, claimed))
    what = (
        f"{plural(row['clients'], 'client')}, {row['seconds']:g} s, sessions of {row['actions']} actions "
        f"({row['document_bytes']:,} bytes)"
    )
    return Group(what, "", Rows(shown, _LATENCY))


def _latency_row(operation: str, server: str, requests: str, shown: Mapping[str, str], claimed: str) -> dict[str, str]:
    return {"operation": operation, "server": server, "requests": requests, **shown, "claimed": claimed}
