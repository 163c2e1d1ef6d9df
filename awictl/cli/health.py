"""`awictl health`: does the server answer?"""

import typer

from .options import Run, command
from .tables import fields_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, "health", examples=["awictl health", "awictl --profile production health && echo up"])
async def health(run: Run) -> None:
    """Show whether the server answers, how fast, and what it is. Exit code 5 where it does not."""
    async with run.manager() as manager:
        answer = {"redis": "connected", "address": manager.store.where, **await manager.store.ping()}
    shown = [(name, "-" if value is None else str(value)) for name, value in answer.items()]
    run.out.one(answer, table=lambda: fields_of(shown))
