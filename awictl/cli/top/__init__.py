"""`awictl top`: all sessions, live."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import typer

from ...errors import AwiError
from ...util.humanize import duration, plural
from ..options import INTERRUPTED, Interval, Rate, Run, Seconds, command

if TYPE_CHECKING:
    from ...diagnostics.activity import Sample, Sampler

app = typer.Typer(rich_markup_mode=None, add_completion=False)

#: Sessions that a line names.
NAMED = 3


@command(
    app,
    "top",
    examples=[
        "awictl top",
        "awictl top --interval 5 --rate 20000",
        "awictl top --seconds 60 -o jsonl >> activity.jsonl",
    ],
)
async def top(
    run: Run,
    interval: Interval = "2s",  # type: ignore[assignment]  # parsed as an option is
    seconds: Seconds = None,
    rate: Rate = None,
) -> None:
    """Watch all sessions on a full screen: by activity, with actions a second, failures, and memory.

    Keys: s and S change the order, / filters, Enter opens a session's trajectory and its last diff, q quits. Where the
    terminal cannot show that, or stdout is none, each look is a line.
    """
    from ...diagnostics.activity import Sampler

    async with run.manager() as manager:
        sampler = Sampler(manager.store, rate)
        await manager.store.ping()  # so that a wrong address is told before the screen is taken over
        if run.out.live and sys.stdin is not None and sys.stdin.isatty():
            try:
                from .screen import TopScreen
            except ModuleNotFoundError:
                run.out.notice("the full screen needs textual (`pip install 'awictl[top]'`): here are plain lines")
            else:
                code = await TopScreen(manager, sampler, interval, colors=run.out.color).run_for(seconds)
                if code == INTERRUPTED:
                    raise KeyboardInterrupt
                raise typer.Exit(code)
        async with aclosing(_samples(run, sampler, interval, seconds)) as samples:
            async for sample in samples:
                run.out.line(sample.row(NAMED), lambda sample=sample: [_line(sample)])  # type: ignore[misc]


async def _samples(
    run: Run, sampler: "Sampler", interval: float, seconds: float | None
) -> "AsyncGenerator[Sample, None]":
    """Samples until the time is over; at least one. That the server is away is told once, until it is back."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds if seconds is not None else None
    away = False
    while True:
        try:
            sample = await sampler.sample()
        except AwiError as error:
            if not away:
                run.out.notice(f"{error} (trying again)")
            away = True
            waiting = asyncio.sleep(interval)
        else:
            away = False
            yield sample
            waiting = sampler.wait(sample, interval)
        try:
            async with asyncio.timeout_at(deadline):
                await waiting
        except TimeoutError:
            return


def _line(sample: "Sample") -> str:
    """A sample in a line."""
    parts = [
        sample.at[11:19],
        plural(sample.sessions, "session"),
        *totals(sample),
        *(f"{one.session_id} {one.agent} {duration(one.idle_ms)} ago" for one in sample.shown[:1]),
    ]
    return "  ".join(parts)


def totals(sample: "Sample") -> list[str]:
    """The numbers about all sessions, each in a few words."""
    rate, failures = sample.actions_per_second, sample.failures_per_second
    memory = f"{sample.used_memory / 1_048_576:,.1f} MiB" if sample.used_memory is not None else "-"
    if sample.used_memory is not None and sample.max_memory is not None:
        memory += f" of {sample.max_memory / 1_048_576:,.1f}"
    return [
        f"{rate:,.1f} actions/s" if rate is not None else "- actions/s",
        f"{failures:,.1f} failures/s" if failures is not None else "- failures/s",
        f"{sample.expiring:,} expire within 2m",
        *([f"{sample.unreadable:,} unreadable"] if sample.unreadable else []),
        f"memory {memory}",
    ]
