"""`awictl config init`."""

import os
from pathlib import Path

from ...errors import Refused
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format


@cli_command(
    examples=["awictl config init", "awictl config init && $EDITOR $(awictl config path -o ids)"], formats=[Format.IDS]
)
def command(ctx: CommandContext) -> Work:
    """Write a config.toml in which everything is commented out, and print its path. Never overwrites one."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Write the file. Raises Refused if it exists, or cannot be written."""
    from ...util.config_files import default_config_file
    from .template import config_template

    file = default_config_file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # only for this user: it may come to contain passwords
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(config_template())
    except FileExistsError:
        raise Refused(f"{file} exists already and was not changed") from None
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}") from None
    render(ctx, file)


def render(ctx: CommandContext, file: Path) -> None:
    """Print the path of the file."""
    ctx.out.one({"file": str(file)}, table=lambda: str(file), ids=[str(file)])
