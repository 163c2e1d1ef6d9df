"""`awictl media show`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.each_id import are_several, each
from ..framework.output import Format
from ..framework.params import option
from ..framework.tables import fields_of
from . import view
from .arguments import ImageIds

if TYPE_CHECKING:
    from ...media.images import Image

Full = Annotated[bool, option("--full", help="Also show the full URL and unknown fields.")]


@cli_command(
    examples=["awictl media show post_1", "awictl media show post_1 --full | jq -r .full_url"],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, ids: ImageIds, full: Full = False) -> Work:
    """Show images: URLs, embeddings and TTLs. Nothing is written."""
    return run(ctx, ids, full)


async def run(ctx: CommandContext, ids: list[str], full: bool) -> None:
    """Read and print each image."""
    async with ctx.manager() as manager:

        async def one(image_id: str) -> None:
            render(ctx, await manager.media.get(image_id), full, image_id if are_several(ids) else None)

        await each(ctx, ids, one, lines=True)


def render(ctx: CommandContext, image: "Image", full: bool, title: str | None) -> None:
    """Print an image."""
    table = partial(view.fields, image, full=full)
    ctx.out.one(image.row(full=full), table=lambda: fields_of(table()), ids=[image.id], title=title)
