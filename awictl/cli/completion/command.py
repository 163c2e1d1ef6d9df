"""`awictl completion`."""

from enum import StrEnum
from typing import Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.params import argument
from ..framework.stdout import write


class Shell(StrEnum):
    """A shell that has a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


Name = Annotated[Shell, argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)]


@cli_command(
    examples=[
        "source <(awictl completion bash)   # in ~/.bashrc",
        "source <(awictl completion zsh)   # in ~/.zshrc, after compinit",
        "awictl completion fish > ~/.config/fish/completions/awictl.fish",
    ],
    common=[Format.TABLE],
)
def command(ctx: CommandContext, shell: Name) -> Work:
    """Print the completion script of a shell.

    It completes commands and options, and session ids, agent ids, cache keys, image ids and profiles: from the server
    that the options on the command line select, within 300 ms or not at all (AWI_COMPLETION_SECONDS; 0 for never).
    """
    return run(shell)


async def run(shell: Shell) -> None:
    """Generate the script."""
    from ..reference import files

    render(files()[f"completions/awictl.{shell}"])


def render(script: str) -> None:
    """Print the script."""
    write(script.encode())
