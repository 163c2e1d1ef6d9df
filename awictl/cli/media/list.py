"""`awictl media list`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING, Batches, Format
from . import view

if TYPE_CHECKING:
    from ...media.cache import MediaCache
    from ...media.images import MediaStats


@cli_command(
    examples=["awictl media list", "awictl media list -o jsonl | jq 'select(.embedding_key == null) | .id'"],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, rate: Rate = None) -> Work:
    """List cached images, as they are found. Prints totals on stderr."""
    return run(ctx, rate)


async def run(ctx: CommandContext, rate: float | None) -> None:
    """Scan the images, and count them."""
    from ...media.images import MediaStats

    totals = MediaStats()
    async with ctx.manager() as manager:
        await render(ctx, Batches(_rows(ctx, manager.media, rate, totals)), manager.media.where)
    ctx.out.notice(view.totals(totals))


async def _rows(
    ctx: CommandContext, media: "MediaCache", rate: float | None, totals: "MediaStats"
) -> AsyncGenerator[list[dict[str, Any]], None]:
    from ...document.keys import is_media_id

    only_ids = ctx.out.format is Format.IDS  # other commands refuse what is not an id
    async with aclosing(media.list(rate=rate, totals=totals)) as batches:
        async for images in batches:
            yield [image.row() for image in images if not only_ids or is_media_id(image.id)]


async def render(ctx: CommandContext, rows: Batches, where: str) -> None:
    """Print images as they are found."""
    await ctx.out.many(rows, view.IMAGES, id_field="id", empty=f"no image is cached at {where}", may_have=["error"])
