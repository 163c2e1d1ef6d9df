"""`awictl config profiles`."""

from typing import TYPE_CHECKING, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Format
from . import view

if TYPE_CHECKING:
    from ...util.config_files import Profile


@cli_command(examples=["awictl config profiles", "awictl config profiles -o ids"], formats=[*LISTING, Format.IDS])
def command(ctx: CommandContext) -> Work:
    """List the profiles in config.toml with the servers that they name. Nothing is connected to."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Read the file, and resolve each profile by itself."""
    from ...util.config_files import Profile, default_config_file, default_profile_of, profiles_of, read_config

    file = default_config_file()
    config = read_config(file)
    default = default_profile_of(config, file)
    profiles = [Profile(name, table, file) for name, table in sorted(profiles_of(config).items())]
    await render(ctx, [_row(one, one.name == default) for one in profiles], str(file), file.exists())


def _row(profile: "Profile", default: bool) -> dict[str, Any]:
    """The servers in a profile, or why it cannot be used."""
    from ...errors import InvalidInput
    from ...settings import Settings
    from ...util.config_files import NO_FILE
    from ...util.urls import without_credentials

    row: dict[str, Any] = {"profile": profile.name, "default": default}
    row |= dict.fromkeys(("redis", "archive", "read_only"))
    if not isinstance(profile.table, dict):
        return row | {"error": f"not a table of settings, as [profiles.{profile.name}] starts one"}
    try:
        settings = Settings.load(profile=profile, environ={}, dotenv_file=NO_FILE)
    except InvalidInput as error:
        return row | {"error": str(error).removeprefix(f"{profile.path}, profile {profile.name}: ")}
    if settings.use_redis:
        row["redis"] = "embedded" if settings.embedded else settings.redis_address
    row["archive"] = without_credentials(settings.archive) if settings.archive else None
    return row | {"read_only": settings.read_only}


async def render(ctx: CommandContext, rows: list[dict[str, Any]], file: str, exists: bool) -> None:
    """Print the profiles."""
    how = "add them there, as [profiles.NAME]" if exists else "`awictl config init` writes an example of it"
    empty = f"there are no profiles in {file}; {how}"
    await ctx.out.many(rows, view.PROFILES, id_field="profile", empty=empty, may_have=["error"])
