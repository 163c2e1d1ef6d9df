"""`awictl help`."""

from typing import Annotated

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.params import argument
from ..framework.stdout import print_lines

Words = Annotated[
    list[str] | None,
    argument(metavar="[COMMAND]...", help="Words of the command, such as: session list.", show_default=False),
]


@cli_command(examples=["awictl help", "awictl help session", "awictl help session list"], common=[Format.TABLE])
def command(ctx: CommandContext, words: Words = None) -> Work:
    """Show the help of awictl, of a group or of a command, like --help."""
    return run(ctx, words or [])


async def run(ctx: CommandContext, words: list[str]) -> None:
    """Find the command, and print its help. Raises InvalidInput if there is none of that name."""
    import typer

    from ..framework.group import LazyGroup
    from ..framework.typer_command import CONTEXT_SETTINGS
    from ..main import root_group

    context = typer.Context(root_group(), info_name="awictl", help_option_names=CONTEXT_SETTINGS["help_option_names"])
    for word in words:
        group = context.command
        if not isinstance(group, LazyGroup):
            raise InvalidInput(f"`{context.command_path}` is a command, not a group: it has no {word!r}")
        found = group.get_command(context, word)
        if found is None:
            raise InvalidInput(group.no_such_command(context, word))
        context = typer.Context(found, info_name=word, parent=context)
    render(context.get_help())


def render(text: str) -> None:
    """Print a page of help."""
    print_lines([text])
