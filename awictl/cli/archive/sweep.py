"""`awictl archive sweep`."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from ...errors import AwiError, InvalidInput, Unreachable, as_awi_error
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.error_report import report
from ..framework.output import LISTING, Format
from ..framework.params import CommandExit, option
from ..framework.parsers import check_finite, parse_duration
from . import view

if TYPE_CHECKING:
    from ...archive.sweep import Candidate, Sweeper, Swept
    from ...archive.watcher import Watched, Watcher
    from ...sessions.manager import StateManager

#: Maximum number of failures of a sweep that are reported one by one, and of further ones that are named.
MOST_FAILURES = 10
MOST_NAMES = 100
#: Default of --snapshot-age, in milliseconds.
SNAPSHOT_AGE_MS = 60_000
#: Seconds that a sweep may take to finish its batch after Ctrl-C, before it is cancelled.
STOP_SECONDS = 0.4

Once = Annotated[bool, option("--once", help="Sweep once. This is the default.")]
Watch = Annotated[bool, option("--watch", help="Sweep repeatedly, until SIGTERM or Ctrl-C.")]
Margin = Annotated[
    int,
    option(
        "--margin", parser=parse_duration, metavar="DURATION", help="Archive sessions that expire within this time."
    ),
]
SweepInterval = Annotated[
    int | None,
    option(
        "--interval",
        parser=parse_duration,
        metavar="DURATION",
        help="Pause between two sweeps.  [default: a quarter of the margin]",
    ),
]
SnapshotAge = Annotated[
    int | None,
    option(
        "--snapshot-age",
        parser=parse_duration,
        metavar="DURATION",
        help="With --watch: keep a snapshot of every live session, no older than this; 0s: none.  [default: 1m]",
    ),
]
ArchiveRate = Annotated[
    float | None,
    option("--rate", min=0.1, metavar="N", callback=check_finite, help="Archive at most N sessions per second."),
]
ScanRate = Annotated[
    float | None,
    option("--scan-rate", min=1, metavar="N", callback=check_finite, help="Scan at most N keys per second."),
]
DryRun = Annotated[bool, option("--dry-run", help="Only show which sessions are due.")]


@cli_command(
    examples=[
        "awictl archive sweep   # once, for cron",
        "awictl archive sweep --watch --margin 5m --snapshot-age 30s",
        "awictl archive sweep --dry-run",
        "awictl archive sweep --rate 50 --scan-rate 20000   # limit the load",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    once: Once = False,
    watch: Watch = False,
    margin: Margin = "2m",  # type: ignore[assignment]  # parsed as an option is
    interval: SweepInterval = None,
    snapshot_age: SnapshotAge = None,
    rate: ArchiveRate = None,
    scan_rate: ScanRate = None,
    dry_run: DryRun = False,
) -> Work:
    """Archive sessions that are about to expire or have ended.

    A session that cannot be archived is kept from expiring until a later sweep archives it. Archived sessions that are
    gone from Redis since are marked as expired, or as vanished if another program deleted them. Sessions that went on
    in MongoDB while Redis was unreachable are brought back to Redis first. With --watch, a recent snapshot of every
    live session is kept, too. Several hosts may sweep at once.
    """
    if watch and (once or dry_run):
        raise InvalidInput(f"--watch and {'--once' if once else '--dry-run'} cannot be combined")
    if margin <= 0 or interval == 0:
        raise InvalidInput(f"{'--margin' if margin <= 0 else '--interval'} must be greater than zero")
    if interval is not None and not watch:
        raise InvalidInput("--interval requires --watch")
    if snapshot_age is not None and not watch:
        raise InvalidInput("--snapshot-age requires --watch")
    if not dry_run and ctx.options.output in (*LISTING, Format.IDS):
        raise InvalidInput(f"-o {ctx.options.output} requires --dry-run, which lists the sessions")
    if dry_run:
        return run_dry(ctx, margin, scan_rate)
    if watch:
        pause = interval if interval is not None else margin / 4
        age = snapshot_age if snapshot_age is not None else SNAPSHOT_AGE_MS
        return run_watch(ctx, margin, pause, age, rate, scan_rate)
    return run(ctx, margin, rate, scan_rate)


async def run(ctx: CommandContext, margin_ms: int, rate: float | None, scan_rate: float | None) -> None:
    """Sweep once."""
    async with ctx.manager() as manager:
        sweeper = manager.sweeper(margin_ms, rate=rate, scan_rate=scan_rate)
        left = await _brought_home(manager)
        code = render(ctx, await _sweep(ctx, manager, sweeper))
    if left:
        ctx.out.notice(
            f"{plural(left, 'session')} that went on in MongoDB cannot be brought back to Redis at the moment"
        )
    if code or left:
        raise CommandExit(code or Unreachable.exit_code)


async def _brought_home(manager: "StateManager") -> int:
    """Bring home what was journaled. Returns how many sessions could not be.

    A server that is away must not keep the sweep from extending TTLs; the sweep reports it itself.
    """
    try:
        return await manager.bring_home()
    except Unreachable:
        return 0


async def run_dry(ctx: CommandContext, margin_ms: int, scan_rate: float | None) -> None:
    """Print the sessions that a sweep would archive."""
    async with ctx.manager() as manager:
        sweeper = manager.sweeper(margin_ms, scan_rate=scan_rate, dry_run=True)
        await ctx.out.many(_due(manager, sweeper), view.CANDIDATES, id_field="session_id", empty="no session is due")
    ctx.out.notice("dry run: nothing was written")


async def _sweep(
    ctx: CommandContext, manager: "StateManager", sweeper: "Sweeper", stop: Callable[[], bool] = lambda: False
) -> "Swept":
    """Finish the ends that were interrupted, then sweep."""
    try:
        finished = await manager.finish_ends()
        due = await sweeper.candidates()
    except Exception as error:
        raise as_awi_error(error) from error
    with ctx.out.progress(len(due), "archiving") as progress:
        swept = await sweeper.sweep(due, progress, stop)
    failed = {one: outcome for one, outcome in finished.items() if isinstance(outcome, AwiError)}
    swept.found += len(finished)
    swept.archived += len(finished) - len(failed)
    swept.deleted += len(finished) - len(failed)
    swept.failed |= failed
    return swept


async def run_watch(
    ctx: CommandContext,
    margin_ms: int,
    pause_ms: float,
    age_ms: int,
    rate: float | None,
    scan_rate: float | None,
) -> None:
    """Sweep, and watch the live sessions, until SIGTERM or Ctrl-C; batches in progress are finished first."""
    async with ctx.manager() as manager, manager.journal_watched():
        sweeper = manager.sweeper(margin_ms, rate=rate, scan_rate=scan_rate)
        watcher = sweeper.watcher(age_ms / 1000) if age_ms else None
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        watching = asyncio.create_task(watcher.run(stop)) if watcher is not None else None
        try:
            sweep = partial(_sweep, ctx, manager, sweeper, stop.is_set)
            await _sweep_repeatedly(ctx, sweep, watcher, margin_ms / 1000, pause_ms / 1000, stop)
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            stop.set()
            if watching is not None:
                await asyncio.wait({watching}, timeout=STOP_SECONDS)
                watching.cancel()
                await asyncio.wait({watching})


async def _sweep_repeatedly(
    ctx: CommandContext,
    sweep: "Callable[[], Coroutine[Any, Any, Swept]]",
    watcher: "Watcher | None",
    margin: float,
    pause: float,
    stop: asyncio.Event,
) -> None:
    """Sweep until `stop` is set, and report each time what the watcher did. `margin` and `pause` are in seconds."""
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        began = loop.time()
        try:
            swept = await _unless_interrupted(sweep(), stop)
            render(ctx, swept, watcher.take() if watcher is not None else None)
        except AwiError as error:  # Redis is unreachable: retry with the next sweep
            report(error, verbose=ctx.options.verbose)
        took = loop.time() - began
        if took + pause > margin:
            ctx.out.notice(
                f"the sweep took {took:.0f} s and the next starts in {pause:.0f} s, together more than --margin "
                f"({margin:.0f} s): sessions may expire in between; increase --margin or reduce --interval"
            )
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pass
        except asyncio.CancelledError:  # Ctrl-C
            stop.set()


async def _unless_interrupted(sweep: Coroutine[Any, Any, "Swept"], stop: asyncio.Event) -> "Swept":
    """Wait for a sweep. Ctrl-C, which cancels this, sets `stop`; a sweep that does not stop soon is cancelled, too."""
    task = asyncio.create_task(sweep)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({task}, timeout=STOP_SECONDS)
        if not task.done():
            task.cancel()
            raise
        return task.result()


def render(ctx: CommandContext, swept: "Swept", watched: "Watched | None" = None) -> int:
    """Print what a sweep and a watcher did, and their failures. Returns the exit code."""
    failed = (watched.failed if watched is not None else {}) | swept.failed
    row = {
        "found": swept.found,
        "archived": swept.archived,
        "deleted": swept.deleted,
        "expired": swept.expired,
        "ended_by_app": swept.ended_by_app,
        "vanished": swept.vanished,
        **({"snapshots": watched.snapshots} if watched is not None else {}),
        "failed": len(failed),
        "held": swept.held,
        "seconds": round(swept.seconds, 3),
    }
    ctx.out.one(row, table=lambda: view.sweep(row))
    if watched is not None and watched.too_slow:
        ctx.out.notice(
            f"looking at all live sessions took {watched.longest:.0f} s: snapshots may be {2 * watched.longest:.0f} s "
            "old, more than --snapshot-age; increase that, --rate or --scan-rate"
        )
    stopped = swept.stopped or (watched.stopped if watched is not None else None)
    if stopped is not None:
        return report(stopped, verbose=ctx.options.verbose)
    failures = list(failed.items())
    codes = [report(_naming(*one), verbose=ctx.options.verbose) for one in failures[:MOST_FAILURES]]
    if rest := [session_id for session_id, _ in failures[MOST_FAILURES:]]:
        more = f" and {len(rest) - MOST_NAMES:,} more" if len(rest) > MOST_NAMES else ""
        ctx.out.notice(f"{plural(len(rest), 'more failure')}: {', '.join(rest[:MOST_NAMES])}{more}")
    return codes[0] if codes else 0


def _naming(session_id: str, error: AwiError) -> AwiError:
    """The error of a session; with the session's id, if its message does not name it."""
    if session_id in str(error):
        return error
    named = AwiError(f"{session_id} cannot be archived: {error}")
    named.exit_code, named.__cause__ = error.exit_code, error
    return named


async def _due(manager: "StateManager", sweeper: "Sweeper") -> AsyncIterator[dict[str, Any]]:
    for session_id in await manager.store.endings.ids():
        yield {"session_id": session_id, "why": "ended", "ttl_ms": None, "bytes": 0}
    for one in await sweeper.candidates():
        yield _candidate(one)
    for gone in await sweeper.gone():
        yield {"session_id": gone.version.session_id, "why": gone.state.value, "ttl_ms": None, "bytes": 0}


def _candidate(one: "Candidate") -> dict[str, Any]:
    return {
        "session_id": one.session_id,
        "why": "ended" if one.ttl_ms is None else "expires",
        "ttl_ms": one.ttl_ms,
        "bytes": one.bytes,
    }
