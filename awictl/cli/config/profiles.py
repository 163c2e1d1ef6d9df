"""`awictl config profiles`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Format
from . import view


@cli_command(examples=["awictl config profiles", "awictl config profiles -o ids"], formats=[*LISTING, Format.IDS])
def command(ctx: CommandContext) -> Work:
    """List the profiles in config.toml with the servers that they name. Nothing is connected to."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Read the file, and resolve each profile by itself."""
    from ...util.config_files import default_config_file, default_profile_of, profiles_of, read_config

    file = default_config_file()
    config = read_config(file)
    default = default_profile_of(config, file)
    rows = [_row(name, name == default, f"{file}, profile {name}: ") for name in sorted(profiles_of(config))]
    await render(ctx, rows, str(file))


def _row(name: str, default: bool, where: str) -> dict[str, Any]:
    """The servers in a profile, or why it cannot be used."""
    from ...errors import InvalidInput
    from ...settings import Settings
    from ...util.config_files import NO_FILE
    from ...util.urls import without_credentials

    row: dict[str, Any] = {"profile": name, "default": default, "redis": None, "archive": None, "read_only": None}
    try:
        settings = Settings.load(profile=name, environ={}, dotenv_file=NO_FILE)
    except InvalidInput as error:
        return row | {"error": str(error).removeprefix(where)}
    row["redis"] = "embedded" if settings.embedded else settings.redis_address
    row["archive"] = without_credentials(settings.archive) if settings.archive else None
    return row | {"read_only": settings.read_only}


async def render(ctx: CommandContext, rows: list[dict[str, Any]], file: str) -> None:
    """Print the profiles."""
    empty = f"there are no profiles in {file}; `awictl config init` writes an example of it"
    await ctx.out.many(rows, view.PROFILES, id_field="profile", empty=empty, may_have=["error"])
