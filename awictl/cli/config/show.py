"""`awictl config show`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING
from . import view

if TYPE_CHECKING:
    from ...settings import Settings


@cli_command(examples=["awictl config show", "awictl --profile production config show -o json"], formats=LISTING)
def command(ctx: CommandContext) -> Work:
    """Show each setting with its value and source. Secrets are masked."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Load the settings."""
    await render(ctx, ctx.settings)


async def render(ctx: CommandContext, settings: "Settings") -> None:
    """Print the settings, and the file with the profiles."""
    from ...errors import InvalidInput
    from ...util.config_files import default_config_file

    rows = [{"setting": name, "value": value, "source": source} for name, value, source in settings.rows()]
    await ctx.out.many(rows, view.SETTINGS)
    try:
        where = f"; profiles are in {default_config_file()}"
    except InvalidInput:  # without HOME, as was reported
        where = ""
    ctx.out.notice(f"profile: {settings.profile or 'none'}{where}")
