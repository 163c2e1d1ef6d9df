"""`awictl agent register`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...agents.api_keys import Permission
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.parsers import parse_duration
from ..framework.tables import fields_of
from . import view

if TYPE_CHECKING:
    from ...agents.registry import Registered

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the agent.", show_default=False)]
Permissions = Annotated[
    list[Permission] | None,
    typer.Option(
        "--permission", help="Permission of the key; repeatable.  [default: read and write]", show_default=False
    ),
]
Expires = Annotated[
    Any,
    typer.Option(
        "--expires",
        parser=parse_duration,
        metavar="DURATION",
        help="Time until the key expires, such as 30d.  [default: never]",
    ),
]
Description = Annotated[str | None, typer.Option("--description", help="Description of the agent.", metavar="TEXT")]


@cli_command(
    examples=[
        "awictl agent register BrowserUseAgent",
        "awictl agent register crawler --permission read --expires 30d",
        "KEY=$(awictl agent register BrowserUseAgent -o raw)",
    ],
    formats=[Format.IDS, Format.RAW],
)
def command(
    ctx: CommandContext,
    name: Name,
    permission: Permissions = None,
    expires: Expires = None,
    description: Description = None,
) -> Work:
    """Register an agent, and print its new API key. Only the SHA-256 of the key is stored, beside the archive."""
    return run(ctx, name, permission or [Permission.READ, Permission.WRITE], expires, description)


async def run(
    ctx: CommandContext, name: str, permissions: list[Permission], expires_in_ms: int | None, description: str | None
) -> None:
    """Register the agent."""
    async with ctx.manager() as manager:
        made = await manager.agents.register(
            name, permissions=permissions, expires_in_ms=expires_in_ms, description=description
        )
    render(ctx, made)


def render(ctx: CommandContext, made: "Registered") -> None:
    """Print the key, which cannot be read again."""
    ctx.out.notice("store the key now: it cannot be shown again")
    ctx.out.one(
        {**made.key.row(), "key": made.secret},
        table=lambda: fields_of([("key", made.secret), *view.fields(made.key)]),
        ids=[made.key.agent_id],
        raw=f"{made.secret}\n".encode(),
    )
