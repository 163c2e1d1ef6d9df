"""`awictl agent register`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...agents.api_keys import Permission
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.params import argument, option
from ..framework.parsers import parse_duration
from ..framework.tables import fields_of
from . import view

if TYPE_CHECKING:
    from ...agents.registry import Registered

Name = Annotated[str, argument(metavar="NAME", help="Name of the agent.", show_default=False)]
Permissions = Annotated[
    list[Permission] | None,
    option("--permission", help="Permission of the key; repeatable.  [default: read and write]", show_default=False),
]
Expires = Annotated[
    Any,
    option(
        "--expires",
        parser=parse_duration,
        metavar="DURATION",
        help="Time until the key expires, such as 30d.  [default: never]",
    ),
]
Description = Annotated[str | None, option("--description", help="Description of the agent.", metavar="TEXT")]

AllowDuplicate = Annotated[
    bool, option("--allow-duplicate", help="Register the agent even if another one has this name.")
]


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
    allow_duplicate: AllowDuplicate = False,
) -> Work:
    """Register an agent, and print its new API key. Only the SHA-256 of the key is stored, beside the archive."""
    granted = permission or [Permission.READ, Permission.WRITE]
    return run(ctx, name, granted, expires, description, unique=not allow_duplicate)


async def run(
    ctx: CommandContext,
    name: str,
    permissions: list[Permission],
    expires_in_ms: int | None,
    description: str | None,
    *,
    unique: bool,
) -> None:
    """Register the agent. Raises Refused if the name must be `unique` and another agent has it."""
    async with ctx.manager() as manager:
        made = await manager.agents.register(
            name, permissions=permissions, expires_in_ms=expires_in_ms, description=description, unique=unique
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
