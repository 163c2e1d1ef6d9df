"""`awictl health`."""

from typing import TYPE_CHECKING, Any

from ...errors import AwiError, NotFound
from ..framework.command import CommandContext, Work, cli_command
from ..framework.error_report import report
from ..framework.params import CommandExit
from ..framework.tables import fields_of

if TYPE_CHECKING:
    from ...sessions.manager import StateManager


@cli_command(examples=["awictl health", "awictl --profile production health && echo up"])
def command(ctx: CommandContext) -> Work:
    """Check that Redis and the archive respond. Shows latency and version; exits with 5 if one does not respond."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Ping Redis and the archive."""
    async with ctx.manager() as manager:
        answer = {"redis": "connected", "address": manager.store.where, **await manager.store.ping()}
        archive, error = await _ping_archive(manager)
    if isinstance(error, NotFound):  # no reason to fail: the first sweep creates it
        ctx.out.notice(str(error))
        error = None
    render(ctx, answer | archive)
    if error is not None:
        raise CommandExit(report(error, verbose=ctx.options.verbose))


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
