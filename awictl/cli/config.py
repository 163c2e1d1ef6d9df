"""`awictl config`: the settings in use."""

from ..settings import default_config_file
from .options import Run, command, new_group
from .tables import Column, compact

app = new_group("The settings in use, and where they come from.")

COLUMNS = [
    Column("SETTING", lambda row: row["setting"]),
    Column("VALUE", lambda row: "-" if row["value"] is None else compact(row["value"]), narrow="fold"),
    Column("FROM", lambda row: row["source"]),
]


@command(app, "show", examples=["awictl config show", "awictl --profile production config show -o json"])
async def show(run: Run) -> None:
    """Show every setting with its value and where it comes from. Secrets are masked."""
    settings = run.settings
    rows = [{"setting": name, "value": value, "source": source} for name, value, source in settings.rows()]
    await run.out.many(rows, COLUMNS)
    run.out.notice(f"profile: {settings.profile or 'none'}; profiles are read from {default_config_file()}")
