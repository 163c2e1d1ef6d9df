"""Read stored images and embeddings in batches: one round trip each, plus one for large values."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import keys
from ..document.json_codec import loads_at
from ..errors import AwiError, InvalidData
from ..store.strings import StringStore
from ..util.batched import batched
from .embeddings import decode
from .images import Embedding, Image

if TYPE_CHECKING:
    from ..store.keyspace import KeyInfo

#: Common prefix of the keys of images and embeddings.
_PREFIX = "MEDIA:"
#: Maximum number of keys per round trip.
BATCH = 500
#: Bytes that the first round trip reads of each value; few values are larger.
_FIRST_BYTES = 8_192


class StoredValue(NamedTuple):
    """A stored string."""

    raw: bytes
    #: Milliseconds until it expires; None if it has no TTL.
    ttl_ms: int | None


class MediaReader:
    """Reads the images and embeddings of one server."""

    def __init__(self, strings: StringStore) -> None:
        self._strings = strings
        #: The server, without passwords, for messages.
        self.where = strings.where

    async def scan(self, rate: float | None) -> AsyncGenerator[tuple[Sequence[Image], Sequence[str]], None]:
        """Yield all images and the keys of all embeddings, in batches. `rate`: maximum number of keys per second."""
        image, embedding = (prefix.removeprefix(_PREFIX) for prefix in (keys.IMAGE_PREFIX, keys.EMBEDDING_PREFIX))
        async with aclosing(self._strings.scan(_PREFIX, rate)) as batches:
            async for names in batches:
                for batch in batched(names, BATCH):
                    ids = [name.removeprefix(image) for name in batch if name.startswith(image)]
                    yield (
                        await self.images(ids),
                        [name.removeprefix(embedding) for name in batch if name.startswith(embedding)],
                    )

    async def scan_with_embeddings(
        self, rate: float | None
    ) -> AsyncGenerator[tuple[Sequence[Image], dict[str, StoredValue | AwiError]], None]:
        """Like `scan`, but yield the stored embeddings by key; an error for one that cannot be read."""
        async with aclosing(self.scan(rate)) as batches:
            async for images, embedding_keys in batches:
                yield images, await self._fetch(keys.EMBEDDING_PREFIX, embedding_keys)

    async def embedding_sizes(self, embedding_keys: Sequence[str]) -> dict[str, int]:
        """Return the sizes of these embeddings in bytes; those that do not exist are left out."""
        infos = await self._key_info(keys.EMBEDDING_PREFIX, embedding_keys, 0)
        return {key: info.length for key, info in zip(embedding_keys, infos, strict=True) if info is not None}

    async def images(self, image_ids: Sequence[str]) -> Sequence[Image]:
        """Return these images without their embeddings; those that do not exist are left out."""
        found = []
        for image_id, value in (await self._fetch(keys.IMAGE_PREFIX, image_ids)).items():
            if isinstance(value, AwiError):
                found.append(Image.unreadable(image_id, str(value)))
                continue
            try:
                found.append(Image.of(image_id, self.decode_image(image_id, value), value.ttl_ms))
            except InvalidData as error:
                found.append(Image.unreadable(image_id, str(error), value.ttl_ms))
        return found

    async def with_embeddings(self, images: Sequence[Image]) -> Sequence[Image]:
        """Return the same images with their embeddings."""
        wanted = list(dict.fromkeys(one.embedding_key for one in images if one.embedding_key is not None))
        found: dict[str | None, Embedding] = {}
        for key, value in (await self._fetch(keys.EMBEDDING_PREFIX, wanted)).items():
            if isinstance(value, AwiError):
                found[key] = Embedding(0, None, error=str(value))
                continue
            try:
                found[key] = Embedding(len(value.raw), value.ttl_ms, len(decode(value.raw)))
            except InvalidData as error:
                reason = f"{self.location(keys.EMBEDDING_PREFIX + key)}: {error}"
                found[key] = Embedding(len(value.raw), value.ttl_ms, error=reason)
        return [replace(one, embedding=found.get(one.embedding_key)) for one in images]

    def decode_image(self, image_id: str, value: StoredValue) -> dict[str, Any]:
        """Decode the stored JSON object of an image. Raises InvalidData, which names the key."""
        location = self.location(keys.IMAGE_PREFIX + image_id)
        if not keys.is_media_id(image_id):
            raise InvalidData(f"{location}: not an image ID: expected 1 to {keys.MAX_MEDIA_ID} printable characters")
        stored = loads_at(value.raw, location)
        if not isinstance(stored, dict):
            raise InvalidData(f"{location}: not a JSON object")
        return stored

    async def read(self, key: str) -> StoredValue | None:
        """Return the string under a key; None if there is none. Raises InvalidData, TooLarge."""
        value = (await self._fetch("", [key])).get(key)
        if isinstance(value, AwiError):
            raise value
        return value

    async def _fetch(self, prefix: str, names: Sequence[str]) -> dict[str, StoredValue | AwiError]:
        """Read the strings under `prefix` + name; an error for one that cannot be read. Others are left out."""
        found: dict[str, StoredValue | AwiError] = {}
        large: dict[str, int | None] = {}
        for name, info in zip(names, await self._key_info(prefix, names, _FIRST_BYTES), strict=True):
            if info is not None and info.error is None and info.length == len(info.start):
                found[name] = StoredValue(info.start, info.ttl_ms)
            elif info is not None:
                large[name] = info.ttl_ms
        if large:
            raws = await self._strings.get_many([prefix + name for name in large])
            for name, ttl_ms in large.items():
                raw = raws.get(prefix + name)
                if raw is not None:
                    found[name] = raw if isinstance(raw, AwiError) else StoredValue(raw, ttl_ms)
        return found

    async def _key_info(self, prefix: str, names: Sequence[str], size: int) -> Sequence[KeyInfo | None]:
        return await self._strings.key_info([prefix + name for name in names], size) if names else []

    def location(self, key: str) -> str:
        """Return the server and the key, for messages."""
        return f"{self.where}, key {key}"
