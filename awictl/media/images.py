"""What is told of cached images and their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..document import keys
from ..document.schema import as_text
from ..errors import InvalidInput

#: The fields of a stored image that awictl knows; the others are kept as they are.
FIELDS = ("thumbnail_url", "full_url", "embedding_key")

#: Longest URL, in characters: it may be the image itself (data:…).
MAX_URL = 1_048_576


class Embedding(NamedTuple):
    """A stored embedding."""

    #: Length of the string.
    bytes: int
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: How many numbers it has; None where it cannot be read.
    dimensions: int | None = None
    #: Why not, if so.
    error: str | None = None


@dataclass(frozen=True)
class Image:
    """A cached image."""

    id: str
    thumbnail_url: str | None
    full_url: str | None
    #: Milliseconds until it expires; None where it never does.
    ttl_ms: int | None
    #: What its embedding is called, if it has one.
    embedding_key: str | None = None
    #: That embedding; None where it is not there.
    embedding: Embedding | None = None
    #: What else the stored object has.
    other: Mapping[str, Any] = field(default_factory=dict)
    #: Why it could not be read, if so.
    error: str | None = None

    @classmethod
    def of(cls, image_id: str, stored: Mapping[str, Any], ttl_ms: int | None) -> Image:
        """The image that a stored object describes."""
        other = {name: value for name, value in stored.items() if name not in FIELDS}
        thumbnail_url, full_url = as_text(stored.get("thumbnail_url")), as_text(stored.get("full_url"))
        return cls(image_id, thumbnail_url, full_url, ttl_ms, embedding_key_of(stored), other=other)

    @classmethod
    def unreadable(cls, image_id: str, error: str, ttl_ms: int | None = None) -> Image:
        """In the place of an image that cannot be read."""
        return cls(image_id, None, None, ttl_ms, error=error)

    def row(self, *, full: bool = False) -> dict[str, Any]:
        """The same as plain data, without the full URL and unknown fields unless `full`; `error` only if there is one.

        `dimensions`, `bytes` and `embedding_ttl_ms` are those of the embedding.
        """
        found = self.embedding
        row: dict[str, Any] = {
            "id": self.id,
            "thumbnail_url": self.thumbnail_url,
            "ttl_ms": self.ttl_ms,
            "embedding_key": self.embedding_key,
            "dimensions": found.dimensions if found else None,
            "bytes": found.bytes if found else None,
            "embedding_ttl_ms": found.ttl_ms if found else None,
        }
        if full:
            row |= {"full_url": self.full_url, "other": dict(self.other)}
        error = self.error or (found.error if found else None)
        return row | {"error": error} if error else row


@dataclass
class MediaStats:
    """How much there is."""

    images: int = 0
    #: Images that cannot be read.
    unreadable: int = 0
    embeddings: int = 0
    #: Bytes that the embeddings take.
    embedding_bytes: int = 0
    #: Embeddings that no image refers to.
    orphans: int = 0


class Deletion(NamedTuple):
    """What deleting an image takes away."""

    id: str
    embedding_key: str | None
    #: Whether that embedding is there, and goes too.
    with_embedding: bool
    #: The other images that refer to it: it stays for them.
    kept_for: Sequence[str]

    def row(self) -> dict[str, Any]:
        """The same as plain data."""
        return self._asdict()


class Match(NamedTuple):
    """How similar an image is."""

    #: None where no image refers to the embedding.
    id: str | None
    embedding_key: str
    #: The cosine of the angle between the embeddings: 1 where they point the same way, -1 the opposite way.
    score: float

    def row(self) -> dict[str, Any]:
        """The same as plain data."""
        return self._asdict()


@dataclass(frozen=True)
class Similar:
    """The most similar images, and how many embeddings were looked at for them."""

    matches: Sequence[Match]
    compared: int
    #: Embeddings that were not compared, and why.
    other_dimensions: int
    unreadable: int
    zero: int


def embedding_key_of(stored: Mapping[str, Any]) -> str | None:
    """What the embedding of a stored image is called; None where it has none."""
    key = stored.get("embedding_key")
    return key if isinstance(key, str) and keys.is_media_id(key) else None


def checked_url(url: str, what: str) -> str:
    """The URL itself; InvalidInput where it is not printable text of a bearable length."""
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL or not url.isprintable():
        raise InvalidInput(f"the URL of the {what} image is 1 to {MAX_URL:,} printable characters")
    return url
