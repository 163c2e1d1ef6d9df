"""`awictl keys`: what keys there are."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..util.humanize import duration, lifetime, plural
from .options import Rate, Run, command, new_group
from .output import Batches, Format
from .tables import Column

if TYPE_CHECKING:
    from ..diagnostics.key_stats import KeyStats

app = new_group("All keys of AWI on the server: what they are for, how large, and how long they stay.")

#: Characters of the longest bar of a histogram.
CHART_WIDTH = 30

Pattern = Annotated[
    str | None,
    typer.Argument(metavar="[PATTERN]", help="Only keys that match: * ? [abc], as in Redis.", show_default=False),
]
Everything = Annotated[bool, typer.Option("--all", help="Other keys too, that have nothing to do with AWI.")]
Sample = Annotated[
    int | None,
    typer.Option("--sample", min=1, metavar="N", help="Look at about so many keys.  [default: 100,000]"),
]


def _size(value: int | None) -> str:
    return f"{value:,}" if value is not None else "-"


def _estimate(row: Mapping[str, Any], value: int | None) -> str:
    """A number, marked where it comes from a sample."""
    return f"{'~' if value and _sampled(row) else ''}{_size(value)}"


def _sampled(row: Mapping[str, Any]) -> bool:
    return bool(row["looked_at"] + row["not_permitted"] < row["count"])


def _spread(row: Mapping[str, Any]) -> str:
    ttl = row["ttl_ms"]
    return " / ".join(duration(ttl[name]) for name in ("min", "median", "max")) if ttl else "-"


KEYS = [
    Column("KEY", lambda row: row["key"], narrow="fold"),
    Column("KIND", lambda row: row["kind"], drop=1),
    Column("TTL", lambda row: "-" if _forbidden(row) else lifetime(row["ttl_ms"]), right=True),
    Column("BYTES", lambda row: _bytes(row), right=True),
]

STATS = [
    Column("KIND", lambda row: row["kind"]),
    Column("KEYS", lambda row: f"{row['count']:,}", right=True),
    Column("BYTES", lambda row: _estimate(row, row["bytes"]), right=True),
    Column("MEMORY", lambda row: f"~{row['memory_bytes']:,}" if row["memory_bytes"] else "-", right=True, drop=3),
    Column("NO TTL", lambda row: _estimate(row, row["without_ttl"]), right=True),
    Column("TTL MIN / MEDIAN / MAX", _spread, drop=1),
    Column("LARGEST", lambda row: _largest(row), narrow="cut", drop=2),
]


def _forbidden(row: Mapping[str, Any]) -> bool:
    from ..diagnostics.inventory import NOT_PERMITTED

    return row.get("error") == NOT_PERMITTED


def _bytes(row: Mapping[str, Any]) -> str:
    if not row.get("error"):
        return _size(row["bytes"])
    return row["error"] if _forbidden(row) else "no string"


def _largest(row: Mapping[str, Any]) -> str:
    """The largest key; of a sample there may be larger ones."""
    biggest = row["biggest"]
    return f"{'≥' if _sampled(row) else ''}{biggest[0]['bytes']:,} {biggest[0]['key']}" if biggest else "-"


@command(
    app,
    "list",
    examples=[
        "awictl keys list",
        "awictl keys list 'AWI:DIFF:*' --rate 5000",
        "awictl keys list -o jsonl | jq -r 'select(.ttl_ms == null) | .key'",
    ],
    formats=[Format.IDS],
)
async def list_(
    run: Run,
    pattern: Pattern = None,
    all: Everything = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = None,
    rate: Rate = None,
) -> None:
    """List keys, as they are found: what each is for, how long it stays, and its bytes. SCAN alone, never KEYS."""
    async with run.manager() as manager:
        inventory = manager.inventory

        async def rows(on_step: Callable[[int], None]) -> AsyncGenerator[list[dict[str, Any]], None]:
            if run.out.chosen(Format.JSONL) is Format.IDS:
                async with aclosing(inventory.names(pattern, everything=all, rate=rate, on_step=on_step)) as names:
                    async for batch in names:
                        yield [{"key": name} for name in batch]
                return
            async with aclosing(inventory.keys(pattern, everything=all, rate=rate, on_step=on_step)) as found:
                async for keys in found:
                    yield [key.row() for key in keys]

        # lines on a terminal are progress enough
        size = await inventory.size() if run.out.chosen(Format.JSONL) is Format.TABLE else None
        with run.out.progress(size or 0, "looking at keys") as on_step:
            await run.out.many(
                Batches(rows(on_step), limit), KEYS, id_field="key", empty=f"no keys at {inventory.where}"
            )


@command(
    app,
    "ttl",
    examples=["awictl keys ttl", "awictl keys ttl 'AWI:SESSION:*' --rate 10000", "awictl keys ttl -o json | jq ."],
)
async def ttl(
    run: Run, pattern: Pattern = None, all: Everything = False, rate: Rate = None, sample: Sample = None
) -> None:
    """Show, for each kind of key, how many expire within a second, a minute, five minutes and so on."""
    found = await _survey(run, pattern, all, rate, sample)
    rows = [one.ttl_histogram() for one in found]
    if run.out.chosen(Format.JSONL) is not Format.TABLE:
        await run.out.many(rows, [])
        return
    blocks = run.out.console().encoding.startswith("utf")
    await run.out.many(list(_bars(rows, "█" if blocks else "#")), BARS, empty="no keys")


BARS = [
    Column("KIND", lambda row: row["kind"]),
    Column("EXPIRE", lambda row: row["left"], right=True),
    Column("KEYS", lambda row: row["count"], right=True),
    Column("", lambda row: row["bar"], narrow="cut"),
]


def _bars(rows: Sequence[Mapping[str, Any]], block: str) -> "list[dict[str, str]]":
    """The lines of a histogram: for each kind those from its first bar to its last."""
    lines = []
    for row in rows:
        bars = [(_within(i, row["left"]), one["count"]) for i, one in enumerate(row["left"])]
        used = [i for i, (_, count) in enumerate(bars) if count]
        shown = bars[used[0] : used[-1] + 1] if used else []
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


@command(
    app,
    "stats",
    examples=["awictl keys stats", "awictl keys stats --all --rate 10000", "awictl keys stats -o jsonl | jq .biggest"],
)
async def stats(
    run: Run, pattern: Pattern = None, all: Everything = False, rate: Rate = None, sample: Sample = None
) -> None:
    """Show, for each kind of key, how many there are, their bytes and memory, how long they stay, and the largest."""
    found = await _survey(run, pattern, all, rate, sample)
    await run.out.many([one.row() for one in found], STATS, empty="no keys")


async def _survey(
    run: Run, pattern: str | None, everything: bool, rate: float | None, sample: int | None
) -> "list[KeyStats]":
    from ..diagnostics.inventory import DEFAULT_SAMPLE

    async with run.manager() as manager:
        inventory = manager.inventory
        size = await inventory.size()
        with run.out.progress(size or 0, "looking at keys") as on_step:
            found = await inventory.survey(
                pattern, everything=everything, rate=rate, sample=sample or DEFAULT_SAMPLE, on_step=on_step
            )
    count, looked_at = sum(one.count for one in found), sum(one.inspected for one in found)
    forbidden = sum(one.not_permitted for one in found)
    if forbidden:
        run.out.notice(
            f"{plural(forbidden, 'key')} may not be read by this user: nothing is known of them but the names"
        )
    if looked_at + forbidden < count:
        run.out.notice(f"a sample: {looked_at:,} of {plural(count, 'key')} were looked at (--sample)")
    return found
