"""Commands that bring sessions into the archive, and back."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any

import typer

from ...archive.sweep import Candidate, Sweeper, Swept
from ...errors import AwiError, InvalidInput
from ...util.humanize import plural
from ..given import check_finite, parse_duration, read_ids
from ..options import EachId, Run, SessionIds, command, report
from ..output import Format
from . import view
from .group import app

#: Failures of a sweep that are told one by one.
TOLD_FAILURES = 10


@command(
    app,
    "sweep",
    examples=[
        "awictl archive sweep   # once, as from cron",
        "awictl archive sweep --watch --margin 5m",
        "awictl archive sweep --dry-run",
        "awictl archive sweep --rate 50 --scan-rate 20000   # gently",
    ],
)
async def sweep(
    run: Run,
    once: Annotated[bool, typer.Option("--once", help="One sweep; this is the default.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Sweep again and again, until SIGTERM or Ctrl-C.")] = False,
    margin: Annotated[
        int, typer.Option("--margin", parser=parse_duration, metavar="TIME", help="Archive what expires within it.")
    ] = "2m",  # type: ignore[assignment]  # parsed as an option is
    interval: Annotated[
        int | None,
        typer.Option(
            "--interval", parser=parse_duration, metavar="TIME", help="Between two sweeps; a quarter of the margin."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=0.1, metavar="N", callback=check_finite, help="Archive at most so many sessions a second."
        ),
    ] = None,
    scan_rate: Annotated[
        float | None,
        typer.Option(
            "--scan-rate", min=1, metavar="N", callback=check_finite, help="Let Redis visit so many keys a second."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which sessions are due.")] = False,
) -> None:
    """Archive sessions that are about to expire, and finish those that have ended.

    Those that expired since an earlier sweep are marked as ended. What cannot be archived is kept from expiring, until
    a later sweep can. It may run on several hosts at once.
    """
    if watch and (once or dry_run):
        raise InvalidInput(f"--watch and {'--once' if once else '--dry-run'} exclude each other")
    if margin <= 0 or interval == 0:
        raise InvalidInput(f"{'--margin' if margin <= 0 else '--interval'} is a span of time above zero")
    if interval is not None and not watch:
        raise InvalidInput("--interval is for --watch")
    async with run.manager() as manager:
        sweeper = manager.sweeper(margin, rate=rate, scan_rate=scan_rate, dry_run=dry_run)
        if dry_run:
            await run.out.many(_due(sweeper), view.CANDIDATES, id_field="session_id", empty="no session is due")
        elif watch:
            await _watch(run, sweeper, margin, (interval if interval is not None else margin / 4) / 1000)
        else:
            code = _tell(run, await _sweep(run, sweeper))
            if code:
                raise typer.Exit(code)


async def _sweep(run: Run, sweeper: Sweeper, stop: Callable[[], bool] = lambda: False) -> Swept:
    due = await sweeper.candidates()
    with run.out.progress(len(due), "archiving") as progress:
        return await sweeper.sweep(due, progress, stop)


async def _watch(run: Run, sweeper: Sweeper, margin_ms: int, pause: float) -> None:
    """Sweep until a signal comes; the batches that are under way then are finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        while not stop.is_set():
            began = loop.time()
            try:
                _tell(run, await _sweep(run, sweeper, stop.is_set))
            except AwiError as error:  # Redis is away: the next sweep may find it
                report(error, verbose=run.options.verbose)
            took = loop.time() - began
            if took + pause > margin_ms / 1000:
                run.out.notice(
                    f"the sweep took {took:.0f} s, and the next comes after {pause:.0f} s: with a --margin of "
                    f"{margin_ms / 1000:.0f} s sessions may expire in between; lengthen it or shorten --interval"
                )
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _tell(run: Run, swept: Swept) -> int:
    """Print what a sweep did. Returns the exit code that it means."""
    row = {
        "found": swept.found,
        "archived": swept.archived,
        "deleted": swept.deleted,
        "expired": swept.expired,
        "failed": len(swept.failed),
        "held": swept.held,
        "seconds": round(swept.seconds, 3),
    }
    run.out.one(row, table=lambda: view.sweep(row))
    if swept.stopped is not None:
        return report(swept.stopped, verbose=run.options.verbose)
    codes = [report(error, verbose=run.options.verbose) for error in list(swept.failed.values())[:TOLD_FAILURES]]
    if len(swept.failed) > TOLD_FAILURES:
        run.out.notice(f"and {plural(len(swept.failed) - TOLD_FAILURES, 'more failure')}")
    return codes[0] if codes else 0


async def _due(sweeper: Sweeper) -> AsyncIterator[dict[str, Any]]:
    for one in await sweeper.candidates():
        yield _candidate(one)
    async for batch in sweeper.expired():
        for known in batch:
            yield {"session_id": known.session_id, "why": "expired", "ttl_ms": None, "bytes": 0}


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "session_id": one.session_id,
        "why": "ended" if one.ttl_ms is None else "expires",
        "ttl_ms": one.ttl_ms,
        "bytes": one.bytes,
    }


@command(
    app,
    "restore",
    examples=["awictl archive restore ID", "awictl archive restore ID --dry-run"],
    formats=[Format.IDS],
)
async def restore(
    run: Run,
    ids: SessionIds,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check that they can be restored.")] = False,
) -> None:
    """Put archived sessions back into Redis as live ones, just as they were. They stay in the archive too.

    Refused where a session lives under that id. An agent that is in another session stays there.
    """
    sessions = EachId(run, read_ids(ids))

    async def one(session_id: str) -> dict[str, Any]:
        archived, current = await manager.restore_session(session_id, dry_run=dry_run)
        if current not in (None, session_id):
            run.out.notice(f"agent {archived.summary.agent_id} is in session {current}, and stays there")
        return {
            "session_id": session_id,
            "agent_id": archived.summary.agent_id,
            "agent_session": current,
            "ttl_ms": manager.settings.session_ttl_ms,
        }

    async with run.manager() as manager:
        await run.out.many(sessions.rows(one), view.RESTORED, id_field="session_id", empty="no session was restored")
    sessions.exit()
