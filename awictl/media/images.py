"""Records of cached images and their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..document import keys
from ..document.schema import as_text
from ..errors import InvalidInput

#: The known fields of a stored image. Unknown fields are preserved.
FIELDS = ("thumbnail_url", "full_url", "embedding_key")

#: Maximum length of a URL, in characters. A data: URL contains the whole image.
MAX_URL = 1_048_576


class Embedding(NamedTuple):
    """A stored embedding, without its numbers."""

    #: Size of the stored string.
    bytes: int
    #: Milliseconds until it expires; None if it has no TTL.
    ttl_ms: int | None
    #: Number of dimensions; None if it cannot be read.
    dimensions: int | None = None
    #: Why it cannot be read.
    error: str | None = None


@dataclass(frozen=True)
class Image:
    """A cached image."""

    id: str
    thumbnail_url: str | None
    full_url: str | None
    #: Milliseconds until it expires; None if it has no TTL.
    ttl_ms: int | None
    #: Key of its embedding; None if it has none.
    embedding_key: str | None = None
    #: The embedding under that key; None if there is none, or it was not read.
    embedding: Embedding | None = None
    #: Unknown fields of the stored object.
    other: Mapping[str, Any] = field(default_factory=dict)
    #: Why the image cannot be read.
    error: str | None = None

    @classmethod
    def of(cls, image_id: str, stored: Mapping[str, Any], ttl_ms: int | None) -> Image:
        """Create an image from the stored JSON object."""
        other = {name: value for name, value in stored.items() if name not in FIELDS}
        thumbnail_url, full_url = as_text(stored.get("thumbnail_url")), as_text(stored.get("full_url"))
        return cls(image_id, thumbnail_url, full_url, ttl_ms, embedding_key_of(stored), other=other)

    @classmethod
    def unreadable(cls, image_id: str, error: str, ttl_ms: int | None = None) -> Image:
        """Create a placeholder for an image that cannot be read."""
        return cls(image_id, None, None, ttl_ms, error=error)

    def row(self, *, full: bool = False) -> dict[str, Any]:
        """Return the image as JSON-compatible data, with `error` only if there is one.

        `full`: include the full URL and unknown fields. `dimensions`, `bytes` and `embedding_ttl_ms` describe the
        embedding.
        """
        embedding = self.embedding
        row: dict[str, Any] = {
            "id": self.id,
            "thumbnail_url": self.thumbnail_url,
            "ttl_ms": self.ttl_ms,
            "embedding_key": self.embedding_key,
            "dimensions": embedding.dimensions if embedding else None,
            "bytes": embedding.bytes if embedding else None,
            "embedding_ttl_ms": embedding.ttl_ms if embedding else None,
        }
        if full:
            row |= {"full_url": self.full_url, "other": dict(self.other)}
        error = self.error or (embedding.error if embedding else None)
        return row | {"error": error} if error else row


@dataclass
class MediaStats:
    """Totals over all cached images and embeddings."""

    images: int = 0
    #: Images that cannot be read, which `images` includes.
    unreadable: int = 0
    embeddings: int = 0
    #: Total size of the embeddings.
    embedding_bytes: int = 0
    #: Embeddings that no image refers to.
    orphans: int = 0


class ImageDeletion(NamedTuple):
    """What deleting an image deletes."""

    id: str
    embedding_key: str | None
    #: Whether the embedding exists and is deleted too.
    with_embedding: bool
    #: IDs of the other images that use the embedding, because of which it is not deleted.
    kept_for: Sequence[str]

    def row(self) -> dict[str, Any]:
        """Return the deletion as JSON-compatible data."""
        return self._asdict()


def embedding_key_of(stored: Mapping[str, Any]) -> str | None:
    """Return the embedding key in a stored image; None if it has no valid one."""
    key = stored.get("embedding_key")
    return key if isinstance(key, str) and keys.is_media_id(key) else None


def check_url(url: str, name: str) -> str:
    """Return the URL. Raises InvalidInput if it is not printable text of 1 to MAX_URL characters."""
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL or not url.isprintable():
        raise InvalidInput(f"the {name} URL must have 1 to {MAX_URL:,} printable characters")
    return url
