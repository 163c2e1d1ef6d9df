"""`awictl config path`."""

from pathlib import Path

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format


@cli_command(examples=["awictl config path", "$EDITOR $(awictl config path -o ids)"], formats=[Format.IDS])
def command(ctx: CommandContext) -> Work:
    """Print the path of config.toml, whether it exists or not."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Find the user's config folder. Raises InvalidInput without HOME."""
    from ...util.config_files import default_config_file

    render(ctx, default_config_file())


def render(ctx: CommandContext, file: Path) -> None:
    """Print the path, and whether the file exists."""
    ctx.out.one({"file": str(file), "exists": file.exists()}, table=lambda: str(file), ids=[str(file)])
