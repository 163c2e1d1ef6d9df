"""`awictl health`: do the servers answer?"""

from typing import Any

import typer

from ..errors import AwiError
from ..sessions.manager import StateManager
from .options import Run, command, report
from .tables import fields_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, "health", examples=["awictl health", "awictl --profile production health && echo up"])
async def health(run: Run) -> None:
    """Show whether Redis and the archive answer, how fast, and what they are. Exit code 5 where one does not."""
    async with run.manager() as manager:
        answer = {"redis": "connected", "address": manager.store.where, **await manager.store.ping()}
        archive, error = await _archive(manager)
    answer |= archive
    shown = [(name, "-" if value is None else str(value)) for name, value in answer.items()]
    run.out.one(answer, table=lambda: fields_of(shown))
    if error is not None:
        raise typer.Exit(report(error, verbose=run.options.verbose))


async def _archive(manager: StateManager) -> tuple[dict[str, Any], AwiError | None]:
    """What to tell of the archive, and what is wrong with it."""
    if manager.archive is None:
        return {"archive": "disabled"}, None
    where = {"archive_address": manager.archive.where}
    try:
        answer = await manager.archive.ping()
    except AwiError as error:
        return {"archive": "disconnected", **where}, error
    return {"archive": "connected", **where, **{f"archive_{name}": value for name, value in answer.items()}}, None
