"""`awictl media`: cached pictures and their embeddings."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput, NotFound
from ..util.humanize import lifetime, plural
from .given import confirm, read_ids, read_stdin
from .options import Rate, Run, Yes, command, each, new_group
from .output import Batches, Format
from .tables import Column, compact, fields_of

if TYPE_CHECKING:
    from ..media.cache import MediaCache
    from ..media.embeddings import Vector
    from ..media.images import Image, MediaStats, Similar

app = new_group("Cached pictures and their embeddings.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the image.", show_default=False)]
Ids = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...", help="Ids of images, or - to read them from stdin, one a line.", show_default=False
    ),
]


def _known(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _thumbnail(row: Mapping[str, Any]) -> str:
    error = row.get("error") if row["embedding_key"] is None else None
    return f"unreadable: {error}" if error else _known(row["thumbnail_url"])


def _dimensions(row: Mapping[str, Any]) -> str:
    if row["embedding_key"] is None:
        return "-"
    return "gone" if row["bytes"] is None else "unreadable" if row["dimensions"] is None else f"{row['dimensions']:,}"


def _embedding_name(row: Mapping[str, Any]) -> str:
    return _known(row["embedding_key"])


COLUMNS = [
    Column("IMAGE", lambda row: row["id"], narrow="fold"),
    Column("THUMBNAIL", _thumbnail, narrow="cut"),
    Column("TTL", lambda row: lifetime(row["ttl_ms"]), right=True),
    Column("EMBEDDING", _embedding_name, narrow="cut", drop=2),
    Column("DIMENSIONS", _dimensions, right=True),
    Column("BYTES", lambda row: _known(row["bytes"]), right=True, drop=1),
]

MATCHES = [
    Column("IMAGE", lambda row: _known(row["id"]), narrow="fold"),
    Column("EMBEDDING", _embedding_name, narrow="cut", drop=1),
    Column("SCORE", lambda row: f"{row['score']:.6f}", right=True),
]

DELETED = [
    Column("IMAGE", lambda row: row["id"], narrow="fold"),
    Column("EMBEDDING", _embedding_name, narrow="cut"),
    Column("WITH IT", lambda row: "yes" if row["with_embedding"] else "no"),
    Column("KEPT FOR", lambda row: ", ".join(row["kept_for"]) or "-", narrow="cut"),
]


@command(
    app,
    "put",
    examples=[
        "awictl media put post_1 --thumbnail https://cdn.example.com/1s.jpg --full https://cdn.example.com/1.jpg",
        "awictl media put post_1 --embedding post_1.npy",
        "embed post_1.jpg | awictl media put post_1 --embedding - --embedding-key clip:post_1",
    ],
    formats=[Format.IDS],
)
async def put(
    run: Run,
    id: Id,
    thumbnail: Annotated[str | None, typer.Option("--thumbnail", metavar="URL", help="URL of its thumbnail.")] = None,
    full: Annotated[str | None, typer.Option("--full", metavar="URL", help="URL of the whole image.")] = None,
    embedding: Annotated[
        str | None,
        typer.Option(
            "--embedding",
            metavar="FILE",
            help="Its embedding: a JSON array of numbers, .npy, .f32 or .bin (float32, little-endian), or - for stdin.",
        ),
    ] = None,
    embedding_key: Annotated[
        str | None,
        typer.Option(
            "--embedding-key", metavar="KEY", help="What the embedding is called; the image's id if not given."
        ),
    ] = None,
) -> None:
    """Cache an image, and its embedding. What is not given stays as it is; a new image needs both URLs."""
    async with run.manager() as manager:
        manager.check_writable()
        vector = _read(embedding) if embedding is not None else None
        image = await manager.media.put(
            id, thumbnail_url=thumbnail, full_url=full, embedding=vector, embedding_key=embedding_key
        )
    if image.embedding_key is not None and image.embedding is None:
        run.out.notice(f"there is no embedding {image.embedding_key} yet")
    row = image.row(full=True)
    run.out.one(row, table=lambda: fields_of(_fields(image, full=True)), ids=[id])


@command(
    app,
    "show",
    examples=["awictl media show post_1", "awictl media show post_1 --full | jq -r .full_url"],
    formats=[Format.IDS],
)
async def show(
    run: Run,
    ids: Ids,
    full: Annotated[bool, typer.Option("--full", help="Show the full URL too, and unknown fields.")] = False,
) -> None:
    """Show images: the thumbnail first, the embedding, and how long both stay. Nothing is written."""
    async with run.manager() as manager:

        async def one(image_id: str) -> None:
            image = await manager.media.get(image_id)
            run.out.one(image.row(full=full), table=lambda: fields_of(_fields(image, full=full)), ids=[image_id])

        await each(run, read_ids(ids, lines=True), one)


@command(
    app,
    "list",
    examples=["awictl media list", "awictl media list -o jsonl | jq 'select(.embedding_key == null) | .id'"],
    formats=[Format.IDS],
)
async def list_(run: Run, rate: Rate = None) -> None:
    """List images as they are found; how many there are, and what their embeddings take, is told on stderr."""
    from ..document.keys import is_media_id
    from ..media.images import MediaStats

    only_ids = run.out.format is Format.IDS
    totals = MediaStats()

    async def rows(media: "MediaCache") -> AsyncGenerator[list[dict[str, Any]], None]:
        async with aclosing(media.list(rate=rate, totals=totals)) as batches:
            async for images in batches:
                yield [image.row() for image in images if not only_ids or is_media_id(image.id)]

    async with run.manager() as manager:
        media = manager.media
        await run.out.many(Batches(rows(media)), COLUMNS, id_field="id", empty=f"no image is cached at {media.where}")
    run.out.notice(_totals(totals))


@command(
    app,
    "delete",
    examples=[
        "awictl media delete post_1",
        "awictl media delete post_1 post_2 --dry-run",
        "awictl media list -o ids | awictl media delete - --yes",
    ],
    formats=[Format.IDS],
)
async def delete(
    run: Run,
    ids: Ids,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    rate: Rate = None,
) -> None:
    """Delete images, each with its embedding, unless another image refers to that."""
    wanted = read_ids(ids, lines=True)
    async with run.manager() as manager:
        media = manager.media
        if dry_run:
            gone = await media.deletions(wanted, rate=rate)
        else:
            manager.check_writable()
            confirm(f"Delete {plural(len(wanted), 'image')} from {media.where}?", yes)
            gone = await media.delete(wanted, rate=rate)
        await run.out.many([one.row() for one in gone], DELETED, id_field="id", empty="nothing was deleted")
        if missing := [one for one in wanted if one not in {deleted.id for deleted in gone}]:
            raise NotFound(f"there is no image {', '.join(missing)} at {media.where}")


@command(
    app,
    "similar",
    examples=[
        "awictl media similar post_1",
        "awictl media similar ./query.npy --top 3",
        "embed query.jpg | awictl media similar -",
        "awictl media similar post_1 -o ids | awictl media show -",
    ],
    formats=[Format.IDS],
)
async def similar(
    run: Run,
    query: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="An image, a file, or - for stdin.", show_default=False)
    ],
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="How many images.")] = 10,
    rate: Rate = None,
) -> None:
    """List the images most similar to one, by the cosine of their embeddings. Nothing is written.

    ID|FILE is an image if one of that id is cached. Else it is a file with an embedding, in the formats of `media put`,
    if it has a / in it, or is there and ends in .json, .npy, .f32 or .bin; write ./NAME for a file like an image.
    """
    async with run.manager() as manager:
        media = manager.media
        wanted = query if query != "-" and await media.find(query) is not None else _file(query, media.where)
        found = await media.similar(wanted, top=top, rate=rate)
    rows = [one.row() for one in found.matches if one.id is not None or run.out.format is not Format.IDS]
    await run.out.many(rows, MATCHES, id_field="id", empty="there is no other embedding to compare it with")
    if notice := _skipped(found):
        run.out.notice(notice)


def _file(name: str, where: str) -> "Vector[float]":
    """The embedding in what the user says is a file. Raises NotFound where that may have been meant for an image."""
    from ..media.embeddings import ENDINGS

    separators = (os.sep, os.altsep or os.sep)
    if name == "-" or any(one in name for one in separators):
        return _read(name)
    if name.lower().endswith(ENDINGS) and Path(name).is_file():
        return _read(name)
    raise NotFound(f"there is no image {name} at {where}; for a file that is called so, write ./{name}")


def _read(name: str) -> "Vector[float]":
    """The embedding in a file, or in stdin. Raises InvalidInput."""
    from ..media.embeddings import MAX_FILE_BYTES, parse

    if name == "-":
        return parse(read_stdin(MAX_FILE_BYTES + 1), name)
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{name}: {getattr(error, 'strerror', None) or error}") from None
    return parse(data, name)


def _fields(image: "Image", *, full: bool) -> list[tuple[str, str]]:
    found = image.embedding
    fields = [
        ("image", image.id),
        ("thumbnail", _known(image.thumbnail_url)),
        *([("full image", _known(image.full_url))] if full else []),
        ("expires in", lifetime(image.ttl_ms)),
        ("embedding", _known(image.embedding_key)),
    ]
    if image.embedding_key is not None:
        fields.append(("dimensions", found.error or _known(found.dimensions) if found else "gone"))
    if found is not None:
        fields += [("bytes", f"{found.bytes:,}"), ("embedding expires in", lifetime(found.ttl_ms))]
    return fields + [(name, compact(value)) for name, value in image.other.items() if full]


def _totals(totals: "MediaStats") -> str:
    parts = [
        plural(totals.images, "image"),
        f"{plural(totals.embeddings, 'embedding')} of {totals.embedding_bytes:,} bytes",
    ]
    if totals.orphans:
        parts.append(f"{plural(totals.orphans, 'embedding')} of no image")
    if totals.unreadable:
        parts.append(f"{plural(totals.unreadable, 'image')} that cannot be read")
    return ", ".join(parts)


def _skipped(found: "Similar") -> str | None:
    """What was not compared, in a sentence; None where everything was."""
    reasons = {
        "of other dimensions": found.other_dimensions,
        "unreadable": found.unreadable,
        "all zeros": found.zero,
    }
    parts = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
    return f"{plural(found.compared, 'embedding')} compared; left out: {', '.join(parts)}" if parts else None
