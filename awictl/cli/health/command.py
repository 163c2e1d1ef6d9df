"""`awictl health`."""

from typing import TYPE_CHECKING, Any

from ...errors import AwiError, NotFound, Unreachable
from ..framework.command import CommandContext, Work, cli_command
from ..framework.error_report import report
from ..framework.params import CommandExit
from ..framework.tables import fields_of

if TYPE_CHECKING:
    from ...fallback.journal import Journal
    from ...sessions.manager import StateManager


@cli_command(examples=["awictl health", "awictl --profile production health && echo up"])
def command(ctx: CommandContext) -> Work:
    """Check that Redis and the archive respond. Shows latency and version; exits with 5 if one does not respond.

    With a fallback, also shows what is recorded in MongoDB because Redis was unreachable, and is not in Redis yet.
    """
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Ping Redis and the archive. If Redis is away, the archive is still of interest if sessions go on there."""
    away: Unreachable | None = None
    async with ctx.manager() as manager:
        answer: dict[str, Any] = {manager.store.name.lower(): "connected", "address": manager.store.where}
        try:
            answer |= await manager.store.ping()
        except Unreachable as unreachable:
            if manager.fallback is None:
                raise
            away, answer["redis"] = unreachable, "disconnected"
        archive, error = await _ping_archive(manager)
        if away is not None:
            answer["degraded"] = archive["archive"] == "connected"
        answer |= archive
        if manager.fallback is not None and error is None:
            answer |= await _journal(manager.fallback.journal)
    if isinstance(error, NotFound):  # no reason to fail: the first sweep creates it
        ctx.out.notice(str(error))
        error = None
    render(ctx, answer)
    if codes := [report(one, verbose=ctx.options.verbose) for one in (away, error) if one is not None]:
        raise CommandExit(codes[0])


async def _journal(journal: "Journal") -> dict[str, Any]:
    """What waits in the journal; blank if that is not available."""
    try:
        counts = await journal.counts()
    except AwiError:
        return {"journal_pending": None, "journal_set_aside": None}
    return {"journal_pending": counts.pending, "journal_set_aside": counts.set_aside}


async def _ping_archive(manager: "StateManager") -> tuple[dict[str, Any], AwiError | None]:
    """The state of the archive, and the error if it does not answer."""
    if manager.archive is None:
        return {"archive": "disabled"}, None
    where = {"archive_address": manager.archive.where}
    try:
        answer = await manager.archive.ping()
        await manager.archive.check_exists()
    except NotFound as error:
        return {"archive": "missing", **where}, error
    except AwiError as error:
        return {"archive": "disconnected", **where}, error
    return {"archive": "connected", **where, **{f"archive_{name}": value for name, value in answer.items()}}, None


def render(ctx: CommandContext, answer: dict[str, Any]) -> None:
    """Print the state of both servers."""
    shown = [(name.replace("_", " "), "-" if value is None else str(value)) for name, value in answer.items()]
    ctx.out.one(answer, table=lambda: fields_of(shown))
