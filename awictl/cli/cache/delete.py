"""`awictl cache delete`."""

from typing import Annotated, Any

import typer

from ...errors import NotFound
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Yes
from ..framework.confirm import confirm
from ..framework.input import read_ids
from ..framework.output import LISTING, Format
from . import view
from .arguments import Keys

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")]


@cli_command(
    examples=[
        "awictl cache delete 05924ac34f1a295ad31aa9941c665c32",
        "awictl cache list -o ids | awictl cache delete - --dry-run",
        "awictl cache list -o ids | awictl cache delete - --yes",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, keys: Keys, yes: Yes = False, dry_run: DryRun = False) -> Work:
    """Delete cached results. Sessions that refer to them do not change."""
    from ...document.keys import check_cache_key

    return run(ctx, list(dict.fromkeys(map(check_cache_key, read_ids(keys)))), yes, dry_run)


async def run(ctx: CommandContext, keys: list[str], yes: bool, dry_run: bool) -> None:
    """Delete the keys, once that is confirmed. Raises NotFound if nothing is cached under some of them."""
    async with ctx.manager() as manager:
        cache = manager.cache
        if not dry_run:
            manager.check_writable()
        there = await cache.lifetimes(keys)
        if dry_run:
            gone = dict.fromkeys(there)
        else:
            if there:
                confirm(f"Delete {plural(len(there), 'cached result')} from {cache.where}?", yes)
            gone = {one: True for one, done in zip(there, await cache.delete(list(there)), strict=True) if done}
        await render(ctx, gone)
        if missing := [one for one in keys if one not in gone]:
            raise NotFound(f"nothing is cached at {cache.where} under {', '.join(missing)}")


async def render(ctx: CommandContext, gone: dict[str, Any]) -> None:
    """Print each key with whether it was deleted: True, or None in a dry run."""
    rows = [{"cache_key": one, "deleted": done} for one, done in gone.items()]
    await ctx.out.many(rows, view.DELETED, id_field="cache_key", empty="nothing was deleted")
