"""How a sample of all sessions looks in a line, and on the full screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...util.humanize import duration, plural
from ..framework.cells import clock

if TYPE_CHECKING:
    from ...diagnostics.activity import Sample


def line(sample: Sample) -> str:
    """A sample as a line of text."""
    parts = [
        clock(sample.at),
        plural(sample.sessions, "session"),
        *totals(sample),
        *(f"{one.session_id} {one.agent} {duration(one.idle_ms)} ago" for one in sample.shown[:1]),
    ]
    return "  ".join(parts)


def totals(sample: Sample) -> list[str]:
    """The numbers about all sessions, each with its unit."""
    rate, failures = sample.actions_per_second, sample.failures_per_second
    memory = f"{sample.used_memory / 1_048_576:,.1f} MiB" if sample.used_memory is not None else "-"
    if sample.used_memory is not None and sample.max_memory is not None:
        memory += f" of {sample.max_memory / 1_048_576:,.1f}"
    return [
        f"{rate:,.1f} actions/s" if rate is not None else "- actions/s",
        f"{failures:,.1f} failures/s" if failures is not None else "- failures/s",
        f"{sample.expiring:,} expiring within 2m",
        *([f"{sample.unreadable:,} unreadable"] if sample.unreadable else []),
        f"memory {memory}",
    ]
