"""`awictl archive show`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionIds
from ..framework.each_id import are_several, each
from ..framework.output import Format
from ..framework.session_view import print_archived
from .filters import load

if TYPE_CHECKING:
    from ...archive.base import Archived


@cli_command(
    examples=[
        "awictl archive show ID | jq .history.actions",
        "awictl archive show ID -o raw   # the bytes that were in Redis",
    ],
    formats=[Format.IDS, Format.RAW],
)
def command(ctx: CommandContext, ids: SessionIds) -> Work:
    """Print archived sessions. Their trajectories include the actions that were trimmed in Redis."""
    return run(ctx, ids)


async def run(ctx: CommandContext, ids: list[str]) -> None:
    """Load and print each session."""
    async with ctx.manager() as manager:

        async def one(session_id: str) -> None:
            render(ctx, await load(manager, session_id), session_id if are_several(ids) else None)

        await each(ctx, ids, one)


def render(ctx: CommandContext, archived: "Archived", title: str | None) -> None:
    """Print a session."""
    print_archived(ctx.out, archived, title)
