"""`awictl version`."""

from ..._version import __version__
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.stdout import print_lines


@cli_command(examples=["awictl version", "awictl version -o json"])
def command(ctx: CommandContext) -> Work:
    """Print the version, like --version."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Print it."""
    render(ctx)


def render(ctx: CommandContext) -> None:
    """Print the version: as text also in a pipe, as for --version, unless JSON was chosen."""
    if ctx.out.format in (Format.JSON, Format.JSONL):
        ctx.out.one({"version": __version__}, table=lambda: "")
    else:
        print_lines([f"awictl {__version__}"])
