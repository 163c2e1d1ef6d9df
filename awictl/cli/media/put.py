"""`awictl media put`."""

from typing import TYPE_CHECKING, Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from ..framework.params import argument, option
from ..framework.parsers import plain_id
from ..framework.tables import fields_of
from . import view
from .arguments import read_embedding

if TYPE_CHECKING:
    from ...media.images import Image

Id = Annotated[str, argument(metavar="ID", help="Id of the image.", show_default=False, callback=plain_id)]
Thumbnail = Annotated[str | None, option("--thumbnail", metavar="URL", help="URL of the thumbnail.")]
Full = Annotated[str | None, option("--full", metavar="URL", help="URL of the full image.")]
Embedding = Annotated[
    str | None,
    option(
        "--embedding",
        metavar="FILE",
        help="Embedding: a JSON array of numbers, .npy, .f32 or .bin (float32, little-endian), or - for stdin.",
    ),
]
EmbeddingKey = Annotated[
    str | None,
    option("--embedding-key", metavar="KEY", help="Key of the embedding.  [default: the id of the image]"),
]


@cli_command(
    examples=[
        "awictl media put post_1 --thumbnail https://cdn.example.com/1s.jpg --full https://cdn.example.com/1.jpg",
        "awictl media put post_1 --embedding post_1.npy",
        "embed post_1.jpg | awictl media put post_1 --embedding - --embedding-key clip:post_1",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext,
    id: Id,
    thumbnail: Thumbnail = None,
    full: Full = None,
    embedding: Embedding = None,
    embedding_key: EmbeddingKey = None,
) -> Work:
    """Cache an image and its embedding. Omitted values do not change; a new image requires both URLs."""
    return run(ctx, id, thumbnail, full, embedding, embedding_key)


async def run(
    ctx: CommandContext,
    image_id: str,
    thumbnail_url: str | None,
    full_url: str | None,
    embedding: str | None,
    embedding_key: str | None,
) -> None:
    """Cache the image. The embedding is read only if writes are allowed."""
    async with ctx.manager() as manager:
        manager.check_writable()
        vector = await read_embedding(embedding) if embedding is not None else None
        image = await manager.media.put(
            image_id, thumbnail_url=thumbnail_url, full_url=full_url, embedding=vector, embedding_key=embedding_key
        )
    if image.embedding_key is not None and image.embedding is None:
        ctx.out.notice(f"embedding {image.embedding_key} is not cached yet")
    render(ctx, image)


def render(ctx: CommandContext, image: "Image") -> None:
    """Print the image as it is cached now."""
    ctx.out.one(image.row(full=True), table=lambda: fields_of(view.fields(image, full=True)), ids=[image.id])
