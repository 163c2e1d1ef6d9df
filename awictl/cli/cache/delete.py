"""`awictl cache delete`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any

from ...document.keys import check_cache_key, is_cache_key
from ...errors import AwiError, NotFound
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Yes
from ..framework.confirm import confirm
from ..framework.each_id import EachId
from ..framework.input import read_ids
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from . import view
from .arguments import Keys

DryRun = Annotated[bool, option("--dry-run", help="Only show what would be deleted.")]


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
    return run(ctx, keys if yes or dry_run else read_ids(keys), yes, dry_run)


async def run(ctx: CommandContext, keys: Sequence[str], yes: bool, dry_run: bool) -> None:
    """Delete the keys, once that is confirmed; report those under which nothing is cached."""
    each_key = EachId(ctx, keys, writes=not dry_run)
    async with ctx.manager() as manager:
        cache = manager.cache
        if not dry_run:
            manager.check_writable()
        if not (yes or dry_run) and (there := await cache.lifetimes(_valid(keys))):
            confirm(f"Delete {plural(len(there), 'cached result')} from {cache.where}?", yes)

        async def delete(batch: list[str]) -> list[dict[str, Any] | AwiError | None]:
            there = list(await cache.lifetimes(_valid(batch)))
            deleted = [None] * len(there) if dry_run else await cache.delete(there)
            done = dict(zip(there, deleted, strict=True))
            outcomes: list[dict[str, Any] | AwiError | None] = []
            for key in batch:
                try:
                    if done.get(check_cache_key(key), False) is False:
                        raise NotFound(f"nothing is cached at {cache.where} under {key}")
                except AwiError as error:
                    outcomes.append(error)
                else:
                    outcomes.append({"cache_key": key, "deleted": done[key]})
            return outcomes

        await render(ctx, each_key.batches(delete))
        if dry_run:
            ctx.out.notice("dry run: nothing was written")
    each_key.exit()


def _valid(keys: Sequence[str]) -> list[str]:
    return [key for key in keys if is_cache_key(key)]


async def render(ctx: CommandContext, batches: AsyncGenerator[list[dict[str, Any]], None]) -> None:
    """Print each key with whether it was deleted: True, or None in a dry run."""
    await ctx.out.many(Batches(batches), view.DELETED, id_field="cache_key", empty="nothing was deleted")
