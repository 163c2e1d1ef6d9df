"""`awictl media similar`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ...errors import NotFound
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING, Format
from ..framework.params import argument, option
from ..framework.parsers import plain_id
from . import view
from .arguments import read_embedding

if TYPE_CHECKING:
    from ...media.embeddings import Vector
    from ...media.similarity import SimilarImages

Query = Annotated[
    str,
    argument(
        metavar="ID|FILE",
        help="Id of an image, a file with an embedding, or - for stdin.",
        show_default=False,
        callback=plain_id,
    ),
]
Top = Annotated[int, option("--top", min=1, metavar="N", help="Maximum number of images.")]


@cli_command(
    examples=[
        "awictl media similar post_1",
        "awictl media similar ./query.npy --top 3",
        "embed query.jpg | awictl media similar -",
        "awictl media similar post_1 -o ids | awictl media show -",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, query: Query, top: Top = 10, rate: Rate = None) -> Work:
    """List the most similar images, by cosine similarity of their embeddings. Nothing is written.

    ID|FILE is an image if one of that id is cached. Otherwise it is a file with an embedding, in the formats of `media
    put`, if it contains a /, or exists and ends in .json, .npy, .f32 or .bin; write ./NAME if an image has that name.
    """
    return run(ctx, query, top, rate)


async def run(ctx: CommandContext, query: str, top: int, rate: float | None) -> None:
    """Compare the query with all embeddings. An image of that id precedes a file."""
    async with ctx.manager() as manager:
        media = manager.media
        if query != "-" and await media.find(query) is not None:
            wanted: str | Vector[float] = query
        else:
            _check_is_file(query, media.where)
            wanted = await read_embedding(query)
        found = await media.similar(wanted, top=top, rate=rate)
    await render(ctx, found)


def _check_is_file(name: str, where: str) -> None:
    """Raise NotFound if `name` is more likely an image that is not cached than a file, or `-` for stdin."""
    from ...media.embeddings import SUFFIXES

    separators = (os.sep, os.altsep or os.sep)
    if name == "-" or any(one in name for one in separators):
        return
    if name.lower().endswith(SUFFIXES) and Path(name).is_file():
        return
    raise NotFound(f"there is no image {name} at {where}; for a file of that name, write ./{name}")


async def render(ctx: CommandContext, found: "SimilarImages") -> None:
    """Print the matches, the most similar first, and how many embeddings were not compared."""
    rows = [one.row() for one in found.matches if one.id is not None or ctx.out.format is not Format.IDS]
    await ctx.out.many(rows, view.MATCHES, id_field="id", empty="no other embedding to compare with")
    if notice := view.skipped(found):
        ctx.out.notice(notice)
