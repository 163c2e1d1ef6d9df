"""`awictl media delete`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from ...errors import NotFound
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate, Yes
from ..framework.confirm import confirm
from ..framework.input import read_ids
from ..framework.output import LISTING, Format
from ..framework.params import option
from . import view
from .arguments import ImageIds

if TYPE_CHECKING:
    from ...media.images import ImageDeletion

DryRun = Annotated[bool, option("--dry-run", help="Only show what would be deleted.")]


@cli_command(
    examples=[
        "awictl media delete post_1",
        "awictl media delete post_1 post_2 --dry-run",
        "awictl media list -o ids | awictl media delete - --yes",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, ids: ImageIds, yes: Yes = False, dry_run: DryRun = False, rate: Rate = None) -> Work:
    """Delete images with their embeddings. An embedding that another image uses is kept."""
    return run(ctx, read_ids(ids, lines=True), yes, dry_run, rate)


async def run(ctx: CommandContext, ids: list[str], yes: bool, dry_run: bool, rate: float | None) -> None:
    """Delete the images, once that is confirmed. Raises NotFound and UpdateConflict for those that were not deleted."""
    changed: list[str] = []
    async with ctx.manager() as manager:
        media = manager.media
        if dry_run:
            gone = await media.plan_deletion(ids, rate=rate)
        else:
            manager.check_writable()
            confirm(f"Delete {plural(len(ids), 'image')} from {media.where}?", yes)
            gone = await media.delete(ids, rate=rate, changed=changed)
        await render(ctx, gone)
        if dry_run:
            ctx.out.notice("dry run: nothing was written")
        if changed:
            raise media.changed_meanwhile(changed)
        if missing := [one for one in ids if one not in {deleted.id for deleted in gone}]:
            raise NotFound(f"there is no image {', '.join(missing)} at {media.where}")


async def render(ctx: CommandContext, gone: "Sequence[ImageDeletion]") -> None:
    """Print the images that were deleted, and what became of their embeddings."""
    await ctx.out.many([one.row() for one in gone], view.DELETED, id_field="id", empty="nothing was deleted")
