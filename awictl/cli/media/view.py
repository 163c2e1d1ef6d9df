"""How cached images, embeddings and matches look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...util.humanize import lifetime, plural
from ..framework.cells import number
from ..framework.tables import Column, compact

if TYPE_CHECKING:
    from ...media.images import Image, MediaStats
    from ...media.similarity import SimilarImages


def _known(value: str | None) -> str:
    return "-" if value is None else str(value)


def _thumbnail(row: Mapping[str, Any]) -> str:
    error = row.get("error") if row["embedding_key"] is None else None
    return f"unreadable: {error}" if error else _known(row["thumbnail_url"])


def _dimensions(row: Mapping[str, Any]) -> str:
    if row["embedding_key"] is None:
        return "-"
    return (
        "missing" if row["bytes"] is None else "unreadable" if row["dimensions"] is None else f"{row['dimensions']:,}"
    )


def _embedding_key(row: Mapping[str, Any]) -> str:
    return _known(row["embedding_key"])


IMAGES = [
    Column("IMAGE", lambda row: row["id"], narrow="id", least=20, width=20),
    Column("THUMBNAIL", _thumbnail, narrow="cut"),
    Column("TTL", lambda row: lifetime(row["ttl_ms"]), right=True),
    Column("EMBEDDING", _embedding_key, narrow="id", least=10, drop=2),
    Column("DIMENSIONS", _dimensions, right=True),
    Column("BYTES", lambda row: number(row["bytes"]), right=True, drop=1),
]

MATCHES = [
    Column("IMAGE", lambda row: _known(row["id"]), narrow="id", least=20, width=20),
    Column("EMBEDDING", _embedding_key, narrow="id", least=20, width=20),
    Column("SCORE", lambda row: f"{row['score']:.6f}", right=True),
]

DELETED = [
    Column("IMAGE", lambda row: row["id"], narrow="id", least=20, width=20),
    Column("EMBEDDING", _embedding_key, narrow="id", least=20, width=20),
    Column("EMBEDDING DELETED", lambda row: "yes" if row["with_embedding"] else "no"),
    Column("ALSO USED BY", lambda row: ", ".join(row["kept_for"]) or "-", narrow="fold"),
]


def fields(image: Image, *, full: bool) -> list[tuple[str, str]]:
    """The fields of an image; `full`: its full URL and unknown fields too."""
    found = image.embedding
    shown = [
        ("image", image.id),
        ("thumbnail", _known(image.thumbnail_url)),
        *([("full image", _known(image.full_url))] if full else []),
        ("expires in", lifetime(image.ttl_ms)),
        ("embedding", _known(image.embedding_key)),
    ]
    if image.embedding_key is not None:
        shown.append(("dimensions", found.error or number(found.dimensions) if found else "missing"))
    if found is not None:
        shown += [("bytes", f"{found.bytes:,}"), ("embedding expires in", lifetime(found.ttl_ms))]
    return shown + [(name, compact(value)) for name, value in image.other.items() if full]


def totals(stats: MediaStats) -> str:
    """The numbers about all images, in a line."""
    parts = [
        plural(stats.images, "image"),
        f"{plural(stats.embeddings, 'embedding')} ({stats.embedding_bytes:,} bytes)",
    ]
    if stats.orphans:
        parts.append(f"{plural(stats.orphans, 'orphaned embedding')}")
    if stats.unreadable:
        parts.append(f"{plural(stats.unreadable, 'unreadable image')}")
    return ", ".join(parts)


def skipped(found: SimilarImages) -> str | None:
    """The embeddings that were not compared, in a line; None if all were."""
    reasons = {
        "of other dimensions": found.other_dimensions,
        "unreadable": found.unreadable,
        "all zeros": found.zero,
    }
    parts = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
    return f"{plural(found.compared, 'embedding')} compared; skipped: {', '.join(parts)}" if parts else None
