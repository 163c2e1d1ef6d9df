"""`awictl top`."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from ...errors import AwiError
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Interval, Rate, Seconds
from ..framework.error_report import INTERRUPTED
from ..framework.params import CommandExit
from . import view

if TYPE_CHECKING:
    from ...diagnostics.activity import Sample, Sampler

#: Number of sessions that a line of JSON names.
NAMED = 3


@cli_command(
    examples=[
        "awictl top",
        "awictl top --interval 5 --rate 20000",
        "awictl top --seconds 60 -o jsonl >> activity.jsonl",
    ],
)
def command(
    ctx: CommandContext,
    interval: Interval = "2s",  # type: ignore[assignment]  # parsed as an option is
    seconds: Seconds = None,
    rate: Rate = None,
) -> Work:
    """Monitor all sessions on a full screen. Shows activity, actions per second, failures and memory.

    Keys: s and S change the sort key, / filters, Enter opens a session, ? shows help, q goes back or quits. Without a
    capable terminal, each sample is printed as a line.
    """
    return run(ctx, interval, seconds, rate)


async def run(ctx: CommandContext, interval: float, seconds: float | None, rate: float | None) -> None:
    """Take over the terminal if it can show the screen; else print a line for each sample."""
    from ...diagnostics.activity import Sampler

    async with ctx.manager() as manager:
        sampler = Sampler(manager.store, rate)
        await manager.store.ping()  # reports a wrong address before the screen is taken over
        if ctx.out.live and sys.stdin is not None and sys.stdin.isatty():
            try:
                from .screen import TopScreen
            except ModuleNotFoundError:
                ctx.out.notice("the full screen requires textual (`pip install 'awictl[top]'`); printing lines instead")
            else:
                code = await TopScreen(manager, sampler, interval, colors=ctx.out.color).run_for(seconds)
                if code == INTERRUPTED:
                    raise KeyboardInterrupt
                raise CommandExit(code)
        async with aclosing(_samples(ctx, sampler, interval, seconds)) as samples:
            async for sample in samples:
                render(ctx, sample)


async def _samples(
    ctx: CommandContext, sampler: "Sampler", interval: float, seconds: float | None
) -> "AsyncGenerator[Sample, None]":
    """Yield samples until `seconds` are over; at least one. An unreachable server is reported once."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds if seconds is not None else None
    away = False
    while True:
        try:
            sample = await sampler.sample()
        except AwiError as error:
            if not away:
                ctx.out.notice(f"{error} (retrying)")
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


def render(ctx: CommandContext, sample: "Sample") -> None:
    """Print a sample."""
    ctx.out.line(sample.row(NAMED), lambda: [view.line(sample)])
